"""Measured samples that a method does not see, to judge what it predicts of them.

This needs no reference and no knowledge of what a network has learned from: the samples that were
not measured are predicted as well or as badly as those that were held out.
"""

from collections.abc import Callable

import torch

from mrirecon.operators import coil_samples
from mrirecon.sensitivity.base import calibration_extent, in_center
from mrirecon.types import Image, Maps, Mask, Sample

SHARE = 0.1
"""Part of the samples outside of the fully sampled centre that is held out."""

Method = Callable[[Sample, Maps], Image]


def held_out(sample: Sample, seed: int = 0) -> tuple[Sample, Mask]:
    """Take some measured samples away from outside of the fully sampled centre.

    Whole lines are taken of a pattern of lines, single samples of any other.

    Args:
        sample: One slice or a batch.
        seed: Seed of the choice.

    Returns:
        The rest, and where the samples lay that were taken.
    """
    h, w = sample.kspace.shape[-2:]
    mask = sample.mask
    rows, columns = mask.any(-1, keepdim=True), mask.any(-2, keepdim=True)
    lines = (mask == (rows & columns)).all(-1, keepdim=True).all(-2, keepdim=True)
    if sample.cartesian:
        extent = calibration_extent(sample)
        center = in_center(w, extent[..., 1]).unsqueeze(-2)
        middle = in_center(h, extent[..., 0]).unsqueeze(-1)
    else:  # readouts as a whole: each of them may cross the centre
        center = middle = torch.zeros_like(mask[..., :1, :1])
    line, point = (
        (torch.rand(size, generator=torch.Generator().manual_seed(seed)) < SHARE).to(mask.device)
        for size in ((1, w), (h, w))
    )
    chosen = torch.where(lines, line & ~center, point & ~(center & middle))
    if mask.shape[-2] == 1:  # of lines alone, which it broadcasts over
        chosen = (line & ~center)[..., :, : mask.shape[-1]]
    taken = mask & chosen
    kept = mask & ~taken
    kspace = torch.where(kept.unsqueeze(-3), sample.kspace, 0)
    return sample.replace(kspace=kspace, mask=kept), taken


def stacked(method: Method, partner: Method, sample: Sample, maps: Maps) -> Image:
    r"""Return the average of the images of two methods that predicts held-out samples best.

    .. math:: x = w\,x_1 + (1 - w)\,x_2, \qquad
              w = \arg\min_{0 \le w \le 1} \|w\,H F S x_1' + (1 - w)\,H F S x_2' - H y\|^2

    where the :math:`x'` were made without the samples :math:`H y` (stacking: Wolpert, Neural Netw
    5:241, 1992; Breiman, Mach Learn 24:49, 1996). Errors of different kinds average out, and where
    one method fails the other one takes over. Where nothing can be held out, it is the first image.

    Args:
        method: Function that makes a coil-combined image of samples and maps.
        partner: Function of another method.
        sample: One slice or a batch.
        maps: Coil sensitivities of the same slices.
    """
    rest, taken = held_out(sample)
    if not taken.any():
        return method(sample, maps)
    first, second = method(rest, maps), partner(rest, maps)
    there = taken.unsqueeze(-3)
    a, b = (
        torch.where(there, coil_samples(sample, maps * x.unsqueeze(-3)) - sample.kspace, 0)
        for x in (first, second)
    )  # errors of both
    change = torch.view_as_real(a - b)
    product = (change * torch.view_as_real(b)).sum((-1, -2, -3, -4))
    energy = change.square().sum((-1, -2, -3, -4))
    share = torch.where(energy == 0, 1.0, -product / torch.where(energy == 0, 1.0, energy))
    share = share.clamp(0, 1)[..., None, None]
    return share * method(sample, maps) + (1 - share) * partner(sample, maps)
