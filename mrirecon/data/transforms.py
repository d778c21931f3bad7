"""Steps from Sample to Sample between the reader and the reconstructor, in the order listed.

Each works on any number of leading batch axes: on one slice in a worker or on a batch on the GPU.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from mrirecon.buffers import masked, sent
from mrirecon.data.gaps import has_gaps
from mrirecon.errors import ConfigError
from mrirecon.fourier import plain_ifft
from mrirecon.image import center_fit, root_sum_of_squares, squared_magnitude
from mrirecon.operators import coil_images, with_areas
from mrirecon.sampling import DrawnMask, SamplingPattern
from mrirecon.sampling.base import Shape, scan_seed
from mrirecon.sampling.calibration import center_slice, central_block
from mrirecon.types import KSpace, Sample, Transform

Seed = int | tuple[int, ...]
ZERO_FILLED = 1e-3
"""Relative difference below which two images are one, in float32 or float16 files."""


@dataclass(frozen=True)
class Compose:
    """Apply ``transforms`` one after the other."""

    transforms: Sequence[Transform]

    def __call__(self, sample: Sample) -> Sample:
        for transform in self.transforms:
            sample = transform(sample)
        return sample


@dataclass(frozen=True)
class RssTarget:
    """Set a missing ``target`` to the root-sum-of-squares of all that the scanner acquired.

    Place it before :class:`Undersample`. A target that the file brought stays, unless it is nothing
    but the zero-filled image of an undersampled scan, which would teach its aliasing. What partial
    Fourier or zero padding left out at the edges of k-space is missing from the target too.

    Attributes:
        required: Whether to refuse scans with gaps inside, whose RSS image is aliased and no
            reference; else they stay without a target, as semi-supervised training wants them.

    Raises:
        ConfigError: When a required target cannot be made.
    """

    required: bool = True

    def __call__(self, sample: Sample) -> Sample:
        gaps = has_gaps(sample)
        if sample.target is not None:
            gaps = gaps & _is_zero_filled(sample) if gaps.any() else gaps
            if not gaps.any():
                return sample
        if gaps.any():
            if not self.required and gaps.all():
                return sample.replace(target=None, peak=None)
            if not self.required:
                raise ConfigError(
                    f"only some of {sample.key} are undersampled, so not all of this batch have a "
                    "reference; set data.batch_size=1"
                )
            raise ConfigError(
                f"{sample.key} is undersampled, so it cannot serve as its own reference"
                f"{'' if sample.target is None else ' (the image in its file is zero-filled)'}; "
                "take fully sampled scans, or files that bring a reconstruction. Without "
                "references: objective=ssdu callbacks=self_supervised and data/transforms@"
                "data.train.transform=semi_supervised, likewise data.val.transform"
            )
        return sample.replace(target=root_sum_of_squares(coil_images(sample)))


def _is_zero_filled(sample: Sample) -> Bool[Tensor, "*b"]:
    """Tell whether a target is the zero-filled image, whatever its units."""
    assert sample.target is not None
    size = (sample.target.shape[-2], sample.target.shape[-1])
    image = center_fit(root_sum_of_squares(coil_images(sample)), size)
    product, energy = ((image * other).sum((-2, -1)) for other in (sample.target, image))
    factor = (product / energy.clamp_min(1e-30))[..., None, None]
    error = (factor * image - sample.target).square().sum((-2, -1))
    return error < ZERO_FILLED**2 * sample.target.square().sum((-2, -1))


def draws_anew(transform: Transform | None) -> bool:
    """Tell whether a transform draws another mask of the same scan in every epoch."""
    if isinstance(transform, Compose):
        return any(map(draws_anew, transform.transforms))
    return isinstance(transform, Undersample) and transform.seed == "random" and transform.again


def sampling_remarks(transform: Transform | None, sample: Sample) -> tuple[str, ...]:
    """Return what a user should know of the masks that a transform draws for a slice."""
    if isinstance(transform, Compose):
        return tuple(r for t in transform.transforms for r in sampling_remarks(t, sample))
    return transform.remarks(sample) if isinstance(transform, Undersample) else ()


def may_lack_target(transform: Transform | None) -> bool:
    """Tell whether a transform lets undersampled scans pass without a target."""
    if isinstance(transform, Compose):
        return any(map(may_lack_target, transform.transforms))
    return isinstance(transform, RssTarget) and not transform.required


def makes_target(transform: Transform | None) -> bool:
    """Tell whether a transform makes a reference of k-space where the file brings none."""
    if isinstance(transform, Compose):
        return any(map(makes_target, transform.transforms))
    return isinstance(transform, RssTarget)


@dataclass(frozen=True)
class Undersample:
    """Keep only what ``pattern`` selects of what the scanner acquired.

    Before batching or after it, on whatever device: each member of a batch gets a mask of its own,
    the same that it would have got alone, unless an earlier step has drawn random numbers, too.
    Neighbouring slices get the mask of their slice, each within what was acquired of it;
    neighbouring frames that of their own frame, where the pattern changes from frame to frame.
    Of non-Cartesian scans whole readouts are left out.

    Attributes:
        pattern: Pattern that draws the masks.
        seed: ``"scan"`` gives all slices of a scan the same mask, seeded by the scan's name, in
            every epoch and on every machine (validation, test); ``"random"`` draws anew each time
            (training): in a batch from ``Sample.seed``, else from torch's generator.
        again: Whether scans that are undersampled already lose samples, too.
    """

    pattern: SamplingPattern
    seed: Literal["scan", "random"] = "scan"
    again: bool = True

    def __call__(self, sample: Sample) -> Sample:
        if sample.kspace.ndim not in (3, 4):
            raise ConfigError(
                "Undersample takes a slice or a batch of slices, "
                f"got k-space of shape {tuple(sample.kspace.shape)}"
            )
        near, seeds = sample.neighbors, self._seeds(sample)
        kept = _kept(sample, self._drawn(sample, _members(sample.frame, sample), seeds))
        if near is None:
            return kept
        frames = _members(near.frame, near)
        each = [seed for seed in seeds for _ in range(len(frames) // len(seeds))]
        return kept.replace(neighbors=_kept(near, self._drawn(near, frames, each)))

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        """Return what a user should know of the masks that are drawn, a sentence each."""
        drawn = self._drawn(sample, _members(sample.frame, sample), self._seeds(sample))
        return tuple(dict.fromkeys(one.remark for one in drawn if one.remark))

    def _drawn(
        self, sample: Sample, frames: Sequence[int], seeds: Sequence[Seed]
    ) -> list[DrawnMask]:
        """Return a mask for each member of a batch; those of one frame and seed share it."""
        shape = (sample.kspace.shape[-2], sample.kspace.shape[-1])
        known: dict[tuple[Seed, int], DrawnMask] = {}
        for seed, frame in zip(seeds, frames, strict=True):
            if (seed, frame) not in known:
                rng = np.random.RandomState(seed)
                known[seed, frame] = self.pattern.of_frame(shape, rng, frame)
        drawn = [known[place] for place in zip(seeds, frames, strict=True)]
        if not sample.cartesian and any(one.mask.shape[-2] > 1 for one in drawn):
            raise ConfigError(
                f"{type(self.pattern).__name__} keeps single positions of the Cartesian grid, but "
                f"{sample.key} was sampled along a trajectory; choose sampling=spokes, or a "
                "pattern of lines"
            )
        if not self.again:
            everything = DrawnMask(torch.ones(1, shape[1], dtype=torch.bool), shape, 1.0)
            gaps = has_gaps(sample).reshape(-1).tolist()
            drawn = [everything if gap else one for gap, one in zip(gaps, drawn, strict=True)]
        return drawn

    def _seeds(self, sample: Sample) -> list[Seed]:
        """Return what the mask of each member is drawn from."""
        batched = sample.kspace.ndim == 4
        if self.seed == "scan":
            return [scan_seed(str(key[0])) for key in (sample.key if batched else (sample.key,))]
        if batched and isinstance(sample.seed, tuple):
            generators = [torch.Generator().manual_seed(seed) for seed in sample.seed]
        else:
            generators = [torch.default_generator] * (len(sample.kspace) if batched else 1)
        return [int(torch.randint(2**31, (), generator=one)) for one in generators]


def _members(frames: int | tuple[Any, ...] | None, sample: Sample) -> list[int]:
    """Return the frame of every member of a batch, or of neighbours; the first when untold."""
    if frames is None:
        return [0] * math.prod(sample.kspace.shape[:-3])
    return [int(frame) for frame in np.ravel(frames)]


def _kept(sample: Sample, drawn: Sequence[DrawnMask]) -> Sample:
    """Apply masks to one slice, or to a batch of as many."""
    batch, shape = sample.kspace.shape[:-3], sample.kspace.shape[-2:]
    acquired = sample.mask.cpu().reshape(len(drawn), *sample.mask.shape[-2:])
    masks = [one.mask & measured for measured, one in zip(acquired, drawn, strict=True)]
    extents = [
        _fully_sampled(one.acs, mask, (shape[0], shape[1]))
        for mask, one in zip(masks, drawn, strict=True)
    ]
    if len({mask.shape for mask in masks}) > 1:  # patterns of lines and of points meet
        masks = [mask.expand(shape) for mask in masks]
    device = sample.kspace.device
    mask = sent(torch.stack(masks), device)
    mask = mask.reshape(*batch, *mask.shape[-2:])
    return sample.replace(
        kspace=masked(sample.kspace, mask),
        areas=None,
        mask=mask,
        acs=sent(extents, device).reshape(*batch, 2) if sample.cartesian else None,
    )


def _fully_sampled(drawn: tuple[int, int], mask: torch.Tensor, shape: tuple[int, int]) -> Shape:
    """The centre that the pattern keeps, or what partial Fourier has left of it."""
    rows, columns = (center_slice(n, count) for n, count in zip(shape, drawn, strict=True))
    whole = bool(mask.expand(shape)[rows, columns].all())
    return drawn if whole else central_block(mask.numpy(), shape)


def undersampled(transform: Transform, pattern: SamplingPattern | None) -> Transform:
    """Return a transform after which nothing but the samples of a pattern is left; None keeps all.

    Args:
        transform: Preprocessing that follows.
        pattern: Pattern of what is kept of the measured samples.
    """
    return transform if pattern is None else Compose([Undersample(pattern), transform])


@dataclass(frozen=True)
class Normalize:
    """Divide k-space, target and peak by a percentile of the zero-filled image; keep the factor.

    Neighbouring slices are divided by the same number, so that brightness stays comparable.

    Raw units differ by many orders of magnitude between scanners; networks and regularisation
    weights should not have to know. Writers multiply by ``Sample.scale`` once.

    Attributes:
        percentile: Percentile of the root-sum-of-squares image to divide by, between 0 and 100.
    """

    percentile: float = 99.0

    def __post_init__(self) -> None:
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile must lie in (0, 100], got {self.percentile}")

    def __call__(self, sample: Sample) -> Sample:
        if sample.cartesian:
            energy = _zero_filled_energy(sample.kspace)
        else:
            sample = with_areas(sample)  # for everybody who comes later
            energy = squared_magnitude(coil_images(sample), (-3,))
        return sample.divided(self._scale(energy))

    def _scale(self, energy: Float32[Tensor, "*b h w"]) -> Float32[Tensor, "*b"]:
        """Return the percentile; 1 for an empty slice, which so stays empty."""
        values = energy.flatten(-2)
        rank = max(1, round(self.percentile / 100 * values.shape[-1]))
        # not kthvalue, of which torch has no deterministic kernel for GPUs
        largest = values.topk(values.shape[-1] - rank + 1, sorted=False).values
        scale = largest.amin(-1).sqrt()
        return torch.where(scale == 0, 1.0, scale)


def _zero_filled_energy(kspace: KSpace) -> Float32[Tensor, "*b h w"]:
    """Return the squared root-sum-of-squares, not centred.

    A shift of k-space or of the image changes no magnitude as a whole, so none is shifted; coil by
    coil the numbers stay in the processor's cache.
    """
    energy = kspace.real.new_zeros((*kspace.shape[:-3], *kspace.shape[-2:]))
    for coil in kspace.unbind(-3):
        image = plain_ifft(coil, (-2, -1))
        energy = energy.addcmul(image.real, image.real).addcmul(image.imag, image.imag)
    return energy
