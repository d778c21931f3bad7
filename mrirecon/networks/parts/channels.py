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


def channels_last(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Return ``x`` with its channels next to each other, as convolutions recognize it.

    They look at the stride of a batch of one, too, which means nothing and which
    ``Tensor.contiguous`` leaves as it is: with another they compute in the other format.
    """
    x = x.permute(0, 2, 3, 1).contiguous()
    return x.flatten(0, 1).unflatten(0, x.shape[:2]).permute(0, 3, 1, 2)


def from_channels(channels: Float[Tensor, "b 2 h w"]) -> Complex64[Tensor, "b h w"]:
    """Return the complex image of the channels (real, imaginary), also after autocast."""
    wide = channels if channels.dtype is torch.float64 else channels.float()
    return torch.view_as_complex(wide.movedim(-3, -1).contiguous())
