"""A convolutional network with a memory: stacked gated recurrent units."""

from itertools import pairwise

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.networks.channels import from_channels, stacked_channels, to_channels
from mrirecon.networks.dilated_cnn import DILATIONS, HIDDEN, dilated, replicating

State = tuple[Float[Tensor, "b c h w"], ...]


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


class ConvGru(nn.Module):
    r"""Convolutions on complex images with a gated recurrent unit after each.

    .. math:: v &= \operatorname{ReLU}(W a), \qquad
              z = \sigma(W_z[v, h]), \qquad r = \sigma(W_r[v, h]) \\
              h' &= (1 - z)\,h + z\tanh(W_h[v, r h]), \qquad a' = \operatorname{ReLU}(h')

    for every layer, and a last convolution (Yiasemis et al., CVPR 2022, after Lønning et al., Med
    Image Anal 53:64, 2019). The first convolution is 5 x 5, the second 3 x 3 with dilation 2, the
    others 3 x 3; the gates are 1 x 1.

    Args:
        channels: Features of each layer and of its state.
        layers: Number of recurrent layers.
        images: Number of complex images in the input.
    """

    def __init__(self, channels: int = 64, layers: int = 4, images: int = 1) -> None:
        super().__init__()
        if min(channels, layers, images) < 1:
            raise ValueError(
                "channels, layers and images must be at least 1, "
                f"got {channels}, {layers} and {images}"
            )
        sizes = [2 * images, *[channels] * layers, 2]
        self.layers = layers
        self.convolutions = nn.ModuleList(
            replicating(before, after, size=5 if i == 0 else 3, dilation=2 if i == 1 else 1)
            for i, (before, after) in enumerate(pairwise(sizes))
        )
        self.cells = nn.ModuleList(GruCell(channels) for _ in range(layers))

    def forward(
        self, images: Complex64[Tensor, "b n h w"], state: State | None = None
    ) -> tuple[Complex64[Tensor, "b h w"], State]:
        """Return one image and the next state; a missing state is zero."""
        a = stacked_channels(images)
        new = []
        for i in range(self.layers):
            v = F.relu(self.convolutions[i](a))
            h = torch.zeros_like(v) if state is None else state[i]
            new.append(self.cells[i](v, h))
            a = F.relu(new[-1])
        return from_channels(self.convolutions[-1](a)), tuple(new)


class StateInitializer(nn.Module):
    r"""First state of a :class:`ConvGru`: dilated convolutions of a complex image.

    Args:
        channels: Features of the state.
        layers: Number of recurrent layers.
        hidden: Features of the convolutions.
        dilations: Of the same convolutions.
    """

    def __init__(
        self,
        channels: int = 64,
        layers: int = 4,
        hidden: tuple[int, ...] = HIDDEN,
        dilations: tuple[int, ...] = DILATIONS,
    ) -> None:
        super().__init__()
        self.convolutions = dilated(hidden, dilations)
        self.outputs = nn.ModuleList(nn.Conv2d(hidden[-1], channels, 1) for _ in range(layers))

    def forward(self, image: Complex64[Tensor, "b h w"]) -> State:
        """Return the state of every layer."""
        features = self.convolutions(to_channels(image))
        return tuple(F.relu(output(features)) for output in self.outputs)
