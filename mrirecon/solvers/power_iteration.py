"""The largest eigenvalue of a Hermitian operator."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from mrirecon.solvers.base import Axes, Operator, energy, inner, nonzero, squeeze


def power_iteration(
    gram: Operator,
    like: Shaped[Tensor, "..."],
    *,
    iterations: int = 30,
    tolerance: float = 0.0,
    axes: Axes = (-2, -1),
    seed: int = 0,
) -> Float[Tensor, "..."]:
    r"""Return the largest eigenvalue of the positive semi-definite :math:`G` of each member.

    It is approached from below: multiply by a little more than one where an upper bound is needed.
    The start is random with a fixed seed and the same for every member.

    Args:
        gram: The operator :math:`G`, applied to a tensor like ``like``.
        like: A tensor of the shape, dtype and device that ``gram`` takes; its values do not matter.
        iterations: Largest number of steps.
        tolerance: Relative change of the eigenvalues in a step at which it stops; 0 takes every
            step.
        axes: Axes of one vector; every other axis is batch.
        seed: Seed of the random start.
    """
    shape = [1] * like.ndim
    for axis in axes:
        shape[axis] = like.shape[axis]
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(shape, dtype=like.dtype, generator=generator)
    x = start.to(like.device).expand(like.shape)
    value = torch.zeros_like(energy(x, axes))
    for _ in range(iterations):
        x = x / nonzero(energy(x, axes).sqrt())
        product = gram(x)
        previous, value = value, inner(x, product, axes)
        x = product
        if tolerance and ((value - previous).abs() <= tolerance * value).all():
            break
    return squeeze(value, axes)
