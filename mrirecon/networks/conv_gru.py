"""A convolutional network with gated recurrent units, and what makes its first state."""

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.networks.dilated_cnn import (
    DILATIONS,
    HIDDEN,
    check_multiscale,
    dilated,
    last_scales,
)
from mrirecon.networks.parts.channels import to_channels
from mrirecon.networks.recurrent import RecurrentNetwork, State


class GruCell(nn.Module):
    """A gated recurrent unit at every pixel, with orthogonal weights.

    Args:
        channels: Features of the input and of the state.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.candidate = nn.Conv2d(2 * channels, channels, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights; the reset gates start almost closed."""
        for weight in (*self.gates.weight.chunk(2), self.candidate.weight):
            nn.init.orthogonal_(weight)
        for layer in (self.gates, self.candidate):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if self.gates.bias is not None:
            nn.init.constant_(self.gates.bias.chunk(2)[1], -1.0)

    def forward(
        self, v: Float[Tensor, "b c h w"], state: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Return the next state."""
        update, reset = self.gates(torch.cat([v, state], 1)).sigmoid().chunk(2, 1)
        candidate = self.candidate(torch.cat([v, reset * state], 1)).tanh()
        return (1 - update) * state + update * candidate


class ConvGru(RecurrentNetwork):
    r"""Gated recurrent units.

    .. math:: z = \sigma(W_z[v, h]), \qquad r = \sigma(W_r[v, h]), \qquad
              H(v, h) = (1 - z)\,h + z\tanh(W_h[v, r h])

    The gates are 1 x 1 convolutions.

    Args:
        channels: Features of each layer and of its state.
        layers: Number of recurrent layers.
        images: Number of complex images in the input.
        normalized: Whether both halves of the channels are normalized, as in
            :class:`~mrirecon.networks.NormUnet`.
    """

    def __init__(
        self, channels: int = 64, layers: int = 4, images: int = 1, normalized: bool = False
    ) -> None:
        super().__init__(channels, layers, images, normalized)

    @staticmethod
    def cell(channels: int) -> nn.Module:
        """Return the unit of a layer."""
        return GruCell(channels)


class StateInitializer(nn.Module):
    r"""First state of a recurrent network: dilated convolutions of a complex image.

    Args:
        channels: Features of the state.
        layers: Number of recurrent layers.
        hidden: Number of features of each convolution.
        dilations: Dilation of each of these convolutions.
        multiscale: How many of the last of them make the state.
    """

    def __init__(
        self,
        channels: int = 64,
        layers: int = 4,
        hidden: tuple[int, ...] = HIDDEN,
        dilations: tuple[int, ...] = DILATIONS,
        multiscale: int = 1,
    ) -> None:
        super().__init__()
        check_multiscale(multiscale, hidden, dilations)
        self.multiscale = multiscale
        self.convolutions = dilated(hidden, dilations)
        seen = sum(hidden[-multiscale:])
        self.outputs = nn.ModuleList(nn.Conv2d(seen, channels, 1) for _ in range(layers))

    def forward(self, image: Complex64[Tensor, "b h w"]) -> State:
        """Return the state of every layer."""
        features = last_scales(self.convolutions, to_channels(image), self.multiscale)
        return tuple(F.relu(output(features)) for output in self.outputs)
