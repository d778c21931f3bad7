"""A U-Net on complex images, normalized and padded as in fastMRI's VarNet."""

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.networks.parts.channels import from_channels, to_channels
from mrirecon.networks.unet import Unet

MULTIPLE = 16


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
        h, w = image.shape[-2:]
        x = to_channels(image.reshape(-1, h, w))
        mean, std = _statistics(x)
        top, left = (-h % MULTIPLE) // 2, (-w % MULTIPLE) // 2
        x = (x - mean) / torch.where(std == 0, 1.0, std)
        x = F.pad(x, [left, -w % MULTIPLE - left, top, -h % MULTIPLE - top])
        x = self.unet(x)[..., top : top + h, left : left + w]
        return from_channels(x * std + mean).reshape(image.shape)


def _statistics(
    x: Float[Tensor, "b 2 h w"],
) -> tuple[Float[Tensor, "b 2 1 1"], Float[Tensor, "b 2 1 1"]]:
    mean = x.mean((-2, -1), keepdim=True)
    pixels = x.shape[-2] * x.shape[-1]  # var_mean is several times slower where channels are last
    variance = (x - mean).square().sum((-2, -1), keepdim=True) / (pixels - 1)
    # the square root of zero has no gradient, so it is kept out of the graph
    constant = variance == 0
    std = torch.where(constant, 0.0, torch.where(constant, 1.0, variance).sqrt())
    return mean, std
