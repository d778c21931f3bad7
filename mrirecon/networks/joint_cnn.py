"""A small CNN from several complex images to several."""

from itertools import pairwise

from jaxtyping import Complex64
from torch import Tensor, nn

from mrirecon.networks.channels import from_channels, stacked_channels


class JointCnn(nn.Module):
    """3 x 3 convolutions with PReLUs between them.

    Args:
        images: Number of complex images in the input.
        outputs: Number of complex images in the output.
        channels: Features of each hidden layer.
        layers: Number of convolutions.
    """

    def __init__(
        self, images: int = 2, outputs: int = 1, channels: int = 32, layers: int = 3
    ) -> None:
        super().__init__()
        for name, value in (("images", images), ("outputs", outputs), ("channels", channels)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if layers < 2:
            raise ValueError(f"layers must be at least 2, got {layers}")
        sizes = [2 * images, *[channels] * (layers - 1), 2 * outputs]
        blocks: list[nn.Module] = []
        for before, after in pairwise(sizes):
            blocks += [nn.Conv2d(before, after, 3, padding=1), nn.PReLU()]
        self.layers = nn.Sequential(*blocks[:-1])

    def forward(self, images: Complex64[Tensor, "*b n h w"]) -> Complex64[Tensor, "*b m h w"]:
        """Return ``m`` images for ``n``; every other leading axis is batch."""
        *batch, _, h, w = images.shape
        x = self.layers(stacked_channels(images.reshape(-1, *images.shape[-3:])))
        return from_channels(x.reshape(-1, 2, h, w)).reshape(*batch, -1, h, w)
