"""Dilated convolutions, which see far without halving the image."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.channels import from_channels, to_channels

HIDDEN = (32, 32, 64, 64)
DILATIONS = (1, 1, 2, 4)
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "prelu": nn.PReLU,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
}


class DilatedCnn(nn.Module):
    """Dilated 3 x 3 convolutions with ReLUs, a 1 x 1 convolution and a PReLU.

    The network that vSHARP makes its first multiplier with (Yiasemis et al., arXiv:2309.09954).

    Args:
        hidden: Features of each dilated convolution.
        dilations: Dilation of each of these convolutions.
        multiscale: How many of the last of them the 1 x 1 convolution sees.
        activation: What follows it in the place of the PReLU.
        joint: Whether the images are the frames of a series, over which the convolutions go, too.
    """

    images = 1

    def __init__(
        self,
        hidden: tuple[int, ...] = HIDDEN,
        dilations: tuple[int, ...] = DILATIONS,
        multiscale: int = 1,
        activation: Literal["prelu", "relu", "leaky_relu"] = "prelu",
        joint: bool = False,
    ) -> None:
        super().__init__()
        check_multiscale(multiscale, hidden, dilations)
        self.multiscale, self.joint = multiscale, joint
        kind = nn.Conv3d if joint else nn.Conv2d
        self.layers = nn.Sequential(
            *dilated(hidden, dilations, kind),
            kind(sum(hidden[-multiscale:]), 2, 1),
            ACTIVATIONS[activation](),
        )

    def forward(self, image: Complex64[Tensor, "*b h w"]) -> Complex64[Tensor, "*b h w"]:
        """Return the processed images; every leading axis is batch, or of frames."""
        *blocks, output, activation = self.layers
        x = to_channels(image.reshape(-1, *image.shape[-2:]))
        x = x.movedim(0, 1).unsqueeze(0) if self.joint else x
        x = activation(output(last_scales(blocks, x, self.multiscale)))
        x = x.squeeze(0).movedim(0, 1) if self.joint else x
        return from_channels(x).reshape(image.shape)


def check_multiscale(multiscale: int, hidden: tuple[int, ...], dilations: tuple[int, ...]) -> None:
    """Raise ValueError unless there is a dilation for each convolution and are enough of them."""
    check_at_least(1, multiscale=multiscale)
    if len(hidden) != len(dilations) or multiscale > len(hidden):
        raise ValueError(
            "expected a dilation for each convolution, and at most as many scales, got hidden="
            f"{hidden}, dilations={dilations}, multiscale={multiscale}"
        )


def dilated(
    hidden: tuple[int, ...],
    dilations: tuple[int, ...],
    kind: type[nn.Conv2d] | type[nn.Conv3d] = nn.Conv2d,
) -> nn.Sequential:
    """Return convolutions of width 3 of a complex image with ReLUs, one for each dilation."""
    blocks: list[nn.Module] = []
    for (before, after), dilation in zip(pairwise((2, *hidden)), dilations, strict=True):
        blocks += [replicating(before, after, 3, dilation, kind), nn.ReLU()]
    return nn.Sequential(*blocks)


def last_scales(
    blocks: Iterable[nn.Module], x: Float[Tensor, "b 2 *pixels"], multiscale: int
) -> Float[Tensor, "b c *pixels"]:
    """Apply convolutions with ReLUs and return the features of the last ``multiscale`` ones."""
    scales = []
    for block in blocks:
        x = block(x)
        if isinstance(block, nn.ReLU):
            scales.append(x)
    return x if multiscale == 1 else torch.cat(scales[-multiscale:], 1)


def replicating(
    inputs: int,
    outputs: int,
    size: int,
    dilation: int = 1,
    kind: type[nn.Conv2d] | type[nn.Conv3d] = nn.Conv2d,
) -> nn.Conv2d | nn.Conv3d:
    """Return a convolution that repeats the edges: zeros would look like an edge of the object."""
    padding = dilation * (size // 2)
    return kind(inputs, outputs, size, padding=padding, dilation=dilation, padding_mode="replicate")
