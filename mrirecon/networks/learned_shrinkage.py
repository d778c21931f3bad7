"""Soft thresholding in a learned domain, the denoiser of ISTA-Net+."""

import math

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.channels import from_channels, to_channels
from mrirecon.networks.parts.penalized import Penalized


def shrink(x: Float[Tensor, "..."], threshold: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    r"""Return :math:`\operatorname{sign}(x)\max(|x| - \theta, 0)` of real features."""
    return x.sign() * F.relu(x.abs() - threshold)


class LearnedShrinkage(Penalized):
    r"""Shrinks the features of a learned transform.

    .. math:: D(r) = r + G\,\tilde H\,\operatorname{soft}(H\,C\,r,\ \theta)

    :math:`C` and :math:`G` are convolutions to and from ``channels`` features; :math:`H` and
    :math:`\tilde H`, two convolutions with a ReLU between them each, are to become inverse to one
    another: see :meth:`penalty`. No convolution has a bias (Zhang and Ghanem, CVPR 2018,
    equations 9 to 13).

    Args:
        channels: Features of the transforms.
        threshold: Threshold :math:`\theta` before training; its softplus is applied, so it stays
            positive.
    """

    def __init__(self, channels: int = 32, threshold: float = 0.01) -> None:
        super().__init__()
        check_at_least(1, channels=channels)
        if threshold <= 0:
            raise ValueError(f"threshold must be positive, got {threshold}")
        self.initial = inverse_softplus(threshold)
        self.expand = _conv(2, channels)
        self.transform = _pair(channels)
        self.inverse = _pair(channels)
        self.reduce = _conv(channels, 2)
        self.threshold = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the threshold to its value before training."""
        nn.init.constant_(self.threshold, self.initial)

    def forward(self, image: Complex64[Tensor, "*b h w"]) -> Complex64[Tensor, "*b h w"]:
        """Return the denoised images; every leading axis is batch."""
        transformed = self.transform(self._features(image))
        shrunk = shrink(transformed, F.softplus(self.threshold))
        change = from_channels(self.reduce(self.inverse(shrunk)))
        return image + change.reshape(image.shape)

    def penalty(self, image: Complex64[Tensor, "*b h w"]) -> Float[Tensor, ""]:
        r"""Return the asymmetry, the mean of :math:`|\tilde H H x - x|^2` over features x = C r.

        The paper's loss adds 0.01 times it.
        """
        features = self._features(image)
        return (self.inverse(self.transform(features)) - features).float().square().mean()

    def _features(self, image: Complex64[Tensor, "*b h w"]) -> Float[Tensor, "n channels h w"]:
        return self.expand(to_channels(image.reshape(-1, *image.shape[-2:])))  # type: ignore[no-any-return]


def inverse_softplus(value: float) -> float:
    """Return the number whose softplus is ``value``."""
    return value + math.log(-math.expm1(-value))


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


def _pair(channels: int) -> nn.Sequential:
    return nn.Sequential(_conv(channels, channels), nn.ReLU(), _conv(channels, channels))
