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
from mrirecon.sampling import SamplingPattern, scan_rng
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

    Raises:
        ConfigError: When the scan has gaps inside: its RSS image is aliased and no reference.
    """

    def __call__(self, sample: Sample) -> Sample:
        if sample.target is not None:
            return sample
        if has_gaps(sample):
            raise ConfigError(
                f"{sample.key} is undersampled, so it cannot serve as its own reference; "
                "train on fully sampled scans, or on files that bring a reconstruction"
            )
        return sample.replace(target=root_sum_of_squares(ifft(sample.kspace)))


def has_gaps(sample: Sample) -> bool:
    """Whether lines inside of the measured extent are missing, not just at the edges."""
    mask = sample.mask.expand(*sample.mask.shape[:-2], *sample.kspace.shape[-2:])
    rows, columns = measured_interval(mask.any(-1)), measured_interval(mask.any(-2))
    return bool((rows[..., :, None] & columns[..., None, :] & ~mask).any())


@dataclass(frozen=True)
class Undersample:
    """Keep only what ``pattern`` selects of what the scanner acquired.

    Attributes:
        pattern: Draws the masks.
        seed: ``"scan"`` gives all slices of a scan the same mask, seeded by the scan's name, in
            every epoch and on every machine (validation, test); ``"random"`` draws anew each time
            from torch's generator (training).
    """

    pattern: SamplingPattern
    seed: Literal["scan", "random"] = "scan"

    def __call__(self, sample: Sample) -> Sample:
        if sample.kspace.ndim != 3:
            raise ConfigError(
                "Undersample draws one mask per slice, so it belongs before batching; "
                f"got k-space of shape {tuple(sample.kspace.shape)}"
            )
        h, w = sample.kspace.shape[-2:]
        drawn = self.pattern((h, w), self._rng(sample))
        mask = drawn.mask.to(sample.mask.device) & sample.mask
        return sample.replace(
            kspace=sample.kspace * mask, mask=mask, acs=_fully_sampled(drawn.acs, mask, (h, w))
        )

    def _rng(self, sample: Sample) -> np.random.RandomState:
        if self.seed == "scan":
            return scan_rng(str(sample.key[0]))
        return np.random.RandomState(int(torch.randint(2**31, ())))


def _fully_sampled(drawn: tuple[int, int], mask: torch.Tensor, shape: tuple[int, int]) -> Extent:
    """The centre that the pattern keeps, or what partial Fourier has left of it."""
    rows, columns = (center_slice(n, count) for n, count in zip(shape, drawn, strict=True))
    whole = bool(mask.expand(shape)[rows, columns].all())
    return torch.tensor(drawn if whole else central_block(mask, shape), device=mask.device)


@dataclass(frozen=True)
class Normalize:
    """Divide k-space, target and peak by a percentile of the zero-filled image; keep the factor.

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
        pixel = scale[..., None, None]
        old = 1.0 if sample.scale is None else sample.scale
        return sample.replace(
            kspace=sample.kspace / pixel.unsqueeze(-1),
            calibration=None if sample.calibration is None
            else sample.calibration / pixel.unsqueeze(-1),
            target=None if sample.target is None else sample.target / pixel,
            peak=None if sample.peak is None else sample.peak / scale,
            scale=old * scale,
            noise=None if sample.noise is None else sample.noise / scale,
        )  # fmt: skip
