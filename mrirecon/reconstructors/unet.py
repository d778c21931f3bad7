"""The U-Net baseline of fastMRI (Zbontar et al., arXiv:1811.08839)."""

import torch

from mrirecon.fourier import ifft
from mrirecon.image import complex_image, root_sum_of_squares
from mrirecon.networks.unet import Unet
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.types import Image, Sample

EPSILON = 1e-11
CLAMP = 6.0


class UNet(Reconstructor):
    r"""A U-Net that cleans the magnitude of the zero-filled image.

    .. math:: \hat x = \sigma\,U\big((z - \mu) / \sigma\big) + \mu, \qquad
              z = \sqrt{\sum_c |F^H y_c|^2}

    with mean and unbiased standard deviation of :math:`z`, and the input limited to six standard
    deviations. It has no data consistency. fastMRI crops :math:`z` before it normalizes; its public
    weights see what they were trained on when readout oversampling has been removed.

    Args:
        channels: Features of the first level; fastMRI's public weights have 256.
        pools: Number of halvings.
        dropout: Probability of zeroing a feature map.
    """

    def __init__(self, channels: int = 32, pools: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.unet = Unet(1, 1, channels=channels, pools=pools, dropout=dropout)

    def forward(self, sample: Sample) -> Image:
        """Return the magnitude, as a complex image; noise may make it slightly negative."""
        z = root_sum_of_squares(ifft(sample.kspace))
        h, w = z.shape[-2:]
        std, mean = torch.std_mean(z.detach(), (-2, -1), keepdim=True)
        x = ((z - mean) / (std + EPSILON)).clamp(-CLAMP, CLAMP)
        x = self.unet(x.reshape(-1, 1, h, w)).float().reshape(z.shape)
        return complex_image(x * std + mean)
