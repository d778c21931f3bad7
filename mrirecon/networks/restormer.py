"""Restormer (Zamir et al., CVPR 2022): a U-Net of transformers that attend across features."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.features import (
    FeatureNetwork,
    History,
    LevelEntry,
)


class FeatureNorm(nn.LayerNorm):
    """Layer normalization of the features of each pixel."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return normalized features."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class TransposedAttention(nn.Module):
    r"""Attention between features instead of pixels, so its cost is linear in the pixels (MDTA).

    .. math:: V\,\mathrm{softmax}\Big(\tau\,\frac{Q^T K}{\|q\| \|k\|}\Big)

    where queries, keys and values come from 1 x 1 and then 3 x 3 depth-wise convolutions. The
    correlations are divided by the norms afterwards: the same numbers, without normalized copies.
    In half precision, whose largest number is 65504, the sum over all pixels would overflow, so
    queries and keys are normalized first.

    Args:
        channels: Number of features.
        heads: Groups of features that attend among themselves.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Sequential(
            nn.Conv2d(channels, 3 * channels, 1, bias=False),
            nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False),
        )
        self.last = nn.Conv2d(channels, channels, 1, bias=False)
        self.temperature = nn.Parameter(torch.empty(heads, 1, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the temperature to one; the convolutions have their own reset."""
        nn.init.ones_(self.temperature)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return what the features gather from one another."""
        b, _, h, w = x.shape
        q, k, v = self.qkv(x).reshape(b, 3, self.heads, -1, h * w).unbind(1)
        correlation = _correlation(q, k)
        attention = (self.temperature * correlation).softmax(-1)
        return self.last((attention.to(v.dtype) @ v).reshape(b, -1, h, w))


class GatedFeedForward(nn.Module):
    r"""Two branches of features, one of which gates the other (GDFN), :math:`\phi(a) \odot b`.

    Args:
        channels: Number of features.
        expansion: Hidden features of a branch for each of them.
        embedding: Length of an embedding whose projection is added to the gated features; 0 for
            none.
    """

    def __init__(self, channels: int, expansion: float, embedding: int = 0) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.first = nn.Sequential(
            nn.Conv2d(channels, 2 * hidden, 1, bias=False),
            nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False),
        )
        self.last = nn.Conv2d(hidden, channels, 1, bias=False)
        self.shift = nn.Linear(embedding, hidden) if embedding else None

    def forward(
        self, x: Float[Tensor, "b c h w"], embedding: Float[Tensor, "b e"] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Return features of the same number."""
        gate, value = self.first(x).chunk(2, 1)
        x = F.gelu(gate) * value
        if self.shift is not None and embedding is not None:
            x = x + self.shift(F.silu(embedding))[..., None, None]
        return self.last(x)


class TransformerBlock(nn.Module):
    """Adds attention and then the feed-forward network, each of normalized features.

    Args:
        channels: Number of features.
        heads: Groups of features that attend among themselves, as in :class:`TransposedAttention`.
        expansion: Hidden features of a branch for each feature, as in :class:`GatedFeedForward`.
        embedding: Length of an embedding that it sees, likewise; 0 for none.
    """

    def __init__(self, channels: int, heads: int, expansion: float, embedding: int = 0) -> None:
        super().__init__()
        self.attention = nn.Sequential(FeatureNorm(channels), TransposedAttention(channels, heads))
        self.feed_forward = nn.Sequential(
            FeatureNorm(channels), GatedFeedForward(channels, expansion, embedding)
        )

    def forward(
        self, x: Float[Tensor, "b c h w"], embedding: Float[Tensor, "b e"] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Return features of the same number."""
        x = x + self.attention(x)
        norm, network = self.feed_forward
        return x + network(norm(x), embedding)


class Restormer(FeatureNetwork):
    """Encoder and decoder of transformer blocks; each level has half the size, twice the features.

    The defaults are the published size: 26.1 million parameters. The decoder keeps twice the
    features on the finest level, as published.

    Args:
        channels: Features of the finest level.
        blocks: Transformer blocks of each level, finest first, in encoder and decoder alike.
        heads: Attention heads of each level.
        refinement: Transformer blocks after the decoder.
        expansion: Hidden features of the feed-forward networks for each of theirs.
        history: Number of earlier cascades whose features are seen (not in Restormer); 0 for none.
        condition: Length of the embedding that modulates the features; 0 for none.
    """

    def __init__(
        self,
        channels: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        heads: Sequence[int] = (1, 2, 4, 8),
        refinement: int = 4,
        expansion: float = 2.66,
        history: int = 0,
        condition: int = 0,
    ) -> None:
        super().__init__()
        check_at_least(1, channels=channels, blocks=blocks, heads=heads, refinement=refinement)
        depth = len(blocks) - 1
        if depth < 1 or len(heads) != len(blocks):
            raise ValueError(
                "blocks and heads need a number for every level, at least two levels; "
                f"got {blocks} and {heads}"
            )
        if expansion * channels < 1:
            raise ValueError(f"expansion leaves no hidden features, got {expansion}")
        widths = [channels * 2**level for level in range(depth + 1)]
        for width, count in zip(widths, heads, strict=True):
            if width % count:
                raise ValueError(f"{width} features cannot be shared by {count} heads")
        carried = [2 * channels, *widths[1:]]
        self.inputs, self.outputs = channels, carried[0]
        self.multiple = 2**depth
        self.history, self.condition = history, condition
        self.entries = nn.ModuleList(
            LevelEntry(width, kept, history, condition)
            for width, kept in zip(widths, carried, strict=True)
        )
        self.encoder = nn.ModuleList(
            _blocks(*arguments, expansion) for arguments in zip(widths, blocks, heads, strict=True)
        )
        self.down = nn.ModuleList(
            nn.Sequential(convolution(width, width // 2), nn.PixelUnshuffle(2))
            for width in widths[:-1]
        )
        self.up = nn.ModuleList(
            nn.Sequential(convolution(width, 2 * width), nn.PixelShuffle(2)) for width in widths[1:]
        )
        self.reduce = nn.ModuleList(
            nn.Conv2d(2 * width, kept, 1, bias=False) if level else nn.Identity()
            for level, (width, kept) in enumerate(zip(widths[:-1], carried, strict=False))
        )
        self.decoder = nn.ModuleList(
            _blocks(*arguments, expansion)
            for arguments in zip(carried[:-1], blocks[:-1], heads[:-1], strict=True)
        )
        self.refinement = _blocks(carried[0], refinement, heads[0], expansion)

    def forward(
        self,
        x: Float[Tensor, "b inputs h w"],
        history: History = (),
        condition: Float[Tensor, "b e"] | None = None,
    ) -> tuple[Float[Tensor, "b outputs h w"], History]:
        *skips, x = self.encoded(x, history, condition)
        levels = [x]
        for level in reversed(range(len(skips))):
            x = self.reduce[level](torch.cat([self.up[level](x), skips[level]], 1))
            x = self.decoder[level](x)
            levels.append(x)
        x = self.refinement(x)
        levels[-1] = x
        return x, self.remember(tuple(reversed(levels)), history)


def _correlation(
    q: Float[Tensor, "b heads c n"], k: Float[Tensor, "b heads c n"]
) -> Float[Tensor, "b heads c c"]:
    """Return the cosines of the angles between queries and keys, in single precision."""
    if q.dtype == torch.float16:
        q, k = ((x / _norm(x).clamp_min(1e-6)).to(x.dtype) for x in (q, k))
        return (q @ k.transpose(-2, -1)).float()
    norms = _norm(q) * _norm(k).transpose(-2, -1)
    return (q @ k.transpose(-2, -1)).float() / norms.clamp_min(1e-12)


def _norm(x: Float[Tensor, "b heads c n"]) -> Float[Tensor, "b heads c 1"]:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a convolution of 3 x 3 on the same grid, without bias."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


def _blocks(channels: int, count: int, heads: int, expansion: float) -> nn.Sequential:
    return nn.Sequential(*(TransformerBlock(channels, heads, expansion) for _ in range(count)))
