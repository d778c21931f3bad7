"""The primal-dual iteration for objectives with a linear operator inside a norm."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Complex
from torch import Tensor

from mrirecon.solvers.base import Axes, Operator, Progress, Solution


@dataclass(frozen=True)
class SplitProblem:
    r"""Minimize :math:`f(x) + g(Kx)` with smooth :math:`f` and simple :math:`g^*`.

    Attributes:
        gradient: The gradient :math:`\nabla f`, a function of :math:`x`.
        forward: The linear operator :math:`K`.
        adjoint: The adjoint operator :math:`K^H`.
        prox_dual: ``prox_dual(p, sigma)`` is the proximal map of :math:`\sigma g^*`.
        norm: An upper bound of :math:`\|K\|`.
        lipschitz: An upper bound of the Lipschitz constant :math:`L` of the gradient.
        objective: The function :math:`f(x) + g(Kx)`, one number per member; needed to record it.
        axes: Axes of one vector; every other axis is batch.
    """

    gradient: Operator
    forward: Operator
    adjoint: Operator
    prox_dual: Callable[[Tensor, float], Tensor]
    norm: float
    lipschitz: float = 1.0
    objective: Operator | None = None
    axes: Axes = (-2, -1)


def primal_dual(
    problem: SplitProblem,
    x0: Complex[Tensor, "..."],
    *,
    balance: float = 1.0,
    iterations: int,
    tolerance: float = 0.0,
    trace: bool = False,
) -> Solution:
    r"""Solve a problem by alternating steps of :math:`x` and of the dual :math:`p`.

    .. math:: x_{k+1} &= x_k - \tau\,(\nabla f(x_k) + K^H p_k) \\
              p_{k+1} &= \operatorname{prox}_{\sigma g^*}\big(p_k + \sigma K(2x_{k+1} - x_k)\big)

    (Condat, J Optim Theory Appl 158:460, 2013; Chambolle and Pock, Math Program 159:253, 2016,
    whose algorithm of 2011 it is for :math:`f = 0`.) It converges for
    :math:`1/\tau - \sigma\|K\|^2 \ge L`; :math:`\sigma = \text{balance} / \|K\|` and the largest
    such :math:`\tau` are taken. Members of the batch are problems of their own; one that has
    converged is left as it is.

    Args:
        problem: Problem to solve.
        x0: First guess of the minimizer :math:`x`.
        balance: Larger favors the dual step, smaller the primal one.
        iterations: Largest number of steps.
        tolerance: A member stops once a step changes it by no more than this part of its norm; 0
            takes every step.
        trace: Whether to record the objective at every iterate.
    """
    sigma = balance / problem.norm
    tau = 1 / (problem.lipschitz + sigma * problem.norm**2)
    x, dual = x0, torch.zeros_like(problem.forward(x0))
    progress = Progress(x0, tolerance, problem.axes, problem.objective if trace else None)
    for _ in range(iterations):
        new = progress.next(x, x - tau * (problem.gradient(x) + problem.adjoint(dual)))
        dual = problem.prox_dual(dual + sigma * problem.forward(2 * new - x), sigma)
        change, x = new - x, new
        if progress.finished(x, change):
            break
    return progress.solution(x)
