"""Coil sensitivities from the central lines under a wide Gaussian window."""

import torch

from mrirecon.fourier import ifft
from mrirecon.image import center_fit
from mrirecon.sensitivity.base import (
    CalibrationError,
    SensitivityEstimator,
    calibration_data,
    in_center,
    unit_norm,
)
from mrirecon.types import Maps, Sample


class GaussianMaps(SensitivityEstimator):
    r"""Coil images of the fully sampled centre divided by their root-sum-of-squares.

    .. math:: S_c = \frac{F^H W y_c}{\sqrt{\sum_d |F^H W y_d|^2}}, \qquad
              W = e^{-(g / \sigma)^2}, \quad g = -1 \dots 1

    where :math:`g` runs along the phase encoding from the first column of k-space to the last, both
    included; the readout has no window. As the toolkit DIRECT (Yiasemis et al., J Open Source
    Softw 7:4278, 2022) makes the maps that its networks refine.

    Args:
        width: Width :math:`\sigma` of the window; None for no window.
    """

    def __init__(self, width: float | None = 0.7) -> None:
        super().__init__()
        if width is not None and not width > 0:
            raise ValueError(f"width must be positive, got {width}")
        self.width = width

    def forward(self, sample: Sample) -> Maps:
        """Return the maps; zero where every coil is.

        Raises:
            CalibrationError: When the very centre was not sampled.
        """
        kspace, extent = calibration_data(sample)
        if int(extent.min()) < 1:
            raise CalibrationError(
                "these sensitivities need a fully sampled centre, and k = 0 was not sampled; "
                "choose a sampling with central lines, or provide a calibration scan"
            )
        rows = in_center(kspace.shape[-2], extent[..., 0])[..., None, :, None]
        columns = in_center(kspace.shape[-1], extent[..., 1])[..., None, None, :]
        h, w = sample.grid
        center = center_fit(kspace * (rows & columns), (h, w))
        if self.width is not None:
            place = torch.linspace(-1, 1, w, dtype=kspace.real.dtype, device=kspace.device)
            center = center * torch.exp(-((place / self.width) ** 2))
        return unit_norm(ifft(center))
