"""Total variation (Rudin, Osher and Fatemi, 1992), by the primal-dual iteration."""

from torch import Tensor

from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.variation import (
    D,
    VariationMethod,
    balance,
    field_weight,
    lengths,
    rescaled,
    shortened,
)
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import Solution, SplitProblem, primal_dual
from mrirecon.types import Sample

NORM_D = 8**0.5


class TotalVariation(VariationMethod):
    r"""Solves a least-squares problem whose image has few edges.

    .. math:: \hat x = \arg\min_x \tfrac12\|Ax - y / s\|^2 + \lambda\sum_r|(\nabla x)_r|, \qquad
              \text{image} = s\,\hat x

    with the isotropic norm of the two differences (Rudin, Osher and Fatemi, Physica D 60:259, 1992;
    Block, Uecker and Frahm, Magn Reson Med 57:1086, 2007) and the
    :func:`~mrirecon.reconstructors.parts.data_scale.data_scale` :math:`s`. Areas of constant phase
    and magnitude suit it best; :class:`~mrirecon.reconstructors.Tgv` keeps slopes.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: Weight :math:`\lambda` of the penalty; 0.001 to 0.01 are usual.
        iterations: Largest number of steps.
        tolerance: Relative change of the image in a step at which it stops; 0 takes every step.
        isotropic: Whether the two differences of a pixel are one vector; else each counts for
            itself, as in sigpy.
    """

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float = 1e-3,
        iterations: int = 300,
        tolerance: float = 1e-4,
        isotropic: bool = True,
    ) -> None:
        super().__init__(sensitivity, regularization, iterations, tolerance)
        self.isotropic = isotropic

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the image and what is known about the iteration."""
        data = DataTerm.of(sample, self.sensitivity(sample))
        weight = field_weight(self.regularization, data)

        def objective(x: Tensor) -> Tensor:
            field = D(x)
            sizes = lengths(field) if self.isotropic else field.abs()
            return data.value(x) + (weight * sizes).sum((-3, -2, -1))

        def prox_dual(dual: Tensor, _: float) -> Tensor:
            if self.isotropic:
                return shortened(dual, weight)
            single = weight.unsqueeze(-3) if isinstance(weight, Tensor) else weight
            return shortened(dual.unsqueeze(-3), single).squeeze(-3)

        problem = SplitProblem(
            data.gradient, D, D.adjoint, prox_dual, norm=NORM_D, objective=objective
        )
        solution = primal_dual(
            problem, data.warm_start(), balance=balance(self.regularization),
            iterations=self.iterations, tolerance=self.tolerance, trace=trace,
        )  # fmt: skip
        return rescaled(solution, solution.x, data)
