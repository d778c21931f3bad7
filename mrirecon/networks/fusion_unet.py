"""A U-Net that makes one complex image of several."""

from jaxtyping import Complex64
from torch import Tensor, nn

from mrirecon.networks.parts.channels import from_channels, stacked_channels
from mrirecon.networks.unet import Unet


class FusionUnet(nn.Module):
    """U-Net from the real and imaginary channels of several images to those of one.

    Its instance normalization forgets the scale of the input, so images should come scaled.

    Args:
        images: Number of complex images in the input.
        channels: Features of the first level.
        pools: Number of halvings.
        dropout: Probability of zeroing a feature map.
    """

    def __init__(
        self, images: int = 3, channels: int = 32, pools: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.images = images
        self.unet = Unet(2 * images, 2, channels=channels, pools=pools, dropout=dropout)

    def forward(self, images: Complex64[Tensor, "*b n h w"]) -> Complex64[Tensor, "*b h w"]:
        """Return one image; ``n`` images are the inputs, every other leading axis is batch."""
        *batch, _, h, w = images.shape
        flat = images.reshape(-1, *images.shape[-3:])
        x = self.unet(stacked_channels(flat))
        return from_channels(x).reshape(*batch, h, w)
