"""The contract of networks from several complex images to several."""

from abc import ABC, abstractmethod

from jaxtyping import Complex64, Float
from torch import Tensor, nn

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.channels import from_channels, stacked_channels


class JointNetwork(nn.Module, ABC):
    """Sees the real and imaginary parts of a stack of images as channels.

    Args:
        images: Number of complex images in the input.
        outputs: Number of complex images in the output.
    """

    def __init__(self, images: int, outputs: int) -> None:
        super().__init__()
        check_at_least(1, images=images, outputs=outputs)
        self.images = images
        self.outputs = outputs

    @abstractmethod
    def process(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Return ``2 * outputs`` channels for ``2 * images``."""

    def forward(self, images: Complex64[Tensor, "*b n h w"]) -> Complex64[Tensor, "*b m h w"]:
        """Return ``m`` images for ``n``; every other leading axis is batch."""
        *batch, _, h, w = images.shape
        x = self.process(stacked_channels(images.reshape(-1, *images.shape[-3:])))
        return from_channels(x.reshape(-1, 2, h, w)).reshape(*batch, -1, h, w)
