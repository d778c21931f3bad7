"""SPIRiT (Lustig and Pauly, Magn Reson Med 64:457, 2010)."""

from collections.abc import Sequence

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_pad
from mrirecon.reconstructors.parts.coil_combination import Combination
from mrirecon.reconstructors.parts.grappa_region import fillable
from mrirecon.reconstructors.parts.grappa_weights import interpolation_weights, precise
from mrirecon.reconstructors.parts.kspace_filling import Alike, KSpaceFilling
from mrirecon.sensitivity.base import CalibrationError, SensitivityEstimator, calibration_data
from mrirecon.solvers import conjugate_gradient
from mrirecon.types import Sample

FEWEST_LINES = 4
"""Central lines and rows that a kernel of 3 takes."""


class Spirit(KSpaceFilling):
    r"""Finds the k-space whose every sample is what its neighbours in all coils predict.

    .. math:: \hat y = \arg\min_y \|(G - I)\,y\|^2 \quad\text{such that}\quad M y = y_0

    One kernel :math:`G`, fitted to the fully sampled centre or to a separate reference scan, serves
    any pattern along one or two axes. The missing samples are found by conjugate gradients; the
    measured ones are kept, and what lies outside of the measured region stays zero. It needs no
    sensitivities, so a phase that they do not explain, or a field of view smaller than the object,
    does no harm.

    Args:
        kernel: Width of the neighbourhood along both axes, an odd number; less where the
            calibration data could not determine as many weights.
        regularization: Tikhonov weight of the kernel's fit relative to the norm of the Gram matrix.
        iterations: Largest number of conjugate-gradient steps; few leave less noise.
        tolerance: Ratio of the residual to the right-hand side at which it stops.
        combination: How the coils are combined without ``sensitivity``.
        sensitivity: Estimator of coil sensitivities to combine the coils with.
    """

    def __init__(
        self,
        kernel: int = 5,
        regularization: float = 0.01,
        iterations: int = 30,
        tolerance: float = 1e-3,
        combination: Combination = "rss",
        sensitivity: SensitivityEstimator | None = None,
    ) -> None:
        super().__init__(combination, sensitivity)
        if kernel < 3 or kernel % 2 == 0:
            raise ValueError(f"kernel must be an odd number from 3, got {kernel}")
        if regularization <= 0:
            raise ValueError(f"regularization must be positive, got {regularization}")
        check_at_least(1, iterations=iterations)
        if tolerance < 0:
            raise ValueError(f"tolerance must not be negative, got {tolerance}")
        self.kernel = kernel
        self.regularization = regularization
        self.iterations, self.tolerance = iterations, tolerance

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        h, w = calibration_data(sample)[1].reshape(-1, 2).amin(0).tolist()
        found = _fitting(self.kernel, (sample.kspace.shape[-3], h, w))
        if found == self.kernel:
            return super().remarks(sample)
        return (
            f"The fully sampled centre has {h} x {w} samples (h x w): SPIRiT takes a kernel of "
            f"{found} instead of {self.kernel}.",
            *super().remarks(sample),
        )

    def fill_group(self, group: Alike) -> Complex64[Tensor, "b coil h w"]:
        y = group.kspace
        unknown = torch.from_numpy(fillable(group.mask) & ~group.mask).to(y.device)
        if not unknown.any():
            return y
        size = _fitting(self.kernel, group.calibration.shape)
        weights = spirit_kernel(group.calibration, size, self.regularization)
        N = _inconsistency(weights, (y.shape[-2], y.shape[-1]))

        def normal(k: Tensor) -> Tensor:
            x = (N @ ifft(k).permute(0, 2, 3, 1).unsqueeze(-1)).squeeze(-1)
            return unknown * fft(x.permute(0, 3, 1, 2))

        missing = conjugate_gradient(
            normal,
            -normal(y),
            iterations=self.iterations,
            tolerance=self.tolerance,
            axes=(-3, -2, -1),
        )
        return y + missing


def _fitting(kernel: int, shape: Sequence[int]) -> int:
    """Return the widest odd kernel that calibration data of (coil, h, w) determine, at least 3.

    Fewer places along an axis than the kernel is wide make the weights explain these places only,
    and the image worse than without them; a kernel of 3 does well with two.
    """
    while kernel > 3 and not _determined(kernel, shape):
        kernel -= 2
    return kernel


def _determined(kernel: int, shape: Sequence[int]) -> bool:
    coils, h, w = shape[-3:]
    if min(h, w) < (FEWEST_LINES if kernel == 3 else 2 * kernel):
        return False
    return 2 * (h - kernel + 1) * (w - kernel + 1) >= coils * kernel**2


def spirit_kernel(
    calibration: Complex64[Tensor, "b coil hc wc"], kernel: int, regularization: float
) -> Complex64[Tensor, "b coil coil k k"]:
    """Fit the weights that predict each coil's sample from all others in the neighbourhood.

    Raises:
        CalibrationError: When there are fewer equations than half of the weights, or fewer lines
            than two kernels.
    """
    batch, coils, h, w = calibration.shape
    if not _determined(kernel, calibration.shape):
        raise CalibrationError(
            f"SPIRiT with kernel={kernel} cannot be calibrated on {h} x {w} samples (h x w) of "
            f"{coils} coils; choose a smaller model.kernel, a sampling with a larger fully sampled "
            "centre, or model=cg_sense"
        )
    patches = calibration.unfold(-2, kernel, 1).unfold(-2, kernel, 1)
    X = patches.permute(0, 1, 4, 5, 2, 3).flatten(1, 3).flatten(2)
    X = precise(X, regularization)
    gram = X @ X.mH
    weights = calibration.new_zeros(batch, coils, coils * kernel**2)
    everything = torch.arange(coils * kernel**2, device=calibration.device)
    for coil in range(coils):
        own = coil * kernel**2 + kernel**2 // 2
        others = everything[everything != own]
        cross = gram[:, others, own].unsqueeze(-1)
        part = gram[:, others[:, None], others]
        weights[:, coil, others] = interpolation_weights(part, cross, regularization).squeeze(1)
    return weights.reshape(batch, coils, coils, kernel, kernel)


def _inconsistency(
    weights: Complex64[Tensor, "b coil coil k k"], shape: tuple[int, int]
) -> Complex64[Tensor, "b h w coil coil"]:
    r"""Return :math:`(G - I)^H (G - I)` at every pixel; a convolution is a product there.

    :math:`G` multiplies the image at :math:`r` by :math:`\sum_\delta w_\delta e^{-2\pi i \delta r}`
    because ``y(k + delta)`` is the transform of the image times that wave.
    """
    coils, scale = weights.shape[1], (shape[0] * shape[1]) ** 0.5
    G = fft(center_pad(weights, shape)) * scale
    G = G.permute(0, 3, 4, 1, 2)
    G = G - torch.eye(coils, dtype=G.dtype, device=G.device)
    return G.mH @ G
