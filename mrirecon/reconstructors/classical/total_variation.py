"""Total variation and total generalized variation, by the primal-dual iteration."""

import torch
from torch import Tensor

from mrirecon.operators import FiniteDifference, SymmetrizedGradient
from mrirecon.reconstructors.base import IterativeReconstructor, check_not_negative
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import Solution, SplitProblem, primal_dual
from mrirecon.types import Sample

D, E = FiniteDifference(), SymmetrizedGradient()
NORM_D = 8**0.5
NORM_TGV = 12**0.5  # of (x, v) -> (D x - v, E v); Knoll et al. 2011
BALANCE = 1.0  # of the primal and the dual step, for images of brightness one


class TotalVariation(IterativeReconstructor):
    r"""Solves a least-squares problem whose image has few edges.

    .. math:: \hat x = \arg\min_x \tfrac12\|Ax - y / s\|^2 + \lambda\sum_r|(\nabla x)_r|, \qquad
              \text{image} = s\,\hat x

    with the isotropic norm of the two differences (Rudin, Osher and Fatemi, Physica D 60:259, 1992;
    Block, Uecker and Frahm, Magn Reson Med 57:1086, 2007) and the
    :func:`~mrirecon.reconstructors.parts.data_scale.data_scale` :math:`s`. Areas of constant phase and
    magnitude suit it best; :class:`Tgv` keeps slopes.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: :math:`\lambda`; 0.001 to 0.01 are usual.
        iterations: Largest number of steps.
        tolerance: Stop once a step changes the image by no more than this part; 0 takes every step.
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
        super().__init__()
        _check(regularization, iterations, tolerance)
        self.isotropic = isotropic
        self.sensitivity = sensitivity
        self.regularization = regularization
        self.iterations = iterations
        self.tolerance = tolerance

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the image and what is known about the iteration."""
        data = DataTerm.of(sample, self.sensitivity(sample))
        weight = _weight(self.regularization, data)

        def objective(x: Tensor) -> Tensor:
            field = D(x)
            lengths = _length(field) if self.isotropic else field.abs()
            return data.value(x) + (weight * lengths).sum((-3, -2, -1))

        def prox_dual(dual: Tensor, _: float) -> Tensor:
            if self.isotropic:
                return _project(dual, weight)
            single = weight.unsqueeze(-3) if isinstance(weight, Tensor) else weight
            return _project(dual.unsqueeze(-3), single).squeeze(-3)

        problem = SplitProblem(
            data.gradient, D, D.adjoint, prox_dual, norm=NORM_D, objective=objective
        )
        solution = primal_dual(
            problem, data.warm_start(), balance=BALANCE, iterations=self.iterations,
            tolerance=self.tolerance, trace=trace,
        )  # fmt: skip
        return _rescaled(solution, solution.x, data)


class Tgv(IterativeReconstructor):
    r"""Second-order total generalized variation: prefers piecewise linear images.

    .. math:: \hat x = \arg\min_{x, v} \tfrac12\|Ax - y / s\|^2
              + \lambda\Big(\sum_r|(\nabla x - v)_r| + 2\sum_r|(E v)_r|\Big), \qquad
              \text{image} = s\,\hat x

    (Bredies, Kunisch and Pock, SIAM J Imaging Sci 3:492, 2010; Knoll et al., Magn Reson Med 65:480,
    2011). Args as for :class:`TotalVariation`.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: :math:`\lambda`; 0.001 to 0.01 are usual.
        iterations: Largest number of steps.
        tolerance: Stop once a step changes the image by no more than this part; 0 takes every step.
    """

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float = 1e-3,
        iterations: int = 300,
        tolerance: float = 1e-4,
    ) -> None:
        super().__init__()
        _check(regularization, iterations, tolerance)
        self.sensitivity = sensitivity
        self.regularization = regularization
        self.iterations = iterations
        self.tolerance = tolerance

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the image and what is known about the iteration."""
        data = DataTerm.of(sample, self.sensitivity(sample))
        first = _weight(self.regularization, data)
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
            return torch.cat([_project(p, first), _project(q, second)], -3)

        def objective(u: Tensor) -> Tensor:
            parts = forward(u)
            lengths = first * _length(parts[..., :2, :, :]) + second * _length(parts[..., 2:, :, :])
            return data.value(u[..., 0, :, :]) + lengths.sum((-3, -2, -1))

        start = data.warm_start().unsqueeze(-3)
        start = torch.cat([start, torch.zeros_like(start), torch.zeros_like(start)], -3)
        problem = SplitProblem(
            gradient, forward, adjoint, prox_dual,
            norm=NORM_TGV, objective=objective, axes=(-3, -2, -1),
        )  # fmt: skip
        solution = primal_dual(
            problem, start, balance=BALANCE, iterations=self.iterations,
            tolerance=self.tolerance, trace=trace,
        )  # fmt: skip
        return _rescaled(solution, solution.x[..., 0, :, :], data)


def _check(regularization: float, iterations: int, tolerance: float) -> None:
    check_not_negative(regularization=regularization, tolerance=tolerance)
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")


def _length(field: Tensor) -> Tensor:
    """The norm of the vector at each pixel; the axis -3 keeps size one."""
    squares = torch.view_as_real(field).square().sum((-4, -1)).unsqueeze(-3)
    return squares.sqrt()


def _weight(regularization: float, data: DataTerm) -> float | Tensor:
    """Return the weight for fields of vectors, which lie along the axis -3."""
    weight = regularization * data.penalty_share
    return weight.unsqueeze(-3) if isinstance(weight, Tensor) else weight


def _project(field: Tensor, radius: float | Tensor) -> Tensor:
    """Shorten the vectors that are longer than ``radius``: the proximal map of the dual norm."""
    return field * (radius / _length(field).clamp_min(1e-30)).clamp(max=1)


def _rescaled(solution: Solution, x: Tensor, data: DataTerm) -> Solution:
    return Solution(x * data.scale, solution.iterations, solution.converged, solution.objective)
