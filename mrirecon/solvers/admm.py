"""The alternating direction method of multipliers, for least squares with a penalty."""

from jaxtyping import Complex
from torch import Tensor

from mrirecon.solvers.base import Operator, Progress, Solution
from mrirecon.solvers.conjugate_gradient import solve_cg
from mrirecon.solvers.primal_dual import SplitProblem

INNER = 3
"""Steps of conjugate gradients in each step: of 1 to 3 the best for the total variation of lines at
R = 4 with small weights; for Poisson discs one would do."""
RELAXATION = 1.7
"""Between 1.5 and 1.8 (Boyd et al., section 3.4.3)."""


def admm(
    problem: SplitProblem,
    x0: Complex[Tensor, "..."],
    *,
    gram: Operator,
    precondition: Operator,
    penalty: float,
    iterations: int,
    tolerance: float = 0.0,
    trace: bool = False,
) -> Solution:
    r"""Minimize :math:`\tfrac12 x^HGx - \Re x^Hb + g(Kx)` by alternating steps.

    .. math:: x_{k+1} &\approx (G + \rho K^HK)^{-1} \big(b + K^H(\rho z_k - p_k)\big) \\
              p_{k+1} &= \operatorname{prox}_{\rho g^*}\big(p_k + \rho v_{k+1}\big), \quad
              z_{k+1} = v_{k+1} + (p_k - p_{k+1}) / \rho

    with :math:`v_{k+1} = \alpha K x_{k+1} + (1 - \alpha) z_k` and :math:`\alpha = 1.7` (Boyd et
    al., Found Trends Mach Learn 3:1, 2011). The system of :math:`x` is solved by a few
    preconditioned steps of conjugate gradients from the last :math:`x` (Eckstein and Yao, Math
    Program Comput 9:363, 2017). Where :math:`G` is ill-conditioned, as it is for undersampled data,
    it takes many times fewer steps than
    :func:`~mrirecon.solvers.primal_dual.primal_dual`, though a step costs four times as much.

    Args:
        problem: Problem to solve, with the gradient :math:`Gx - b`.
        x0: First guess of the minimizer :math:`x`.
        gram: The operator :math:`G`, applied to a tensor of the shape of ``x0``.
        precondition: Hermitian positive definite operator, about the inverse of
            :math:`G + \rho K^HK`.
        penalty: Weight :math:`\rho` of the difference between :math:`Kx` and :math:`z`.
        iterations: Largest number of steps.
        tolerance: A member stops once a step changes it by no more than this part of its norm; 0
            takes every step.
        trace: Whether to record the objective at every iterate.
    """
    K, KH = problem.forward, problem.adjoint
    x, field = x0, K(x0)
    dual = field * 0
    progress = Progress(x0, tolerance, problem.axes, problem.objective if trace else None)
    split = field
    for _ in range(iterations):
        residual = KH(penalty * (split - field) - dual) - problem.gradient(x)
        step = solve_cg(
            lambda d: gram(d) + penalty * KH(K(d)), residual, iterations=INNER, axes=problem.axes,
            precondition=precondition,
        )  # fmt: skip
        new = progress.next(x, x + step.x)
        field = K(new)
        relaxed = RELAXATION * field + (1 - RELAXATION) * split
        proposed = dual + penalty * relaxed
        dual = problem.prox_dual(proposed, penalty)
        split = (proposed - dual) / penalty
        change, x = new - x, new
        if progress.finished(x, change):
            break
    return progress.solution(x)
