"""Steps from Sample to Sample between the reader and the reconstructor, in the order listed.

Each works on any number of leading batch axes: on one slice in a worker or on a batch on the GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mrirecon.errors import ConfigError
from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.sampling import DrawnMask, SamplingPattern, scan_rng
from mrirecon.sampling.calibration import center_slice, central_block, measured_interval
from mrirecon.types import Extent, Sample, Transform


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

    Place it before :class:`Undersample`. A target that the file brought stays. What partial Fourier
    or zero padding left out at the edges of k-space is missing from the target too.

    Attributes:
        required: Whether to refuse scans with gaps inside, whose RSS image is aliased and no
            reference; else they stay without a target, as semi-supervised training wants them.

    Raises:
        ConfigError: When a required target cannot be made.
    """

    required: bool = True

    def __call__(self, sample: Sample) -> Sample:
        if sample.target is not None:
            return sample
        if has_gaps(sample):
            if not self.required:
                return sample
            raise ConfigError(
                f"{sample.key} is undersampled, so it cannot serve as its own reference; "
                "train on fully sampled scans, or on files that bring a reconstruction"
            )
        return sample.replace(target=root_sum_of_squares(ifft(sample.kspace)))


def has_gaps(sample: Sample) -> bool:
    """Tell whether positions between measured ones were left out: the scan is undersampled."""
    mask = sample.mask.expand(*sample.mask.shape[:-2], *sample.kspace.shape[-2:])
    rows, columns = measured_interval(mask.any(-1)), measured_interval(mask.any(-2))
    inside = rows[..., :, None] & columns[..., None, :]
    return bool((inside & ~mask).any())


@dataclass(frozen=True)
class Undersample:
    """Keep only what ``pattern`` selects of what the scanner acquired.

    Neighbouring slices get the same mask, each within what was acquired of it.

    Attributes:
        pattern: Draws the masks.
        seed: ``"scan"`` gives all slices of a scan the same mask, seeded by the scan's name, in
            every epoch and on every machine (validation, test); ``"random"`` draws anew each time
            from torch's generator (training).
        again: Whether scans that are undersampled already lose samples, too.
    """

    pattern: SamplingPattern
    seed: Literal["scan", "random"] = "scan"
    again: bool = True

    def __call__(self, sample: Sample) -> Sample:
        if sample.kspace.ndim != 3:
            raise ConfigError(
                "Undersample draws one mask per slice, so it belongs before batching; "
                f"got k-space of shape {tuple(sample.kspace.shape)}"
            )
        if not self.again and has_gaps(sample):
            return sample
        h, w = sample.kspace.shape[-2:]
        drawn = self.pattern((h, w), self._rng(sample))
        near = sample.neighbors
        return _kept(sample, drawn).replace(neighbors=near and _kept(near, drawn))

    def _rng(self, sample: Sample) -> np.random.RandomState:
        if self.seed == "scan":
            return scan_rng(str(sample.key[0]))
        return np.random.RandomState(int(torch.randint(2**31, ())))


def _kept(sample: Sample, drawn: DrawnMask) -> Sample:
    """Apply a mask to one slice, or to each of its neighbours."""
    mask = drawn.mask.to(sample.mask.device) & sample.mask
    h, w = sample.kspace.shape[-2:]
    members = mask.reshape(-1, *mask.shape[-2:])
    acs = torch.stack([_fully_sampled(drawn.acs, member, (h, w)) for member in members])
    return sample.replace(
        kspace=sample.kspace * mask.unsqueeze(-3),
        mask=mask,
        acs=acs.reshape(*sample.kspace.shape[:-3], 2),
    )


def _fully_sampled(drawn: tuple[int, int], mask: torch.Tensor, shape: tuple[int, int]) -> Extent:
    """The centre that the pattern keeps, or what partial Fourier has left of it."""
    rows, columns = (center_slice(n, count) for n, count in zip(shape, drawn, strict=True))
    whole = bool(mask.expand(shape)[rows, columns].all())
    return torch.tensor(drawn if whole else central_block(mask, shape), device=mask.device)


@dataclass(frozen=True)
class Normalize:
    """Divide k-space, target and peak by a percentile of the zero-filled image; keep the factor.

    Neighbouring slices are divided by the same number, so that brightness stays comparable.

    Raw units differ by many orders of magnitude between scanners; networks and regularisation
    weights should not have to know. Writers multiply by ``Sample.scale`` once.

    Attributes:
        percentile: Of the root-sum-of-squares image, between 0 and 100.
    """

    percentile: float = 99.0

    def __post_init__(self) -> None:
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile must lie in (0, 100], got {self.percentile}")

    def __call__(self, sample: Sample) -> Sample:
        image = root_sum_of_squares(ifft(sample.kspace)).flatten(-2)
        rank = max(1, round(self.percentile / 100 * image.shape[-1]))
        scale = image.kthvalue(rank).values
        scale = torch.where(scale > 0, scale, 1.0)  # an empty slice stays empty
        return sample.divided(scale)
