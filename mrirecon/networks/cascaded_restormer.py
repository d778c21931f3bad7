"""Restormers that hand features from one to the next, told where they stand and what they see."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.channels import from_channels, stacked_channels
from mrirecon.networks.restormer import TransformerBlock, convolution

Carried = tuple[Tensor, ...]
"""Features that the network of a cascade leaves for the next one, a level below the finest each."""
STEP, KIND = 50.0, 10.0
"""Distances between the numbers of cascades, and between those of protocols, in their embedding."""
LONGEST = 10000.0


class CascadedRestormer(nn.Module):
    r"""A Restormer on complex images that are seen together, for one cascade of SDUM.

    Features of the last cascade are added to those that enter each level below the finest. Wang et
    al., arXiv:2512.17137, after Zamir et al., CVPR 2022; unlike
    :class:`~mrirecon.networks.Restormer` the finest level keeps its number of features on the way
    up, and the gated features of every block are shifted by an embedding, if there is one.

    Args:
        images: Complex images seen together, and made of them.
        channels: Features of each level, finest first, at least two.
        blocks: Transformer blocks of each level, in encoder and decoder alike.
        heads: Attention heads of each level.
        refinement: Transformer blocks after the decoder.
        expansion: Hidden features of the feed-forward networks for each of theirs.
        told: Whether it is told the number of the cascade and of the protocol.
    """

    def __init__(
        self,
        images: int = 5,
        channels: Sequence[int] = (256, 512),
        blocks: Sequence[int] = (3, 6),
        heads: Sequence[int] = (1, 2),
        refinement: int = 2,
        expansion: float = 3.0,
        told: bool = False,
    ) -> None:
        super().__init__()
        check_at_least(1, images=images, channels=channels, blocks=blocks, heads=heads)
        check_at_least(1, refinement=refinement)
        if len(channels) < 2 or not len(channels) == len(blocks) == len(heads):
            raise ValueError(
                "channels, blocks and heads need a number for every level, at least two levels; "
                f"got {channels}, {blocks} and {heads}"
            )
        self.images, self.told, self.features = images, told, channels[0]
        self.multiple = 2 ** (len(channels) - 1)
        length = channels[0] if told else 0

        def level(number: int) -> nn.ModuleList:
            return _blocks(channels[number], blocks[number], heads[number], expansion, length)

        below = range(len(channels) - 1)
        self.first = convolution(2 * images, channels[0])
        self.encoder = nn.ModuleList(level(n) for n in range(len(channels)))
        self.down = nn.ModuleList(
            nn.Sequential(convolution(c, c // 2), nn.PixelUnshuffle(2)) for c in channels[:-1]
        )
        self.up = nn.ModuleList(
            nn.Sequential(convolution(c, 2 * c), nn.PixelShuffle(2)) for c in channels[1:]
        )
        self.reduce = nn.ModuleList(
            nn.Conv2d(above + wide // 2, above, 1, bias=False) for above, wide in pairwise(channels)
        )
        self.decoder = nn.ModuleList(level(n) for n in below)
        self.refinement = _blocks(channels[0], refinement, heads[0], expansion, length)
        self.last = convolution(channels[0], 2 * images)
        self.step, self.kind = (_embedding(length) if told else None for _ in range(2))

    def forward(
        self,
        images: Complex64[Tensor, "b n h w"],
        carried: Carried = (),
        step: int = 0,
        kind: Float[Tensor, "b"] | None = None,
    ) -> tuple[Complex64[Tensor, "b n h w"], Carried]:
        """Return the images, and the features for the next cascade.

        Args:
            images: Images seen together.
            carried: Features that the cascade before has left; none before the first.
            step: Number of the cascade.
            kind: Number of the protocol of each member; needed if the network is told it.
        """
        embedding = self._embedded(step, kind)
        b, _, h, w = images.shape
        bottom, right = -h % self.multiple, -w % self.multiple
        top, left = bottom // 2, right // 2
        x = F.pad(stacked_channels(images), [left, right - left, top, bottom - top])
        x = _through(self.encoder[0], self.first(x), embedding)
        levels = [x]
        for number, down in enumerate(self.down):
            x = down(x)
            if carried:
                x = x + carried[number]
            x = _through(self.encoder[number + 1], x, embedding)
            levels.append(x)
        left_behind = [x]
        for number in reversed(range(len(self.down))):
            x = self.reduce[number](torch.cat([self.up[number](x), levels[number]], 1))
            x = _through(self.decoder[number], x, embedding)
            if number:
                left_behind.insert(0, x)
        x = self.last(_through(self.refinement, x, embedding))[..., top : top + h, left : left + w]
        made = from_channels(x.reshape(-1, 2, h, w)).reshape(b, -1, h, w)
        return made, tuple(left_behind)

    def _embedded(self, step: int, kind: Tensor | None) -> Tensor | None:
        if self.step is None or self.kind is None:
            return None
        if kind is None:
            raise ValueError("this network is told the number of the protocol, and it is missing")
        steps = torch.full_like(kind, STEP * step)
        return self.step(waves(steps, self.features)) + self.kind(waves(KIND * kind, self.features))


def waves(numbers: Float[Tensor, "b"], length: int) -> Float[Tensor, "b length"]:
    """Return cosines and sines of numbers, of periods that grow geometrically.

    Vaswani et al., NeurIPS 2017; an odd length ends with a zero.
    """
    half = length // 2
    index = torch.arange(half, dtype=numbers.dtype, device=numbers.device)
    angles = numbers[:, None] * torch.exp(-math.log(LONGEST) * index / half)
    return F.pad(torch.cat([angles.cos(), angles.sin()], 1), (0, length % 2))


def _embedding(length: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(length, length), nn.SiLU(), nn.Linear(length, length))


def _blocks(channels: int, count: int, heads: int, expansion: float, length: int) -> nn.ModuleList:
    return nn.ModuleList(TransformerBlock(channels, heads, expansion, length) for _ in range(count))


def _through(blocks: nn.Module, x: Tensor, embedding: Tensor | None) -> Tensor:
    for block in blocks.children():
        x = block(x, embedding)
    return x
