"""Complex images around a network between features: as a part of a cascade, or as a denoiser."""

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.errors import ShapeError
from mrirecon.networks.parts.channels import from_channels, stacked_channels
from mrirecon.networks.parts.features import FeatureNetwork, History


class ImageNetwork(nn.Module):
    """A network between features with convolutions from complex images before it and to them after.

    Images are zero-padded to the size that the network needs, and cropped again.

    Args:
        body: Network between the two convolutions.
        inputs: Complex images that it sees together.
        outputs: Complex images that it makes of them.
        kernel: Size of the last convolution, an odd number.
    """

    def __init__(
        self, body: FeatureNetwork, inputs: int = 1, outputs: int = 1, kernel: int = 3
    ) -> None:
        super().__init__()
        check_at_least(1, inputs=inputs, outputs=outputs, kernel=kernel)
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        self.first = nn.Conv2d(2 * inputs, body.inputs, 3, padding=1, bias=False)
        self.body = body
        self.last = nn.Conv2d(body.outputs, 2 * outputs, kernel, padding=kernel // 2, bias=False)

    def forward(
        self,
        images: Complex64[Tensor, "b n h w"],
        history: History = (),
        condition: Float[Tensor, "b e"] | None = None,
    ) -> tuple[Complex64[Tensor, "b m h w"], History]:
        """Return the images and the history that the next cascade takes."""
        b, _, h, w = images.shape
        bottom, right = -h % self.body.multiple, -w % self.body.multiple
        top, left = bottom // 2, right // 2
        x = F.pad(stacked_channels(images), [left, right - left, top, bottom - top])
        x, history = self.body(self.first(x), history, condition)
        x = self.last(x)[..., top : top + h, left : left + w]
        return from_channels(x.reshape(-1, 2, h, w)).reshape(b, -1, h, w), history


class Denoiser(nn.Module):
    r"""A network between features as a regularizer of complex images.

    .. math:: D(x) = x + \sigma\,N(x / \sigma)

    with the root-mean-square :math:`\sigma` of the images that are seen together, so the result
    follows the scale of the data, and an empty image stays empty.

    Args:
        body: What :math:`N` is made of; it must take no embedding.
        images: Complex images seen together, such as adjacent slices. More than one have an axis
            of their own before ``h``.
        outputs: How many of them are denoised, from the first one on; None for all. A single one
            has no axis of its own.
    """

    def __init__(self, body: FeatureNetwork, images: int = 1, outputs: int | None = None) -> None:
        super().__init__()
        self.images = images
        self.outputs = images if outputs is None else outputs
        check_at_least(1, images=images, outputs=self.outputs)
        if self.outputs > images:
            raise ValueError(f"outputs must be at most images={images}, got {outputs}")
        if body.condition or body.history:
            raise ValueError(
                "a denoiser knows neither an embedding nor earlier cascades; set condition=0 and "
                f"history=0 in its network, which has {body.condition} and {body.history}"
            )
        self.network = ImageNetwork(body, images, self.outputs)

    def forward(self, image: Complex64[Tensor, "*b h w"]) -> Complex64[Tensor, "*c h w"]:
        """Return the denoised images; every leading axis but that of ``images`` is batch.

        Raises:
            ShapeError: When the axis of the images has another length.
        """
        h, w = image.shape[-2:]
        if self.images > 1 and (image.ndim < 3 or image.shape[-3] != self.images):
            raise ShapeError(
                f"the denoiser takes {self.images} images in the axis before (h, w), got an input "
                f"of {tuple(image.shape)}; set its images to their number"
            )
        x = image.reshape(-1, self.images, h, w)
        power = torch.view_as_real(x).square().mean((-4, -3, -2, -1), keepdim=True).squeeze(-1)
        empty = power == 0  # the square root of zero has no gradient
        rms = torch.where(empty, 0.0, torch.where(empty, 1.0, power).sqrt())
        change, _ = self.network(x / torch.where(empty, 1.0, rms))
        y = x[:, : self.outputs] + rms * change
        batch = image.shape[:-2] if self.images == 1 else image.shape[:-3]
        return y.reshape(*batch, *([self.outputs] if self.outputs > 1 else []), h, w)
