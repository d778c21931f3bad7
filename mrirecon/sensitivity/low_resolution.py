"""Coil sensitivities from low-resolution coil images."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mrirecon.fourier import ifft
from mrirecon.image import center_fit
from mrirecon.sensitivity.base import (
    CalibrationError,
    SensitivityEstimator,
    calibration_data,
    unit_norm,
)
from mrirecon.types import Maps, Sample

SMALLEST = 4


class LowResolutionMaps(SensitivityEstimator):
    r"""Low-resolution coil images divided by their root-sum-of-squares.

    .. math:: S_c = \frac{F^H W y_c}{\sqrt{\sum_d |F^H W y_d|^2}}

    with a Hann window :math:`W` over the fully sampled centre (McKenzie et al., Magn Reson Med
    47:529, 2002). A separate reference scan is used instead when the Sample has one.

    Args:
        calibration: Largest width of the window, in lines.
    """

    def __init__(self, calibration: int = 24) -> None:
        super().__init__()
        if calibration < SMALLEST:
            raise ValueError(f"calibration must be at least {SMALLEST} lines, got {calibration}")
        self.calibration = calibration

    def forward(self, sample: Sample) -> Maps:
        """Return the maps; zero where every coil is.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        kspace, extent = calibration_data(sample)
        smallest = tuple(extent.reshape(-1, 2).amin(0).tolist())
        if min(smallest) < SMALLEST:
            raise CalibrationError(
                f"low-resolution sensitivities need a fully sampled centre of at least {SMALLEST} "
                f"x {SMALLEST} samples (h x w), found {smallest[0]} x {smallest[1]}; choose a "
                "sampling with a fully sampled centre or a method without maps "
                "(model=zero_filled), or provide a calibration scan or maps"
            )
        extent = extent.clamp(max=self.calibration)
        rows = _hann(kspace.shape[-2], extent[..., 0])[..., None, :, None]
        columns = _hann(kspace.shape[-1], extent[..., 1])[..., None, None, :]
        h, w = sample.grid
        return unit_norm(ifft(center_fit(kspace * rows * columns, (h, w))))


def _hann(size: int, width: Int64[Tensor, "*b"]) -> Float[Tensor, "*b n"]:
    """Return Hann windows that are symmetric about index ``size // 2``, so they add no phase.

    The first or last of an even number of lines has no counterpart: it gets the weight zero.
    """
    distance = (torch.arange(size, device=width.device) - size // 2).abs()
    width = width.unsqueeze(-1)
    window = torch.cos(math.pi * distance / (width + 1)).square()
    return window * (2 * distance < width)
