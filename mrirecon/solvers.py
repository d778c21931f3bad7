"""Iterative solvers: plain functions of callables and tensors, unaware of MRI."""

from collections.abc import Callable

import torch
from jaxtyping import Complex
from torch import Tensor


def conjugate_gradient(
    gram: Callable[[Tensor], Tensor],
    b: Complex[Tensor, "..."],
    *,
    iterations: int,
    tolerance: float = 0.0,
    x0: Complex[Tensor, "..."] | None = None,
    axes: tuple[int, ...] = (-2, -1),
) -> Complex[Tensor, "..."]:
    r"""Solve :math:`G x = b` for Hermitian positive semi-definite :math:`G`.

    Each member of the batch is a system of its own: inner products run over ``axes`` only, and a
    member that has converged is left as it is, so its solution does not depend on its neighbours.
    (Hestenes and Stiefel, J Res Natl Bur Stand 49:409, 1952.)

    Args:
        gram: Applies :math:`G`.
        b: Right-hand side.
        iterations: Largest number of steps.
        tolerance: A member stops once :math:`\|b - Gx\| \le \text{tolerance}\,\|b\|`; with 0 every
            step is taken, without the synchronisation that the test costs on a GPU.
        x0: First guess; zero when None.
        axes: Axes of one vector; every other axis is batch.
    """
    x = torch.zeros_like(b) if x0 is None else x0
    residual = b if x0 is None else b - gram(x)
    direction = residual
    energy = _energy(residual, axes)
    enough = tolerance**2 * _energy(b, axes)
    for _ in range(iterations):
        active = energy > enough
        if tolerance and not active.any():
            break
        g = gram(direction)
        curvature = (direction.conj() * g).real.sum(axes, keepdim=True)
        step = torch.where(active & (curvature > 0), energy / _nonzero(curvature), 0.0)
        x = x + step * direction
        residual = residual - step * g
        previous, energy = energy, _energy(residual, axes)
        direction = residual + energy / _nonzero(previous) * direction
    return x


def _energy(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return torch.view_as_real(x).square().sum(-1).sum(axes, keepdim=True)


def _nonzero(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 1.0)
