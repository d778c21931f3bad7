"""Adaptive coil sensitivities: the strongest eigenvector of the local covariance of the coils."""

import torch
from torch import Tensor

from mrirecon.sensitivity.base import (
    SensitivityEstimator,
    calibration_blocks,
    fitting_kernel,
    in_order,
    kernel_remark,
    maps_shape,
)
from mrirecon.sensitivity.eigenmaps import eigenmaps
from mrirecon.sensitivity.subspace import virtual_coil, walsh_nodes
from mrirecon.types import Maps, Sample

SMALLEST = 3


class Walsh(SensitivityEstimator):
    r"""Sensitivities by adaptive reconstruction (Walsh et al., Magn Reson Med 43:682, 2000).

    At every pixel the sensitivities are the leading eigenvector of the covariance of the coils,

    .. math:: R_{cd}(r) = \sum_{r'} F_k(r - r')\, m_c(r')\, \overline{m_d(r')}

    of the low-resolution coil images :math:`m` of the calibration data, averaged by Fejér's kernel
    :math:`F_k` of width field of view / ``kernel``. Faster and more robust than ESPIRiT with little
    calibration data, but averaging over neighbours blurs the maps.

    Args:
        kernel: Pixels of that averaging width across the field of view; as many as the calibration
            region has where those are less.
        calibration: Largest width of the calibration region.
        crop: Maps are zero where the covariance is smaller than this part of its maximum.
    """

    def __init__(self, kernel: int = 16, calibration: int = 24, crop: float = 0.0) -> None:
        super().__init__()
        if kernel < SMALLEST:
            raise ValueError(f"kernel must be at least {SMALLEST}, got {kernel}")
        if calibration < kernel:
            raise ValueError(
                f"calibration must be at least the kernel of {kernel}, got {calibration}"
            )
        if not 0 <= crop < 1:
            raise ValueError(f"crop must lie in [0, 1), got {crop}")
        self.kernel = kernel
        self.calibration = calibration
        self.crop = crop

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        return kernel_remark(sample, self.kernel, "Walsh's method", 1)

    @torch.no_grad()
    def forward(self, sample: Sample) -> Maps:
        """Return the maps; zero for an empty slice.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        if sample.kspace.shape[-3] == 1:
            return sample.kspace.new_ones(maps_shape(sample))
        h, w = sample.grid
        members: list[int] = []
        maps: list[Tensor] = []
        for chosen, block in calibration_blocks(
            sample, self.calibration, SMALLEST, "Walsh's method"
        ):
            nodes = walsh_nodes(block, fitting_kernel(self.kernel, block.shape[-2:], 1))
            result = eigenmaps(nodes, (h, w), virtual_coil(block), smallest=self.crop)
            strength = result.values / _peak(result.values)
            keep = (strength > 0) & (strength >= self.crop)
            members += chosen
            maps.append((result.vectors * keep.unsqueeze(2))[:, 0])
        return in_order(maps, members).reshape(maps_shape(sample))


def _peak(values: Tensor) -> Tensor:
    largest = values.flatten(1).amax(-1)[:, None, None, None]
    return torch.where(largest == 0, 1.0, largest)
