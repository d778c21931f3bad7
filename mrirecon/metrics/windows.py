"""Windows that metrics look through: Gaussian means, and half the size by means of 2 x 2."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad


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
    flat = images.reshape(-1, 1, *images.shape[-2:])
    flat = conv2d(conv2d(flat, window.reshape(1, 1, -1, 1)), window.reshape(1, 1, 1, -1))
    return flat.reshape(*images.shape[:-2], *flat.shape[-2:])


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
