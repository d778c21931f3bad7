"""Dilated convolutions, which see far without halving the image."""

from itertools import pairwise

from jaxtyping import Complex64
from torch import Tensor, nn

from mrirecon.networks.parts.channels import from_channels, to_channels

HIDDEN = (32, 32, 64, 64)
DILATIONS = (1, 1, 2, 4)


class DilatedCnn(nn.Module):
    """Dilated 3 x 3 convolutions with ReLUs, a 1 x 1 convolution and a PReLU.

    The network that vSHARP makes its first multiplier with (Yiasemis et al., arXiv:2309.09954).

    Args:
        hidden: Features of each dilated convolution.
        dilations: Dilation of each of these convolutions.
    """

    def __init__(
        self, hidden: tuple[int, ...] = HIDDEN, dilations: tuple[int, ...] = DILATIONS
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *dilated(hidden, dilations), nn.Conv2d(hidden[-1], 2, 1), nn.PReLU()
        )

    def forward(self, image: Complex64[Tensor, "*b h w"]) -> Complex64[Tensor, "*b h w"]:
        """Return the processed images; every leading axis is batch."""
        flat = image.reshape(-1, *image.shape[-2:])
        return from_channels(self.layers(to_channels(flat))).reshape(image.shape)


def dilated(hidden: tuple[int, ...], dilations: tuple[int, ...]) -> nn.Sequential:
    """Return 3 x 3 convolutions of a complex image with ReLUs, one for each dilation."""
    blocks: list[nn.Module] = []
    for (before, after), dilation in zip(pairwise((2, *hidden)), dilations, strict=True):
        blocks += [replicating(before, after, 3, dilation), nn.ReLU()]
    return nn.Sequential(*blocks)


def replicating(inputs: int, outputs: int, size: int, dilation: int = 1) -> nn.Conv2d:
    """Return a convolution that repeats the edges: zeros would look like an edge of the object."""
    return nn.Conv2d(
        inputs,
        outputs,
        size,
        padding=dilation * (size // 2),
        dilation=dilation,
        padding_mode="replicate",
    )
