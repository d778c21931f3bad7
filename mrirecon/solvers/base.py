"""The result of a solver, and the inner products that keep the members of a batch apart."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

Axes = tuple[int, ...]
Operator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Solution:
    """Where an iteration ended, for every member of the batch.

    Attributes:
        x: The last iterate.
        iterations: Steps taken until the member stopped.
        converged: Whether it met the tolerance; always False where none was asked for.
        objective: What was minimized, before the first step and after each one; None when it was
            not asked for. A member that has stopped keeps its value.
    """

    x: Shaped[Tensor, "..."]
    iterations: Int64[Tensor, "..."]
    converged: Bool[Tensor, "..."]
    objective: Float[Tensor, "step ..."] | None = None


class Progress:
    """Counts the steps of each member, stops those that change no more, records the objective.

    Args:
        x: The first iterate.
        tolerance: A member stops once a step changes it by no more than this part of its norm; 0
            stops none.
        axes: Axes of one vector; every other axis is batch.
        objective: Evaluated at every iterate, one number per member, when given.
    """

    def __init__(
        self, x: Tensor, tolerance: float, axes: Axes, objective: Operator | None = None
    ) -> None:
        norms = energy(x.detach(), axes)
        self.axes, self.tolerance = axes, tolerance
        self.active = torch.ones_like(norms, dtype=torch.bool)
        self.iterations = torch.zeros_like(norms, dtype=torch.int64)
        self.objective = objective
        self.trace: list[Tensor] = [] if objective is None else [objective(x)]

    def next(self, x: Tensor, proposed: Tensor) -> Tensor:
        """Return what was proposed, and of members that have stopped what they were."""
        return torch.where(self.active, proposed, x) if self.tolerance else proposed

    def finished(self, x: Tensor, change: Tensor) -> bool:
        """Note a step by ``change`` to ``x``; tell whether all members have stopped."""
        self.iterations = self.iterations + self.active
        if self.objective is not None:
            self.trace.append(self.objective(x))
        if not self.tolerance:
            return False
        done = energy(change, self.axes) <= self.tolerance**2 * energy(x, self.axes)
        self.active = self.active & ~done
        return not self.active.any()

    def solution(self, x: Tensor) -> Solution:
        """Return the Solution that ends at ``x``."""
        return Solution(
            x,
            squeeze(self.iterations, self.axes),
            squeeze(~self.active, self.axes),
            torch.stack(self.trace) if self.trace else None,
        )


def energy(x: Shaped[Tensor, "..."], axes: Axes) -> Float[Tensor, "..."]:
    """Squared norm of each member; the summed axes keep size one."""
    return _sum(torch.view_as_real(x).square() if x.is_complex() else x.square(), x.ndim, axes)


def inner(a: Shaped[Tensor, "..."], b: Shaped[Tensor, "..."], axes: Axes) -> Float[Tensor, "..."]:
    r"""Real part of :math:`\langle a, b\rangle` of each member; the summed axes keep size one."""
    if a.is_complex():
        return _sum(torch.view_as_real(a) * torch.view_as_real(b), a.ndim, axes)
    return _sum(a * b, a.ndim, axes)


def _sum(products: Tensor, ndim: int, axes: Axes) -> Tensor:
    """Sum over the axes, and at the same time over the real and the imaginary part behind them.

    One sum after the other is ten times slower.
    """
    parts = range(ndim, products.ndim)
    total = products.sum([axis % ndim for axis in axes] + [*parts], keepdim=True)
    return total.squeeze(-1) if parts else total


def squeeze(x: Shaped[Tensor, "..."], axes: Axes) -> Shaped[Tensor, "..."]:
    """Remove the axes that a sum kept."""
    for axis in sorted(axis % x.ndim for axis in axes)[::-1]:
        x = x.squeeze(axis)
    return x


def nonzero(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return ``x`` with one where it is zero or negative, to divide by; NaN stays."""
    return torch.where(x <= 0, 1.0, x)
