"""Windows that metrics look through: Gaussian means, and half the size by means of 2 x 2."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad


def gaussian(size: int, sigma: float) -> Float[Tensor, " size"]:
    """Return a Gaussian window of unit sum in double precision.

    Args:
        size: Number of samples; odd.
        sigma: Standard deviation in samples.
    """
    x = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    window = (-(x**2) / (2 * sigma**2)).exp()
    return window / window.sum()


def smoothed(
    images: Float[Tensor, "*b y x"], window: Float[Tensor, " size"]
) -> Float[Tensor, "*b v u"]:
    """Average with a separable window, only where it lies inside of the image."""
    return weighted(weighted(images, window, -2), window, -1)


def weighted(images: Tensor, window: Float[Tensor, " size"], dim: int) -> Tensor:
    """Sum neighbours along one axis with the weights of a window, where it lies inside.

    Sums of shifted images: many times faster than convolutions of double precision on a CPU.
    """
    length = images.shape[dim] - len(window) + 1
    total = torch.zeros_like(images.narrow(dim, 0, length))
    for place, weight in enumerate(window.tolist()):
        total.add_(images.narrow(dim, place, length), alpha=weight)
    return total


def run_sum(images: Tensor, size: int, dim: int) -> Tensor:
    """Sum ``size`` neighbours along one axis, where they lie inside; ``size`` is a power of two."""
    step = 1
    while step < size:
        length = images.shape[dim] - step
        images = images.narrow(dim, 0, length) + images.narrow(dim, step, length)
        step *= 2
    return images


def inside(where: Float[Tensor, "*b y x"] | None, size: int) -> Float[Tensor, "*b v u"] | None:
    """Return which centres count of the windows that lie inside of the image."""
    border = size // 2
    if where is None or not border:
        return where
    return where[..., border:-border, border:-border]


def halved(images: Float[Tensor, "b y x"]) -> Float[Tensor, "b v u"]:
    """Average 2 x 2 pixels; zeros follow an odd row or column, as in MATLAB's ``conv2``."""
    y, x = images.shape[-2:]
    return avg_pool2d(pad(images, (0, x % 2, 0, y % 2))[:, None], 2)[:, 0]
