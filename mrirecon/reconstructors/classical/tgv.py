"""Total generalized variation (Bredies, Kunisch and Pock, 2010), by the primal-dual iteration."""

import torch
from torch import Tensor

from mrirecon.operators import SymmetrizedGradient
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
from mrirecon.solvers import Solution, SplitProblem, primal_dual
from mrirecon.types import Sample

E = SymmetrizedGradient()
NORM = 12**0.5  # of (x, v) -> (D x - v, E v); Knoll et al. 2011


class Tgv(VariationMethod):
    r"""Second-order total generalized variation: prefers piecewise linear images.

    .. math:: \hat x = \arg\min_{x, v} \tfrac12\|Ax - y / s\|^2
              + \lambda\Big(\sum_r|(\nabla x - v)_r| + 2\sum_r|(E v)_r|\Big), \qquad
              \text{image} = s\,\hat x

    (Bredies, Kunisch and Pock, SIAM J Imaging Sci 3:492, 2010; Knoll et al., Magn Reson Med 65:480,
    2011). Args as for :class:`~mrirecon.reconstructors.TotalVariation`.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: Weight :math:`\lambda` of the penalty; 0.001 to 0.01 are usual.
        iterations: Largest number of steps.
        tolerance: Relative change of the image in a step at which it stops; 0 takes every step.
    """

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the image and what is known about the iteration."""
        data = DataTerm.of(sample, self.sensitivity(sample)).with_fewer_coils()
        first = field_weight(self.regularization, data)
        second = 2 * first

        # the unknown is (x, v1, v2) along axis -3, the dual (p1, p2, q11, q22, q12)
        def gradient(u: Tensor) -> Tensor:
            image = data.gradient(u[..., 0, :, :]).unsqueeze(-3)
            return torch.cat([image, torch.zeros_like(u[..., 1:, :, :])], -3)

        def forward(u: Tensor) -> Tensor:
            x, v = u[..., 0, :, :], u[..., 1:, :, :]
            return torch.cat([D(x) - v, E(v)], -3)

        def adjoint(dual: Tensor) -> Tensor:
            p, q = dual[..., :2, :, :], dual[..., 2:, :, :]
            return torch.cat([D.adjoint(p).unsqueeze(-3), E.adjoint(q) - p], -3)

        def prox_dual(dual: Tensor, _: float) -> Tensor:
            p, q = dual[..., :2, :, :], dual[..., 2:, :, :]
            return torch.cat([shortened(p, first), shortened(q, second)], -3)

        def objective(u: Tensor) -> Tensor:
            parts = forward(u)
            penalty = first * lengths(parts[..., :2, :, :]) + second * lengths(parts[..., 2:, :, :])
            return data.value(u[..., 0, :, :]) + penalty.sum((-3, -2, -1))

        start = data.warm_start().unsqueeze(-3)
        start = torch.cat([start, torch.zeros_like(start), torch.zeros_like(start)], -3)
        problem = SplitProblem(
            gradient, forward, adjoint, prox_dual,
            norm=NORM, objective=objective, axes=(-3, -2, -1),
        )  # fmt: skip
        solution = primal_dual(
            problem, start, balance=balance(2 * self.regularization), iterations=self.iterations,
            tolerance=self.tolerance, trace=trace,
        )  # fmt: skip
        return rescaled(solution, solution.x[..., 0, :, :], data)
