"""What every estimator of coil sensitivities is, and where it finds its calibration data."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Complex64, Float, Int64
from torch import Tensor, nn

from mrirecon.errors import MriReconError
from mrirecon.sampling.calibration import central_block
from mrirecon.types import Extent, Maps, Sample


class CalibrationError(MriReconError, ValueError):
    """A Sample lacks the maps or the calibration data that an estimator needs."""


class SensitivityEstimator(nn.Module, ABC):
    """Estimates the coil sensitivities of a Sample; may have parameters to train."""

    @abstractmethod
    def forward(self, sample: Sample) -> Maps:
        """Return maps on the Sample's grid, with unit root-sum-of-squares where they are not 0."""


def calibration_data(sample: Sample) -> tuple[Complex64[Tensor, "*b coil hc wc"], Extent]:
    """Return k-space to calibrate on and the size ``(h, w)`` of its fully sampled centre.

    That is the separate reference scan when there is one, else the Sample itself. The reference
    scan is taken to cover the same field of view.
    """
    if sample.calibration is None:
        return sample.kspace, calibration_extent(sample)
    size = torch.tensor(sample.calibration.shape[-2:], device=sample.kspace.device)
    return sample.calibration, size.expand(*sample.kspace.shape[:-3], 2)


def calibration_extent(sample: Sample) -> Extent:
    """Return the size of each member's fully sampled centre: as told, else found in its mask."""
    if sample.acs is not None:
        return sample.acs
    batch, shape = sample.kspace.shape[:-3], sample.kspace.shape[-2:]
    masks = sample.mask.expand(*batch, sample.mask.shape[-2], shape[1])
    found = [
        central_block(mask, (shape[0], shape[1])) for mask in masks.reshape(-1, *masks.shape[-2:])
    ]
    return torch.tensor(found, device=sample.kspace.device).reshape(*batch, 2)


def in_center(size: int, count: Int64[Tensor, "*b"]) -> Bool[Tensor, "*b n"]:
    """Mark the central ``count`` positions, ``[(size - count + 1) // 2, … + count)``."""
    start = ((size - count + 1) // 2).unsqueeze(-1)
    index = torch.arange(size, device=count.device)
    return (index >= start) & (index < start + count.unsqueeze(-1))


def unit_norm(coil_images: Complex64[Tensor, "*b coil h w"]) -> Complex64[Tensor, "*b coil h w"]:
    """Divide by the root-sum-of-squares over coils; what is zero in every coil stays zero."""
    norm: Float[Tensor, "*b 1 h w"] = torch.linalg.vector_norm(coil_images, dim=-3, keepdim=True)
    return coil_images / torch.where(norm > 0, norm, 1.0)
