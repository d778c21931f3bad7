"""Total variation (Rudin, Osher and Fatemi, 1992), by alternating directions."""

from dataclasses import replace

import torch
from torch import Tensor

from mrirecon.operators import CirculantInverse
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.variation import (
    D,
    VariationMethod,
    field_weight,
    lengths,
    rescaled,
    shortened,
)
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import Solution, SplitProblem, admm
from mrirecon.types import Sample

NORM_D = 8**0.5
PENALTY, LEAST = 15.0, 1e-3
"""Penalty of the split relative to the weight, and the least one; a third or three times of it take
some more steps (a phantom, lines and Poisson disc, R = 4, weights from 0.0003 to 0.01)."""
NEAR = 0.01
"""Least weight of the preconditioner, which the differences support."""


class TotalVariation(VariationMethod):
    r"""Solves a least-squares problem whose image has few edges.

    .. math:: \hat x = \arg\min_x \tfrac12\|Ax - y / s\|^2 + \lambda\sum_r|(\nabla x)_r|, \qquad
              \text{image} = s\,\hat x

    with the isotropic norm of the two differences (Rudin, Osher and Fatemi, Physica D 60:259, 1992;
    Block, Uecker and Frahm, Magn Reson Med 57:1086, 2007) and the
    :func:`~mrirecon.reconstructors.parts.data_scale.data_scale` :math:`s`, by
    :func:`~mrirecon.solvers.admm.admm`. Areas of constant phase and magnitude suit it best;
    :class:`~mrirecon.reconstructors.Tgv` keeps slopes.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: Weight :math:`\lambda` of the penalty; 0.001 to 0.01 are usual.
        iterations: Largest number of steps, each of which costs four normal operators.
        tolerance: Relative change of the image in a step at which it stops; 0 takes every step.
        isotropic: Whether the two differences of a pixel are one vector; else each counts for
            itself, as in sigpy.
    """

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float = 1e-3,
        iterations: int = 100,
        tolerance: float = 1e-3,
        isotropic: bool = True,
    ) -> None:
        super().__init__(sensitivity, regularization, iterations, tolerance)
        self.isotropic = isotropic

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the image and what is known about the iteration."""
        data = DataTerm.of(sample, self.sensitivity(sample)).with_fewer_coils()
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

        penalty = max(LEAST, PENALTY * self.regularization)
        solution = admm(
            SplitProblem(data.gradient, D, D.adjoint, prox_dual, NORM_D, objective=objective),
            data.warm_start(), gram=data.normal, precondition=self._near(data, penalty),
            penalty=penalty, iterations=self.iterations, tolerance=self.tolerance, trace=trace,
        )  # fmt: skip
        return rescaled(solution, solution.x, data)

    @staticmethod
    def _near(data: DataTerm, penalty: float) -> CirculantInverse:
        """Return about the inverse of what each step solves; the penalty sees every pixel."""
        normal, (h, w) = data.normal, data.adjoint.shape[-2:]
        if normal.separable:  # the penalty is not
            normal = replace(normal, spectrum=normal.spectrum.expand(*normal.maps.shape[:-3], h, w))
        of_waves = penalty * D.eigenvalues(h, w, data.adjoint.device)
        near = CirculantInverse.of(normal, of_waves, NEAR)
        return replace(near, support=torch.ones_like(near.support))
