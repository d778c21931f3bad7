"""The orthonormal Haar transform of feature maps, one level; pooling that loses nothing."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def haar_split(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
    """Return the four bands of each map at half the size: low, rows, columns, both.

    ``h`` and ``w`` have to be even. The bands of all maps lie one after the other along the
    channels, so ``d = 4c``.
    """
    a, b = x[..., ::2, ::2], x[..., ::2, 1::2]
    c, d = x[..., 1::2, ::2], x[..., 1::2, 1::2]
    return torch.cat([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], 1) / 2


def haar_merge(bands: Float[Tensor, "b d h2 w2"]) -> Float[Tensor, "b c h w"]:
    """Return the maps of :func:`haar_split`, whose inverse and adjoint it is."""
    low, rows, columns, both = bands.chunk(4, 1)
    pixels = [
        low + rows + columns + both,
        low + rows - columns - both,
        low - rows + columns - both,
        low - rows - columns + both,
    ]
    return F.pixel_shuffle(torch.stack(pixels, 2).flatten(1, 2), 2) / 2
