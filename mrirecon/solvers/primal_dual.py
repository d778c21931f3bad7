"""The primal-dual iteration for objectives with a linear operator inside a norm."""

from collections.abc import Callable

import torch
from jaxtyping import Complex
from torch import Tensor

from mrirecon.solvers.base import Axes, Operator, Progress, Solution, energy


def primal_dual(
    gradient: Operator,
    forward: Operator,
    adjoint: Operator,
    prox_dual: Callable[[Tensor, float], Tensor],
    x0: Complex[Tensor, "..."],
    *,
    norm: float,
    lipschitz: float = 1.0,
    balance: float = 1.0,
    iterations: int,
    tolerance: float = 0.0,
    objective: Operator | None = None,
    axes: Axes = (-2, -1),
) -> Solution:
    r"""Minimize :math:`f(x) + g(Kx)` with smooth :math:`f` and simple :math:`g^*`.

    .. math:: x_{k+1} &= x_k - \tau\,(\nabla f(x_k) + K^H p_k) \\
              p_{k+1} &= \operatorname{prox}_{\sigma g^*}\big(p_k + \sigma K(2x_{k+1} - x_k)\big)

    (Condat, J Optim Theory Appl 158:460, 2013; Chambolle and Pock, Math Program 159:253, 2016,
    whose algorithm of 2011 it is for :math:`f = 0`.) It converges for
    :math:`1/\tau - \sigma\|K\|^2 \ge L` with the Lipschitz constant :math:`L` of the gradient;
    :math:`\sigma = \text{balance} / \|K\|` and the largest such :math:`\tau` are taken. Members of
    the batch are problems of their own; one that has converged is left as it is.

    Args:
        gradient: :math:`\nabla f`.
        forward: :math:`K`.
        adjoint: :math:`K^H`.
        prox_dual: ``prox_dual(p, sigma)`` is the proximal map of :math:`\sigma g^*`.
        x0: First guess.
        norm: An upper bound of :math:`\|K\|`.
        lipschitz: An upper bound of :math:`L`.
        balance: Larger favors the dual step, smaller the primal one.
        iterations: Largest number of steps.
        tolerance: A member stops once a step changes it by no more than this part of its norm; 0
            takes every step.
        objective: Recorded at every iterate when given; one number per member.
        axes: Axes of one vector; every other axis is batch.
    """
    sigma = balance / norm
    tau = 1 / (lipschitz + sigma * norm**2)
    x, dual = x0, torch.zeros_like(forward(x0))
    progress = Progress(x0, axes, objective)
    for _ in range(iterations):
        proposed = x - tau * (gradient(x) + adjoint(dual))
        new = torch.where(progress.active, proposed, x) if tolerance else proposed
        dual = prox_dual(dual + sigma * forward(2 * new - x), sigma)
        change, x = new - x, new
        if tolerance:
            done = energy(change, axes) <= tolerance**2 * energy(x, axes)
        else:
            done = torch.zeros_like(progress.active)
        progress.record(x, done)
        if tolerance and not progress.active.any():
            break
    return progress.solution(x)
