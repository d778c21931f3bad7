"""Joint estimation of the image and smooth coil sensitivities."""

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.buffers import sent
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.sensitivity.base import (
    SensitivityEstimator,
    calibration_blocks,
    in_order,
    maps_shape,
    unit_norm,
)
from mrirecon.solvers import conjugate_gradient
from mrirecon.types import Maps, Sample

SMALLEST = 8
STEEPNESS, ORDER = 220.0, 32  # of the Sobolev weights; BART's habit
MATRIX = 128  # of the image that these are meant for: about 3 samples of k-space to each side
AXES = (-3, -2, -1)
Unknowns = Complex64[Tensor, "b part h w"]


class Nlinv(SensitivityEstimator):
    r"""Regularized nonlinear inversion (Uecker et al., Magn Reson Med 60:674, 2008).

    .. math:: \min_{\rho, \hat c}\; \sum_c \|P F (\rho \cdot F^H W^{-1} \hat c_c) - y_c\|^2
              + \alpha\,(\|\rho - 1\|^2 + \|\hat c\|^2), \qquad W(k) = (1 + 220\,|k|^2)^{16}

    by Gauss-Newton steps, each halving :math:`\alpha`, on the calibration data :math:`y`. The
    Sobolev weights W make the sensitivities smooth, also beyond the object, where they continue
    without noise. Needs no patches, so a small centre is enough.

    Args:
        calibration: Largest width of the calibration region.
        newton: Gauss-Newton steps; more fit the data more closely, at last its noise.
        iterations: Conjugate-gradient steps in each.
    """

    def __init__(self, calibration: int = 24, newton: int = 8, iterations: int = 20) -> None:
        super().__init__()
        if calibration < SMALLEST:
            raise ValueError(f"calibration must be at least {SMALLEST} lines, got {calibration}")
        check_at_least(1, newton=newton, iterations=iterations)
        self.calibration = calibration
        self.newton = newton
        self.iterations = iterations

    @torch.no_grad()
    def forward(self, sample: Sample) -> Maps:
        """Return the maps; zero for an empty slice.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        h, w = sample.grid
        members: list[int] = []
        maps: list[Tensor] = []
        for chosen, block in calibration_blocks(sample, self.calibration, SMALLEST, "NLINV"):
            # twice as wide, so that the product of image and sensitivities does not wrap around
            grid = (2 * block.shape[-2], 2 * block.shape[-1])
            acquired = center_fit(torch.ones_like(block[:1, :1].real), grid)
            problem = _Bilinear(acquired, sent(_smoothing(grid), acquired.device))
            spectra = problem.solve(center_fit(block, grid), self.newton, self.iterations)
            members += chosen
            maps.append(unit_norm(ifft(center_fit(spectra, (h, w)))))
        return in_order(maps, members).reshape(maps_shape(sample))


class _Bilinear:
    """The forward model and its derivative; unknowns are the image and the weighted spectra."""

    def __init__(
        self, acquired: Float32[Tensor, "1 1 h w"], smoothing: Float32[Tensor, "h w"]
    ) -> None:
        self.acquired, self.smoothing = acquired, smoothing

    def solve(
        self, y: Complex64[Tensor, "b coil h w"], newton: int, iterations: int
    ) -> Complex64[Tensor, "b coil h w"]:
        """Return the spectra of the sensitivities."""
        energy = torch.linalg.vector_norm(y, dim=AXES, keepdim=True)
        empty = energy == 0
        y = y * (10.0 * y.shape[-1] / torch.where(empty, 1.0, energy))
        start = y.new_zeros(len(y), 1 + y.shape[1], *y.shape[-2:])
        start[:, 0] = 1
        x, alpha = start, 1.0
        for _ in range(newton):
            image, coils = self._parts(x)
            residual = y - self._measure(image * coils)
            right = self._adjoint(image, coils, residual) + alpha * (start - x)

            def gram(
                dx: Tensor, image: Tensor = image, coils: Tensor = coils, alpha: float = alpha
            ) -> Tensor:
                change, spectra = self._parts(dx)
                predicted = self._measure(change * coils + image * spectra)
                return self._adjoint(image, coils, predicted) + alpha * dx

            x = x + conjugate_gradient(
                gram, right, iterations=iterations, tolerance=1e-2, axes=AXES
            )
            alpha /= 2
        return torch.where(empty, 0.0, x[:, 1:] * self.smoothing)

    def _parts(self, x: Unknowns) -> tuple[Tensor, Tensor]:
        return x[:, :1], ifft(x[:, 1:] * self.smoothing)

    def _measure(self, coil_images: Tensor) -> Tensor:
        return fft(coil_images) * self.acquired

    def _adjoint(self, image: Tensor, coils: Tensor, residual: Tensor) -> Unknowns:
        images = ifft(residual * self.acquired)
        spectra = fft(image.conj() * images) * self.smoothing
        return torch.cat([(coils.conj() * images).sum(1, keepdim=True), spectra], 1)


def _smoothing(grid: tuple[int, int]) -> Float32[Tensor, "h w"]:
    """Return the inverse Sobolev weights of k-space, whatever the size of the grid."""
    ky, kx = ((torch.arange(n, dtype=torch.float64) - n // 2) / MATRIX for n in grid)
    squared = ky[:, None].square() + kx.square()
    return (1 + STEEPNESS * squared).pow(-ORDER / 2).to(torch.float32)
