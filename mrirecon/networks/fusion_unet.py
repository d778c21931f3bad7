"""A U-Net that makes one complex image of several."""

from jaxtyping import Complex64
from torch import Tensor, nn

from mrirecon.networks.parts.channels import from_channels, stacked_channels
from mrirecon.networks.parts.normalized_halves import between_normalizations, between_paddings
from mrirecon.networks.unet import Unet


class FusionUnet(nn.Module):
    """U-Net from the real and imaginary channels of several images to those of one.

    Its instance normalization forgets the scale of the input, so images should come scaled, or be
    ``normalized``.

    Args:
        images: Number of complex images in the input.
        channels: Features of the first level.
        pools: Number of halvings.
        dropout: Probability of zeroing a feature map.
        bias: Whether the last convolution has a bias.
        normalized: Whether both halves of the channels are normalized first and the images
            zero-padded to a multiple of 16, as in :class:`~mrirecon.networks.NormUnet`; the real
            part of the result gets mean and deviation of the first half.
    """

    def __init__(
        self,
        images: int = 3,
        channels: int = 32,
        pools: int = 4,
        dropout: float = 0.0,
        bias: bool = True,
        normalized: bool = False,
    ) -> None:
        super().__init__()
        self.images = images
        self.normalized = normalized
        self.unet = Unet(2 * images, 2, channels, pools, dropout, bias)

    def forward(self, images: Complex64[Tensor, "*b n h w"]) -> Complex64[Tensor, "*b h w"]:
        """Return one image; ``n`` images are the inputs, every other leading axis is batch."""
        *batch, _, h, w = images.shape
        x = stacked_channels(images.reshape(-1, *images.shape[-3:]))
        if self.normalized:
            x = between_normalizations(lambda normal: between_paddings(self.unet, normal), x)
        else:
            x = self.unet(x)
        return from_channels(x).reshape(*batch, h, w)
