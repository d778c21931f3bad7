"""A network between features on complex images that were normalized together."""

import torch
from jaxtyping import Complex64
from torch import Tensor, nn

from mrirecon.errors import ShapeError
from mrirecon.networks.denoiser import ImageNetwork
from mrirecon.networks.parts.features import FeatureNetwork
from mrirecon.networks.parts.normalized_halves import mean_and_deviation


class NormalizedImages(nn.Module):
    r"""A network between features on images that have been normalized by one mean and deviation.

    .. math:: D(x) = \sigma\,N\big((x - \mu) / \sigma\big) + \mu

    with mean and unbiased standard deviation of all real and imaginary parts of the images that
    are seen together (Xin et al., arXiv:2309.13839); :math:`\mu` is taken from, and added to, real
    and imaginary parts alike. Where they are constant, :math:`\sigma = 0`, they are returned as
    they are: an empty slice stays empty.

    Args:
        body: What :math:`N` is made of; it must take no embedding and no history.
        images: Complex images seen together, such as adjacent slices. More than one have an axis
            of their own before ``h``.
        kernel: Size of the last convolution, an odd number.
    """

    def __init__(self, body: FeatureNetwork, images: int = 1, kernel: int = 3) -> None:
        super().__init__()
        if body.condition or body.history:
            raise ValueError(
                "NormalizedImages knows neither an embedding nor earlier cascades; set condition=0 "
                f"and history=0 in its network, which has {body.condition} and {body.history}"
            )
        self.images = self.outputs = images
        self.network = ImageNetwork(body, images, images, kernel)

    def forward(self, image: Complex64[Tensor, "*b h w"]) -> Complex64[Tensor, "*b h w"]:
        """Return as many images; every leading axis but that of ``images`` is batch.

        Raises:
            ShapeError: When the axis of the images has another length.
        """
        h, w = image.shape[-2:]
        if self.images > 1 and (image.ndim < 3 or image.shape[-3] != self.images):
            raise ShapeError(
                f"the network takes {self.images} images in the axis before (h, w), got an input "
                f"of {tuple(image.shape)}; set its images to their number"
            )
        parts = torch.view_as_real(image.reshape(-1, 1, self.images, h, w))
        mean, std = mean_and_deviation(parts)
        normal = torch.view_as_complex((parts - mean) / torch.where(std == 0, 1.0, std))
        made = torch.view_as_real(self.network(normal.squeeze(1))[0]).unsqueeze(1)
        return torch.view_as_complex(made * std + mean).reshape(image.shape)
