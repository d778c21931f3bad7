"""SPIRiT (Lustig and Pauly, Magn Reson Med 64:457, 2010)."""

from collections.abc import Sequence

import torch
from jaxtyping import Complex64, Complex128, Int64
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.fourier import plain_fft, plain_ifft
from mrirecon.reconstructors.parts.coil_combination import Combination
from mrirecon.reconstructors.parts.grappa_region import fillable
from mrirecon.reconstructors.parts.grappa_weights import precise
from mrirecon.reconstructors.parts.kspace_filling import Alike, KSpaceFilling
from mrirecon.reconstructors.parts.self_consistency import SelfConsistency
from mrirecon.sensitivity.base import CalibrationError, SensitivityEstimator, calibration_data
from mrirecon.solvers import conjugate_gradient
from mrirecon.types import Sample

REFINEMENTS = 8
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
        gaps = torch.from_numpy(fillable(group.mask) & ~group.mask)
        columns = gaps.any(0).nonzero()[:, 0]
        if not len(columns):
            return y
        gaps = gaps[:, columns].unsqueeze(-1)
        coupled = not gaps.all()  # otherwise each row of the image is on its own
        columns, unknown = columns.to(y.device), gaps.to(y.device)
        size = _fitting(self.kernel, group.calibration.shape)
        weights = spirit_kernel(group.calibration, size, self.regularization)
        inconsistency = SelfConsistency(weights, (y.shape[-2], y.shape[-1]), columns)

        def normal(x: Tensor, given: Tensor | None = None) -> Tensor:
            found = inconsistency(x, given)
            if coupled:
                found = plain_ifft(plain_fft(found, axes=(1,)).mul_(unknown), axes=(1,))
            return found

        every = torch.arange(y.shape[-1], device=y.device)
        missing = conjugate_gradient(
            normal,
            -normal(plain_ifft(y, axes=(-2,)).permute(0, 2, 3, 1).contiguous(), every),
            iterations=self.iterations,
            tolerance=self.tolerance,
            axes=(-3, -2, -1),
        )
        filled = y.clone()
        filled[..., columns] += (plain_fft(missing, axes=(1,)) * unknown).permute(0, 3, 1, 2)
        return filled


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
    gram = (X @ X.mH).to(torch.complex128)
    own = torch.arange(coils, device=gram.device) * kernel**2 + kernel**2 // 2
    weights = _regressions(gram, own, regularization).to(calibration.dtype)
    return weights.reshape(batch, coils, coils, kernel, kernel)


def _regressions(
    gram: Complex128[Tensor, "b n n"], own: Int64[Tensor, "c"], regularization: float
) -> Complex128[Tensor, "b c n"]:
    r"""Return the weights that predict each of some signals from all others.

    Those of signal :math:`j` are :math:`-P_{oj} / P_{jj}` of the regularized inverse :math:`P` of
    the whole Gram matrix, so that one factorization serves all. Each has a penalty of its own,
    relative to the norm of the Gram matrix without signal :math:`j`, as in
    :func:`~mrirecon.reconstructors.parts.grappa_weights.interpolation_weights`. It differs from the
    mean by a few percent at most, which a few steps of iterative refinement make good.

    Args:
        gram: Gram matrix of all signals.
        own: Numbers of the signals to predict.
        regularization: Weight of the penalty.
    """
    size = gram.shape[-1]
    energy = gram.abs().square()
    others = energy.sum((-2, -1), keepdim=True)[..., 0] - 2 * energy[:, own].sum(-1)
    others = (others + energy[:, own, own]).clamp_min(0)
    penalty = regularization * others.sqrt() / (size - 1)
    penalty = torch.where(penalty > 0, penalty, 1.0)  # an empty slice has weights of zero
    mean = penalty.mean(-1, keepdim=True)
    eye = torch.eye(size, dtype=gram.dtype, device=gram.device)
    factor = torch.linalg.cholesky(gram + mean.unsqueeze(-1) * eye)
    unit = eye[:, own].expand(len(gram), -1, -1)
    found = torch.cholesky_solve(unit, factor)
    surplus = (penalty - mean).unsqueeze(-2)
    for _ in range(REFINEMENTS):
        found = torch.cholesky_solve(unit - surplus * found, factor)
    found = -found / found.gather(-2, own.expand(len(gram), 1, -1))
    return found.masked_fill(unit != 0, 0).mH
