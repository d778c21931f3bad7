"""A plain convolutional denoiser of complex images."""

from itertools import pairwise

from jaxtyping import Complex64
from torch import Tensor, nn

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.channels import from_channels, to_channels


class ResidualCnn(nn.Module):
    r"""Subtracts what a CNN takes for noise, :math:`D(x) = x - N(x)`.

    Zhang et al., IEEE Trans Image Process 26:3142, 2017 (DnCNN), without batch normalization.

    Args:
        channels: Features of each hidden layer.
        layers: Number of convolutions.
    """

    images = 1

    def __init__(self, channels: int = 32, layers: int = 5) -> None:
        super().__init__()
        check_at_least(1, channels=channels)
        if layers < 2:
            raise ValueError(f"layers must be at least 2, got {layers}")
        sizes = [2, *[channels] * (layers - 1), 2]
        blocks: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            blocks += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*blocks[:-1])

    def forward(self, image: Complex64[Tensor, "*b h w"]) -> Complex64[Tensor, "*b h w"]:
        """Return the denoised images; every leading axis is batch."""
        flat = image.reshape(-1, *image.shape[-2:])
        return image - from_channels(self.layers(to_channels(flat))).reshape(image.shape)
