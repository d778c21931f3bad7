"""A U-Net on complex images, normalized and padded as in fastMRI's VarNet."""

from jaxtyping import Complex64
from torch import Tensor, nn

from mrirecon.networks.parts.channels import from_channels, to_channels
from mrirecon.networks.parts.normalized_halves import between_normalizations, between_paddings
from mrirecon.networks.unet import Unet


class NormUnet(nn.Module):
    r"""U-Net on the real and imaginary channels of a normalized complex image.

    .. math:: D(x) = \sigma\,U\big((x - \mu) / \sigma\big) + \mu

    with mean and unbiased standard deviation of the real and of the imaginary part of each image
    (Sriram et al., MICCAI 2020). The image is zero-padded to a multiple of 16. Where a part is
    constant, :math:`\sigma = 0` and the part is returned as it is: an empty slice stays empty.

    Args:
        channels: Features of the first level.
        pools: Number of halvings.
        dropout: Probability of zeroing a feature map.
    """

    images = 1

    def __init__(self, channels: int = 18, pools: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.unet = Unet(2, 2, channels=channels, pools=pools, dropout=dropout)

    def forward(self, image: Complex64[Tensor, "*b h w"]) -> Complex64[Tensor, "*b h w"]:
        """Return the processed images; every leading axis is batch."""
        x = to_channels(image.reshape(-1, *image.shape[-2:]))
        x = between_normalizations(lambda normal: between_paddings(self.unet, normal), x)
        return from_channels(x).reshape(image.shape)
