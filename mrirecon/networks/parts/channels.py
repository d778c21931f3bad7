"""The only place where complex images become real and imaginary channels for a CNN."""

import torch
from jaxtyping import Complex64, Float
from torch import Tensor


def to_channels(image: Complex64[Tensor, "b h w"]) -> Float[Tensor, "b 2 h w"]:
    """View a complex image as the channels (real, imaginary), without a copy."""
    return torch.view_as_real(image).movedim(-1, -3)


def stacked_channels(images: Complex64[Tensor, "b n h w"]) -> Float[Tensor, "b c h w"]:
    """Return the channels of several complex images one after the other, so ``c = 2n``."""
    return torch.view_as_real(images).movedim(-1, -3).flatten(-4, -3)


def from_channels(channels: Float[Tensor, "b 2 h w"]) -> Complex64[Tensor, "b h w"]:
    """Return the complex image of the channels (real, imaginary), also after autocast."""
    wide = channels if channels.dtype is torch.float64 else channels.float()
    return torch.view_as_complex(wide.movedim(-3, -1).contiguous())
