"""Solutions of linear systems that are differentiated without their iterations."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Complex
from torch import Tensor
from torch.autograd.function import once_differentiable

from mrirecon.solvers.base import Axes
from mrirecon.solvers.conjugate_gradient import conjugate_gradient

Gram = Callable[..., Tensor]


def implicit_cg(
    gram: Gram,
    b: Complex[Tensor, "..."],
    *parameters: Tensor,
    iterations: int,
    tolerance: float = 0.0,
    x0: Complex[Tensor, "..."] | None = None,
    axes: Axes = (-2, -1),
) -> Complex[Tensor, "..."]:
    r"""Solve :math:`G_\theta x = b` with a gradient whose memory does not grow with the steps.

    The gradient :math:`\bar x` of a loss solves the same Hermitian system,

    .. math:: G_\theta\,v = \bar x, \qquad \bar b = v, \qquad
              \bar\theta = -\partial_\theta \Re\langle v, G_\theta x\rangle

    (implicit function theorem; Aggarwal, Mani and Jacob, IEEE Trans Med Imaging 38:394, 2019). It
    is that of the exact solution, so both solves should come close to it. Second derivatives are
    not available.

    Args:
        gram: ``gram(x, *parameters)`` applies :math:`G_\theta`, Hermitian positive definite.
        b: Right-hand side.
        parameters: :math:`\theta`, all the tensors in ``gram`` that a gradient has to reach.
        iterations: Largest number of steps of either solve.
        tolerance: As for :func:`~mrirecon.solvers.conjugate_gradient.solve_cg`.
        x0: First guess of the solution; no gradient passes through it.
        axes: Axes of one vector; every other axis is batch.
    """

    def solve(gram: Gram, b: Tensor, x0: Tensor | None, parameters: tuple[Tensor, ...]) -> Tensor:
        return conjugate_gradient(
            lambda x: gram(x, *parameters),
            b,
            iterations=iterations,
            tolerance=tolerance,
            x0=x0,
            axes=axes,
        )

    start = None if x0 is None else x0.detach()
    result: Tensor = _ImplicitSolve.apply(gram, solve, start, b, *parameters)
    return result


class _ImplicitSolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gram: Gram, solve: Gram, x0: Any, b: Tensor, *parameters: Tensor) -> Any:
        x = solve(gram, b, x0, parameters)
        if x is b or x is x0:  # no step was needed; an output must not be an input
            x = x.clone()
        ctx.gram, ctx.solve = gram, solve
        ctx.save_for_backward(x, *parameters)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, *saved = ctx.saved_tensors
        v = ctx.solve(ctx.gram, gradients[0], None, tuple(saved))
        wanted = ctx.needs_input_grad[4:]
        found: list[Tensor | None] = [None] * len(saved)
        if any(wanted):
            with torch.enable_grad():
                leaves = [p.detach().requires_grad_(w) for p, w in zip(saved, wanted, strict=True)]
                product = ctx.gram(x.detach(), *leaves)
                indices = [i for i, w in enumerate(wanted) if w]
                of_wanted = torch.autograd.grad(
                    product, [leaves[i] for i in indices], -v, allow_unused=True
                )
            for i, gradient in zip(indices, of_wanted, strict=True):
                found[i] = gradient
        return None, None, None, v, *found
