"""Between complex images and feature maps, and the networks that work on feature maps."""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.networks.parts.channels import from_channels, to_channels
from mrirecon.networks.parts.instance_norm import normalized_leaky_relu_
from mrirecon.networks.unet import Unet


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the real and of the imaginary part of each image."""

    mean: Float[Tensor, "b 2 1 1"]
    std: Float[Tensor, "b 2 1 1"]

    @classmethod
    def of(cls, image: Complex64[Tensor, "b h w"]) -> "Statistics":
        """Compute them; of a constant part, the standard deviation is zero."""
        variance, mean = torch.var_mean(to_channels(image), (-2, -1), correction=0, keepdim=True)
        # the square root of zero has no gradient, so it is kept out of the graph
        constant = variance == 0
        return cls(mean, torch.where(constant, 0.0, torch.where(constant, 1.0, variance).sqrt()))


class FeatureCoder(nn.Module):
    r"""A convolution from images to feature maps, and one back.

    .. math:: C(x) = W\,(x - \mu) / \sigma, \qquad D(f) = \sigma\,V f + \mu

    Both are 5 x 5 and have biases. Where :math:`\sigma = 0` it divides by one instead.

    Args:
        channels: Number of feature maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(2, channels, 5, padding=2)
        self.decoder = nn.Conv2d(channels, 2, 5, padding=2)

    def encode(
        self, image: Complex64[Tensor, "b h w"], statistics: Statistics
    ) -> Float[Tensor, "b c h w"]:
        """Return the feature maps of an image."""
        std = torch.where(statistics.std == 0, 1.0, statistics.std)
        features: Tensor = self.encoder((to_channels(image) - statistics.mean) / std)
        return features

    def decode(
        self, features: Float[Tensor, "b c h w"], statistics: Statistics
    ) -> Complex64[Tensor, "b h w"]:
        """Return the image of feature maps; a constant one where the deviation is zero."""
        return from_channels(self.decoder(features) * statistics.std + statistics.mean)


class FeatureUnet(nn.Module):
    """U-Net on feature maps, whose output is normalized and rectified like every layer of it.

    Args:
        channels: Number of maps of the input and of the output, and features of the first level.
        pools: Number of halvings.
    """

    def __init__(self, channels: int, pools: int = 4) -> None:
        super().__init__()
        self.unet = Unet(channels, channels, channels=channels, pools=pools)
        # the normalization that follows would cancel a bias
        cast(nn.Sequential, self.unet.up_conv[-1])[1] = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return feature maps of the same size."""
        return normalized_leaky_relu_(self.unet(x))


class FeatureRefinement(nn.Module):
    r"""Normalizes feature maps and adds a correction, :math:`f + N(f)`.

    :math:`N` has two 5 x 5 convolutions with instance normalization and leaky ReLUs.

    Args:
        channels: Number of feature maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 5, padding=2, bias=False) for _ in range(2)
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return feature maps of the same size."""
        x = F.instance_norm(x)
        y = x
        for convolution in self.convolutions:
            y = normalized_leaky_relu_(convolution(y))
        return x + y
