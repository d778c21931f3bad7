"""The contract of convolutional networks with a memory."""

from abc import ABC, abstractmethod
from itertools import pairwise

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.networks.dilated_cnn import replicating
from mrirecon.networks.parts.channels import from_channels, stacked_channels
from mrirecon.networks.parts.normalized_halves import between_normalizations

State = tuple[Float[Tensor, "b c h w"], ...]


class RecurrentNetwork(nn.Module, ABC):
    r"""Convolutions on complex images with a recurrent unit :math:`H` after each.

    .. math:: v = \operatorname{ReLU}(W a), \qquad h' = H(v, h), \qquad
              a' = \operatorname{ReLU}(h')

    for every layer, and a last convolution (Yiasemis et al., CVPR 2022, after Lønning et al., Med
    Image Anal 53:64, 2019). The first convolution is 5 x 5, the second 3 x 3 with dilation 2, the
    others 3 x 3.

    Args:
        channels: Features of each layer and of its state.
        layers: Number of recurrent layers.
        images: Number of complex images in the input.
        normalized: Whether both halves of the channels are normalized first, and the result gets
            back what was taken away.
    """

    def __init__(self, channels: int, layers: int, images: int, normalized: bool = False) -> None:
        super().__init__()
        self.normalized = normalized
        check_at_least(1, channels=channels, layers=layers, images=images)
        sizes = [2 * images, *[channels] * layers, 2]
        self.channels, self.layers, self.images = channels, layers, images
        self.convolutions = nn.ModuleList(
            replicating(before, after, size=5 if i == 0 else 3, dilation=2 if i == 1 else 1)
            for i, (before, after) in enumerate(pairwise(sizes))
        )
        self.cells = nn.ModuleList(self.cell(channels) for _ in range(layers))

    @staticmethod
    @abstractmethod
    def cell(channels: int) -> nn.Module:
        """Return :math:`H` of a layer, from features and state to the next state."""

    def forward(
        self, images: Complex64[Tensor, "b n h w"], state: State | None = None
    ) -> tuple[Complex64[Tensor, "b h w"], State]:
        """Return one image and the next state; a missing state is zero."""
        new: list[Tensor] = []

        def layers(a: Tensor) -> Tensor:
            for i in range(self.layers):
                v = F.relu(self.convolutions[i](a))
                h = torch.zeros_like(v) if state is None else state[i]
                new.append(self.cells[i](v, h))
                a = F.relu(new[-1])
            result: Tensor = self.convolutions[-1](a)
            return result

        x = stacked_channels(images)
        x = between_normalizations(layers, x) if self.normalized else layers(x)
        return from_channels(x), tuple(new)
