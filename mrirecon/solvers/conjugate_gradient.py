"""Conjugate gradients for Hermitian positive semi-definite systems."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from mrirecon.solvers.base import Axes, Operator, Solution, energy, inner, nonzero, squeeze


def conjugate_gradient(
    gram: Operator,
    b: Complex[Tensor, "..."],
    *,
    iterations: int,
    tolerance: float = 0.0,
    x0: Complex[Tensor, "..."] | None = None,
    axes: Axes = (-2, -1),
) -> Complex[Tensor, "..."]:
    """Return the ``x`` of :func:`solve_cg`."""
    return solve_cg(gram, b, iterations=iterations, tolerance=tolerance, x0=x0, axes=axes).x


def solve_cg(
    gram: Operator,
    b: Complex[Tensor, "..."],
    *,
    iterations: int,
    tolerance: float = 0.0,
    x0: Complex[Tensor, "..."] | None = None,
    axes: Axes = (-2, -1),
    reference: Float[Tensor, "..."] | None = None,
    precondition: Operator | None = None,
    trace: bool = False,
) -> Solution:
    r"""Solve :math:`G x = b` for Hermitian positive semi-definite :math:`G`.

    Each member of the batch is a system of its own: inner products run over ``axes`` only, and a
    member that has converged is left as it is, so its solution does not depend on its neighbours.
    (Hestenes and Stiefel, J Res Natl Bur Stand 49:409, 1952.)

    Args:
        gram: The operator :math:`G`, applied to a tensor of the shape of ``b``.
        b: Right-hand side :math:`b` of the equation.
        iterations: Largest number of steps.
        tolerance: A member stops once :math:`\|b - Gx\| \le \text{tolerance}\,\|b\|`; with 0 every
            step is taken, without the synchronisation that the test costs on a GPU. A residual
            below the rounding of ``b`` is never made smaller: there are only numbers without a
            meaning to divide by.
        x0: First guess; zero when None.
        axes: Axes of one vector; every other axis is batch.
        reference: What the residual is compared with instead of :math:`\|b\|`, broadcastable to
            the members with the summed axes kept.
        precondition: Hermitian positive definite operator that is about the inverse of :math:`G`
            and cheaper than it: fewer steps are taken to the same solution.
        trace: Whether to record the objective :math:`\tfrac12 x^HGx - \Re\,x^Hb`.
    """
    x = torch.zeros_like(b) if x0 is None else x0
    residual = b if x0 is None else b - gram(x)
    nearer = residual if precondition is None else precondition(residual)
    direction = nearer
    left = energy(residual, axes)
    gain = left if precondition is None else inner(residual, nearer, axes)
    size = energy(b, axes)
    asked = tolerance**2 * (size if reference is None else reference**2)
    enough = torch.maximum(torch.as_tensor(asked), torch.finfo(left.dtype).eps ** 2 * size)
    steps = torch.zeros_like(left, dtype=torch.int64)
    values = [-0.5 * inner(x, b + residual, axes)] if trace else []
    for _ in range(iterations):
        active = ~(left <= enough)  # NaN is no solution, and must not look like one
        if tolerance and not active.any():
            break
        g = gram(direction)
        curvature = inner(direction, g, axes)
        step = torch.where(active & ~(curvature <= 0), gain / nonzero(curvature), 0.0)
        x = torch.addcmul(x, step, direction)
        residual = torch.addcmul(residual, step, g, value=-1)
        previous, left = gain, energy(residual, axes)
        nearer = residual if precondition is None else precondition(residual)
        gain = left if precondition is None else inner(residual, nearer, axes)
        direction = torch.addcmul(nearer, gain / nonzero(previous), direction)
        steps = steps + active
        if trace:
            values.append(-0.5 * inner(x, b + residual, axes))
    converged = (left <= asked) if tolerance else torch.zeros_like(left, dtype=torch.bool)
    objective = torch.stack([squeeze(value, axes) for value in values]) if trace else None
    return Solution(x, squeeze(steps, axes), squeeze(converged, axes), objective)
