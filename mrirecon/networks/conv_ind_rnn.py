"""A convolutional network with independently recurrent units."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.networks.recurrent import RecurrentNetwork


class IndRnnCell(nn.Module):
    """A recurrent unit at every pixel, in which each feature remembers only itself.

    Args:
        channels: Features of the input and of the state.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Conv2d(channels, channels, 1)
        self.memory = nn.Parameter(torch.empty(channels, 1, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights of the memory; none makes it grow."""
        nn.init.uniform_(self.memory)

    def forward(
        self, v: Float[Tensor, "b c h w"], state: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Return the next state."""
        return F.relu(self.input(v) + self.memory * state)


class ConvIndRnn(RecurrentNetwork):
    r"""Independently recurrent units, with a sixth of the parameters of gated ones.

    .. math:: H(v, h) = \operatorname{ReLU}(W v + u \odot h)

    :math:`W` is a 1 x 1 convolution (Li et al., CVPR 2018; in a recurrent inference machine:
    Karkalousos et al., Phys Med Biol 67:124001, 2022).

    Args:
        channels: Features of each layer and of its state.
        layers: Number of recurrent layers.
        images: Number of complex images in the input.
    """

    def __init__(self, channels: int = 64, layers: int = 2, images: int = 2) -> None:
        super().__init__(channels, layers, images)

    @staticmethod
    def cell(channels: int) -> nn.Module:
        """Return the unit of a layer."""
        return IndRnnCell(channels)
