"""Iterative SENSE (Pruessmann et al., Magn Reson Med 46:638, 2001)."""

import copy
from typing import Literal

import torch
from torch import Tensor

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.operators import CirculantInverse, SenseNormal, penalty_share, sense_normal
from mrirecon.operators.normal import adjoint_image, row_tiles
from mrirecon.operators.virtual_coils import virtual_coils
from mrirecon.reconstructors.base import IterativeReconstructor
from mrirecon.reconstructors.parts.automatic_weight import wiener_weight
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import Solution, solve_cg
from mrirecon.solvers.base import energy
from mrirecon.types import Image, Maps, Sample

SMALLEST = 1e-3
"""Weights below this one do not make the stopping criterion stricter."""


def exactness(b: Tensor, weight: float | Tensor, axes: tuple[int, ...]) -> Tensor:
    r"""Return the residual at which a solution of :math:`(A^HA + \lambda)x = b` errs by all of it.

    The error is at most the residual divided by :math:`\lambda`, and :math:`\|x\|` at least
    :math:`\|b\| / (1 + \lambda)`, as :math:`\|A\| \le 1`.
    """
    least = torch.as_tensor(weight, device=b.device).clamp_min(SMALLEST)
    return energy(b, axes).sqrt() * (least / (1 + least))


class CgSense(IterativeReconstructor):
    r"""Solves a regularized least-squares problem by conjugate gradients.

    .. math:: \hat x = \arg\min_x \|Ax - y\|^2 + \lambda\|x\|^2
              \iff (A^HA + \lambda I)\,\hat x = A^Hy

    Samples that were averaged less often than usual weigh less
    (:func:`~mrirecon.operators.data_weights`). Where the mask does not depend on
    the readout, each row of the image is a system of its own and is solved as such: fewer steps
    suffice, a group of rows stays in the processor's cache from the first step to the last, and
    fewer :func:`~mrirecon.operators.virtual_coils.virtual_coils` give the same result. The steps
    are preconditioned by the circular convolution nearest to :math:`A^HA`
    (:class:`~mrirecon.operators.CirculantInverse`), which takes a third to a half of them away.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: Weight :math:`\lambda` of the penalty. As :math:`\|A\| \le 1` for maps of
            unit norm, it needs no adaptation to the scale of the data or the size of the image.
            ``"auto"`` finds the one of least expected error for the noise and the sampling
            (:func:`~mrirecon.reconstructors.parts.automatic_weight.wiener_weight`); the noise is
            that of whitened data, else it is estimated
            (:func:`~mrirecon.reconstructors.parts.estimated_noise.estimated_noise`).
        iterations: Largest number of conjugate-gradient steps.
        tolerance: Stop once the image surely differs from the exact solution by no more than this
            part, because the residual is less than ``tolerance`` times
            :math:`\|A^Hy\|\,\lambda / (1 + \lambda)`; for :math:`\lambda` below 0.001 that number
            stands. 0 takes every step.
    """

    needs_grid = ""

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float | Literal["auto"] = "auto",
        iterations: int = 100,
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__()
        if regularization != "auto":
            check_not_negative(regularization=regularization)
        check_at_least(1, iterations=iterations)
        check_not_negative(tolerance=tolerance)
        self.sensitivity = sensitivity
        self.regularization = regularization
        self.iterations = iterations
        self.tolerance = tolerance

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        r"""Return the image, minimizing :math:`\tfrac12 x^H(A^HA + \lambda)x - \Re x^HA^Hy`."""
        maps = self.sensitivity(sample)
        normal = sense_normal(sample, maps)
        weight = self._weight(sample, maps)
        b = adjoint_image(sample, maps)
        if normal.separable and not trace:
            return self._solve_rows(normal, b, weight)
        return solve_cg(
            lambda x: normal(x) + weight * x,
            b,
            iterations=self.iterations,
            tolerance=self.tolerance,
            reference=exactness(b, weight, (-2, -1)),
            precondition=CirculantInverse.of(normal, weight),
            trace=trace,
        )

    def settled(self, sample: Sample, maps: Maps) -> "CgSense":
        """Return a copy that keeps the weight chosen for this single slice, which is linear."""
        weight = torch.as_tensor(self._weight(sample, maps) / penalty_share(sample))
        result = copy.copy(self)
        result.regularization = float(weight.reshape(()))
        return result

    def _weight(self, sample: Sample, maps: Maps) -> float | Tensor:
        if self.regularization == "auto":
            return wiener_weight(sample, maps)
        return float(self.regularization) * penalty_share(sample)

    def _solve_rows(self, normal: SenseNormal, b: Image, weight: float | Tensor) -> Solution:
        """Solve every row by itself, to a residual that is the tolerated one of the whole image."""
        batch, (h, w) = b.shape[:-2], b.shape[-2:]
        reference = exactness(b, weight, (-2, -1)) / h**0.5
        maps = normal.maps.reshape(-1, *normal.maps.shape[-3:])
        spectrum = normal.spectrum.expand(*batch, 1, w).reshape(-1, 1, w)
        b, reference = b.reshape(-1, h, w), reference.reshape(-1, 1, 1)
        lam = torch.as_tensor(weight, device=b.device).expand(*batch, 1, 1).reshape(-1, 1, 1)
        if b.is_cuda or not len(b):
            groups = [(slice(None), slice(None))]
        else:
            groups = [(slice(i, i + 1), rows) for i in range(len(b)) for rows in row_tiles(maps)]
        x, steps, converged = [], [], []
        for member, rows in groups:
            part = self._solve_tile(
                maps[member, :, rows], spectrum[member], b[member, rows], lam[member],
                reference[member],
            )  # fmt: skip
            x.append(part.x.reshape(-1, w))
            steps.append(part.iterations.flatten())
            converged.append(part.converged.flatten())
        return Solution(
            torch.cat(x).reshape(*batch, h, w),
            torch.cat(steps).reshape(*batch, h).amax(-1),
            torch.cat(converged).reshape(*batch, h).all(-1),
        )

    def _solve_tile(
        self, maps: Tensor, spectrum: Tensor, b: Image, lam: Tensor, reference: Tensor
    ) -> Solution:
        normal = SenseNormal(maps if b.is_cuda else virtual_coils(maps), spectrum)
        return solve_cg(
            lambda x: torch.addcmul(normal(x), lam, x), b, axes=(-1,), reference=reference,
            iterations=self.iterations, tolerance=self.tolerance,
            precondition=CirculantInverse.of(normal, lam),
        )  # fmt: skip
