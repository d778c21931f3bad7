"""The U-Net baseline of fastMRI (Zbontar et al., arXiv:1811.08839)."""

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.image import complex_image, root_sum_of_squares
from mrirecon.networks.unet import Unet
from mrirecon.operators import coil_images
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.types import Image, Sample

EPSILON = 1e-11
CLAMP = 6.0


class UNet(Reconstructor):
    r"""A U-Net that cleans the magnitude of the zero-filled image.

    .. math:: \hat x = \sigma\,U\big((z - \mu) / \sigma\big) + \mu, \qquad
              z = \sqrt{\sum_c |F^H y_c|^2}

    with mean and unbiased standard deviation of :math:`z`, and the input limited to six standard
    deviations. It has no data consistency.

    Args:
        channels: Features of the first level; fastMRI's public weights have 256.
        pools: Number of halvings.
        dropout: Probability of zeroing a feature map.
        crop: Whether to cut :math:`z` to the field of view of the reconstruction before anything
            else, as fastMRI's ``UnetDataTransform`` does, so that mean and standard deviation are
            those of the image that is shown. What lies outside, such as readout oversampling, stays
            zero-filled. fastMRI's public weights need it; ``conf/model/unet.yaml`` says so. The
            host waits for the sizes once per batch.
    """

    needs_grid = ""

    def __init__(
        self, channels: int = 32, pools: int = 4, dropout: float = 0.0, crop: bool = False
    ) -> None:
        super().__init__()
        self.unet = Unet(1, 1, channels=channels, pools=pools, dropout=dropout)
        self.crop = crop

    def forward(self, sample: Sample) -> Image:
        """Return the magnitude, as a complex image; noise may make it slightly negative."""
        z = root_sum_of_squares(coil_images(sample))
        if not self.crop or sample.region is None:
            return complex_image(self._cleaned(z))
        h, w = z.shape[-2:]
        flat, regions = z.reshape(-1, h, w), sample.region.reshape(-1, 2).tolist()
        image = flat.clone()
        sizes = {(y, x) for y, x in regions}  # one, unless scans of several sizes meet
        for y, x in sizes:
            members: slice | list[int] = slice(None)
            if len(sizes) > 1:
                members = [i for i, region in enumerate(regions) if region == [y, x]]
            top, left = h // 2 - y // 2, w // 2 - x // 2
            rows, columns = slice(top, top + y), slice(left, left + x)
            image[members, rows, columns] = self._cleaned(flat[members, rows, columns])
        return complex_image(image.reshape(z.shape))

    def _cleaned(self, z: Float32[Tensor, "*b h w"]) -> Float32[Tensor, "*b h w"]:
        h, w = z.shape[-2:]
        std, mean = torch.std_mean(z.detach(), (-2, -1), keepdim=True)
        x = ((z - mean) / (std + EPSILON)).clamp(-CLAMP, CLAMP)
        x = self.unet(x.reshape(-1, 1, h, w)).float().reshape(z.shape)
        return x * std + mean
