"""Measured samples that a method does not see, to judge what it predicts of them.

This needs no reference and no knowledge of what a network has learned from: the samples that were
not measured are predicted as well or as badly as those that were held out.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.fourier import fft
from mrirecon.sensitivity.base import calibration_extent, in_center
from mrirecon.types import Image, Maps, Mask, Sample

SHARE = 0.1
"""Part of the samples outside of the fully sampled centre that is held out."""

Method = Callable[[Sample], tuple[Image, Maps]]


def held_out(sample: Sample, seed: int = 0) -> tuple[Sample, Mask]:
    """Take some measured samples away from outside of the fully sampled centre.

    Whole lines are taken of a pattern of lines, single samples of any other.

    Args:
        sample: One slice or a batch.
        seed: Seed of the choice.

    Returns:
        The rest, and where the samples lay that were taken.
    """
    mask = sample.mask
    h, w = sample.kspace.shape[-2:]
    extent = calibration_extent(sample)
    center = in_center(w, extent[..., 1]).unsqueeze(-2)
    if mask.shape[-2] > 1:
        center = center & in_center(h, extent[..., 0]).unsqueeze(-1)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(mask.shape[-2:], generator=generator) < SHARE
    taken = mask & ~center & chosen.to(mask.device)
    kept = mask & ~taken
    kspace = torch.where(kept.unsqueeze(-3), sample.kspace, 0)
    return sample.replace(kspace=kspace, mask=kept), taken


def prediction_error(method: Method, sample: Sample) -> Float32[Tensor, "b"]:
    """Return the energy of what a method fails to predict of held-out samples, relative to theirs.

    It is at least the noise of these samples, and NaN where nothing can be held out.

    Args:
        method: Function that makes a coil-combined image, and the maps that go with it.
        sample: Batch of slices.
    """
    rest, taken = held_out(sample)
    image, maps = method(rest)
    there = taken.unsqueeze(-3)
    difference = torch.where(there, fft(maps * image.unsqueeze(-3)) - sample.kspace, 0)
    left, energy = (
        torch.view_as_real(x).square().sum((-1, -2, -3, -4)).reshape(-1)
        for x in (difference, torch.where(there, sample.kspace, 0))
    )
    return left / torch.where(energy == 0, torch.nan, energy)
