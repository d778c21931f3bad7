"""Normalization of channels in two halves: of one complex image, its real and imaginary part."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

MULTIPLE = 16


def between_normalizations(
    network: Callable[[Tensor], Tensor], x: Float[Tensor, "b c *pixels"]
) -> Float[Tensor, "b 2 *pixels"]:
    r"""Return :math:`\sigma\,U\big((x - \mu) / \sigma\big) + \mu`, as fastMRI's VarNet has it.

    Mean and unbiased standard deviation are those of the first and of the second half of the
    channels, the two channels of the result get one each. Where a half is constant,
    :math:`\sigma = 0`: it is not divided, and its mean is returned.

    Args:
        network: Network :math:`U` from ``c`` channels to two.
        x: An even number of channels.
    """
    halves = x.unflatten(1, (2, -1))
    mean, std = mean_and_deviation(halves)
    y = network(((halves - mean) / torch.where(std == 0, 1.0, std)).flatten(1, 2))
    return y * std.squeeze(2) + mean.squeeze(2)


def between_paddings(
    network: Callable[[Tensor], Tensor], x: Float[Tensor, "b c *pixels"]
) -> Float[Tensor, "b 2 *pixels"]:
    """Apply a network to what is surrounded by zeros, up to a multiple of 16 along each axis."""
    missing = [-size % MULTIPLE for size in x.shape[2:]]
    pads = [one for both in reversed(missing) for one in (both // 2, both - both // 2)]
    y = network(F.pad(x, pads))
    for axis, both in enumerate(missing, start=2):
        y = y.narrow(axis, both // 2, x.shape[axis])
    return y


def mean_and_deviation(
    parts: Float[Tensor, "b parts n *pixels"],
) -> tuple[Float[Tensor, "b parts 1 *ones"], Float[Tensor, "b parts 1 *ones"]]:
    """Return mean and unbiased standard deviation of each part, zero where it is constant."""
    axes = tuple(range(2, parts.ndim))
    mean = parts.mean(axes, keepdim=True)
    count = parts[0, 0].numel()  # var_mean is several times slower where channels are last
    variance = (parts - mean).square().sum(axes, keepdim=True) / (count - 1)
    # the square root of zero has no gradient, so it is kept out of the graph
    constant = variance == 0
    std = torch.where(constant, 0.0, torch.where(constant, 1.0, variance).sqrt())
    return mean, std
