"""Accelerated proximal gradients."""

from collections.abc import Callable

import torch
from jaxtyping import Complex
from torch import Tensor

from mrirecon.solvers.base import Axes, Operator, Progress, Solution, energy, inner


def fista(
    gradient: Operator,
    prox: Callable[[Tensor, float], Tensor],
    x0: Complex[Tensor, "..."],
    *,
    step: float = 1.0,
    iterations: int,
    tolerance: float = 0.0,
    objective: Operator | None = None,
    axes: Axes = (-2, -1),
) -> Solution:
    r"""Minimize :math:`f(x) + g(x)` with smooth :math:`f` and simple :math:`g`.

    .. math:: x_{k+1} = \operatorname{prox}_{\tau g}\big(z_k - \tau\nabla f(z_k)\big), \qquad
              z_{k+1} = x_{k+1} + \frac{t_k - 1}{t_{k+1}}(x_{k+1} - x_k)

    (Beck and Teboulle, SIAM J Imaging Sci 2:183, 2009), with the momentum of a member dropped
    whenever it points uphill, :math:`\Re\langle z_k - x_{k+1}, x_{k+1} - x_k\rangle > 0`
    (O'Donoghue and Candès, Found Comput Math 15:715, 2015). Members of the batch are problems of
    their own; one that has converged is left as it is.

    Args:
        gradient: The gradient :math:`\nabla f`, a function of :math:`x`.
        prox: ``prox(v, step)`` is the minimizer of
            :math:`\tfrac12\|x - v\|^2 + \text{step}\cdot g(x)`.
        x0: First guess of the minimizer.
        step: Step size :math:`\tau`, at most one over the Lipschitz constant of the gradient.
        iterations: Largest number of steps.
        tolerance: A member stops once a step changes it by no more than this part of its norm; 0
            takes every step.
        objective: The function :math:`f + g`, one number per member, recorded at every iterate;
            None records nothing.
        axes: Axes of one vector; every other axis is batch.
    """
    x = z = x0
    progress = Progress(x0, tolerance, axes, objective)
    t = torch.ones_like(energy(x0.detach(), axes))
    for _ in range(iterations):
        new = progress.next(x, prox(z - step * gradient(z), step))
        change = new - x
        uphill = inner(z - new, change, axes) > 0
        following = (1 + torch.sqrt(1 + 4 * t * t)) / 2
        momentum = torch.where(uphill, 0.0, (t - 1) / following)
        t = torch.where(uphill, torch.ones_like(t), following)
        z = new + momentum * change
        x = new
        if progress.finished(x, change):
            break
    return progress.solution(x)
