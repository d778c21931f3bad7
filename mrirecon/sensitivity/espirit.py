"""ESPIRiT: coil sensitivities as eigenvectors of what the calibration data repeats."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Complex, Complex64, Float32
from torch import Tensor

from mrirecon.sampling.calibration import center_slice
from mrirecon.sensitivity.base import CalibrationError, SensitivityEstimator, calibration_data
from mrirecon.types import Maps, Sample

SMALLEST = 3
CHUNK = 2**21  # elements of the pixel matrices held at a time


class Espirit(SensitivityEstimator):
    r"""The first set of ESPIRiT maps (Uecker et al., Magn Reson Med 71:990, 2014).

    The patches of ``kernel`` x ``kernel`` x coils that slide over the calibration data span a
    subspace with projector :math:`P`. At every pixel :math:`r` the coil sensitivities are the
    eigenvector with eigenvalue one of the coils x coils matrix

    .. math:: G_{cd}(r) = \frac{1}{k^2}\sum_{\delta} e^{2\pi i\,\delta r}
              \sum_{u - v = \delta} P_{(c,u),(d,v)}

    It is computed exactly, and its phase is referenced to the coil combination of largest energy,
    so that a dead coil does no harm. Needs no gradient and gives none.

    Args:
        kernel: Width of a patch.
        calibration: Largest width of the calibration region; the rest of a larger one is ignored.
        threshold: Singular values of the calibration matrix below this part of the largest one are
            noise. Raise it for noisy data.
        crop: Maps are zero where the eigenvalue is smaller: it is 1 inside the object and lower in
            empty background. Knowing the background lets CG-SENSE amplify less noise from R = 3 on;
            0 crops nothing and keeps the background's noise. The default lies below the 0.95 of
            other programs to spare the rim of the object where calibration data is scarce or noisy.
    """

    def __init__(
        self,
        kernel: int = 6,
        calibration: int = 24,
        threshold: float = 0.02,
        crop: float = 0.9,
    ) -> None:
        super().__init__()
        if kernel < SMALLEST:
            raise ValueError(f"kernel must be at least {SMALLEST}, got {kernel}")
        if calibration < 2 * kernel:
            raise ValueError(
                f"calibration must be at least twice the kernel of {kernel}, got {calibration}"
            )
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must lie between 0 and 1, got {threshold}")
        if not 0 <= crop < 1:
            raise ValueError(f"crop must lie in [0, 1), got {crop}")
        self.kernel = kernel
        self.calibration = calibration
        self.threshold = threshold
        self.crop = crop

    def forward(self, sample: Sample) -> Maps:
        """Return the maps; all ones for a single coil, zero for an empty slice.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        return self.estimate(sample)[0]

    @torch.no_grad()
    def estimate(self, sample: Sample) -> tuple[Maps, Float32[Tensor, "*b h w"]]:
        """Return the maps, and the eigenvalue by which ``crop`` decides where they are zero.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        if sample.kspace.shape[-3] == 1:
            return torch.ones_like(sample.kspace), torch.ones_like(sample.kspace[..., 0, :, :].real)
        kspace, extent = calibration_data(sample)
        kspace = kspace.reshape(-1, *kspace.shape[-3:])
        sizes = [tuple(size) for size in extent.reshape(-1, 2).tolist()]
        maps = sample.kspace.new_empty(len(sizes), *sample.kspace.shape[-3:])
        eigenvalues = maps.new_empty(len(sizes), *maps.shape[-2:], dtype=torch.float32)
        for size in sorted(set(sizes)):
            members = [index for index, other in enumerate(sizes) if other == size]
            self._check(size)
            center = [
                center_slice(full, min(count, self.calibration))
                for full, count in zip(kspace.shape[-2:], size, strict=True)
            ]
            maps[members], eigenvalues[members] = self._maps(
                kspace[members][:, :, center[0], center[1]], sample.kspace.shape[-2:]
            )
        shape = sample.kspace.shape
        return maps.reshape(shape), eigenvalues.reshape(*shape[:-3], *shape[-2:])

    def _check(self, size: tuple[int, ...]) -> None:
        needed = 2 * self.kernel
        if min(size) < needed:
            fits = min(size) // 2
            smaller = f"sensitivity.kernel={fits}, " if fits >= SMALLEST else ""
            raise CalibrationError(
                f"ESPIRiT with kernel={self.kernel} needs a fully sampled centre of at least "
                f"{needed} x {needed} samples (h x w), found {size[0]} x {size[1]}; choose "
                f"{smaller}a sampling with more central lines, or sensitivity=low_resolution"
            )

    def _maps(
        self, calibration: Complex64[Tensor, "b coil hc wc"], shape: torch.Size
    ) -> tuple[Complex64[Tensor, "b coil h w"], Float32[Tensor, "b h w"]]:
        batch, coils, h, w = *calibration.shape[:2], *shape
        kernels = kernel_correlation(calibration, self.kernel, self.threshold)
        reference = virtual_coil(calibration)
        maps = calibration.new_empty(batch, h, w, coils)
        eigenvalues = calibration.new_empty(batch, h, w, dtype=torch.float32)
        for rows, G in pixel_matrices(kernels, (h, w)):
            values, vectors = torch.linalg.eigh(G)
            vector = vectors[..., -1]
            combined = torch.einsum("bc,bhwc->bhw", reference.conj(), vector)
            phase = torch.where(combined == 0, 1.0, combined.sgn().conj())
            eigenvalues[:, rows] = values[..., -1]
            keep = (values[..., -1] > 0) & (values[..., -1] >= self.crop)
            maps[:, rows] = vector * (phase * keep).unsqueeze(-1)
        return maps.movedim(-1, 1), eigenvalues


def kernel_correlation(
    calibration: Complex64[Tensor, "b coil hc wc"], kernel: int, threshold: float
) -> Complex64[Tensor, "b coil coil dy dx"]:
    r"""Return :math:`\tfrac{1}{k^2}\sum_{u-v=\delta} P_{(c,u),(d,v)}` for every shift.

    The projector :math:`P` comes from the Gram matrix of the calibration matrix, in float64 because
    that squares the singular values.
    """
    batch, coils = calibration.shape[:2]
    patches = calibration.unfold(-2, kernel, 1).unfold(-2, kernel, 1).movedim(1, 3)
    matrix = patches.reshape(batch, -1, coils * kernel**2).to(torch.complex128)
    values, vectors = torch.linalg.eigh(matrix.mT @ matrix.conj())
    signal = values > threshold**2 * values[:, -1:]
    vectors = vectors * signal.unsqueeze(-2)
    P = (vectors @ vectors.mH).reshape(batch, coils, kernel, kernel, coils, kernel, kernel)
    shifts = 2 * kernel - 1
    correlation = P.new_zeros(batch, coils, coils, shifts, shifts)
    for y in range(kernel):
        for x in range(kernel):
            first_y, first_x = kernel - 1 - y, kernel - 1 - x
            block = correlation[..., first_y : first_y + kernel, first_x : first_x + kernel]
            block += P[..., y, x].movedim(-1, 2)
    return (correlation / kernel**2).to(calibration.dtype)


def pixel_matrices(
    correlation: Complex64[Tensor, "b coil coil dy dx"], shape: tuple[int, int]
) -> Iterator[tuple[slice, Complex64[Tensor, "b rows w coil coil"]]]:
    """Evaluate the trigonometric polynomial on a grid, a few rows at a time."""
    batch, coils = correlation.shape[:2]
    waves_y, waves_x = (
        _waves(size, shifts).to(correlation)
        for size, shifts in zip(shape, correlation.shape[-2:], strict=True)
    )
    half = torch.einsum("bcdyx,wx->bwcdy", correlation, waves_x)
    step = max(1, CHUNK // (batch * shape[1] * coils**2))
    for start in range(0, shape[0], step):
        rows = slice(start, min(start + step, shape[0]))
        yield rows, torch.einsum("bwcdy,hy->bhwcd", half, waves_y[rows]).contiguous()


def virtual_coil(calibration: Complex64[Tensor, "b coil hc wc"]) -> Complex64[Tensor, "b coil"]:
    """Return the unit coil combination of largest energy, its largest weight real and positive."""
    flat = calibration.flatten(-2)
    _, vectors = torch.linalg.eigh((flat @ flat.mH).to(torch.complex128))
    vector = vectors[..., -1]
    largest = vector.gather(-1, vector.abs().argmax(-1, keepdim=True))
    return (vector * largest.sgn().conj()).to(calibration.dtype)


def _waves(size: int, shifts: int) -> Complex[Tensor, "n shifts"]:
    pixel = torch.arange(size, dtype=torch.float64) - size // 2
    shift = torch.arange(shifts, dtype=torch.float64) - shifts // 2
    angle = 2 * math.pi / size * pixel[:, None] * shift
    return torch.polar(torch.ones_like(angle), angle)
