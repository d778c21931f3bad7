"""A U-Net of channel attention whose decoder asks learned images what kind of input it has."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.networks.parts.channel_attention import REDUCTION, attention_blocks
from mrirecon.networks.parts.features import (
    FeatureNetwork,
    History,
    LevelEntry,
)


class PromptBlock(nn.Module):
    r"""A weighted mean of learned images, with weights that depend on the features.

    .. math:: P(x) = \mathrm{Conv}\Big(\mathrm{resize}\big(\textstyle\sum_i w_i P_i\big)\Big),
              \qquad w = \mathrm{softmax}(W \bar x)

    Potlapalli et al., NeurIPS 2023; Xin et al., arXiv:2309.13839. The prompts are resized to the
    grid of the features, so any image size will do.

    Args:
        channels: Features that choose.
        prompt_channels: Features of each prompt.
        prompts: Number of prompts.
        size: Height and width at which the prompts are kept.
    """

    def __init__(self, channels: int, prompt_channels: int, prompts: int, size: int) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.empty(prompts, prompt_channels, size, size))
        self.choice = nn.Linear(channels, prompts)
        self.last = nn.Conv2d(prompt_channels, prompt_channels, 3, padding=1, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new prompts and weights."""
        nn.init.uniform_(self.prompts)
        self.choice.reset_parameters()
        self.last.reset_parameters()

    def weights(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b p"]:
        """Return how much of each prompt the features ask for; they sum to one."""
        return self.choice(x.mean((-2, -1))).softmax(-1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b pc h w"]:
        """Return the prompt for each member on the grid of its features."""
        prompt = torch.einsum("bp,pchw->bchw", self.weights(x), self.prompts)
        return self.last(F.interpolate(prompt, x.shape[-2:], mode="bilinear"))


class DecoderLevel(nn.Module):
    """Joins the features of a level with a prompt and takes them one level up to the encoder's.

    Args:
        channels: Features of the level and of the one above.
        blocks: Channel-attention blocks that see the prompt.
        prompt: The prompts of the level.
        prompt_channels: Features of the prompt.
        reduction: Features for each hidden one of the channel attention; 0 for no attention.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        blocks: int,
        prompt: PromptBlock,
        prompt_channels: int,
        reduction: int = REDUCTION,
    ) -> None:
        super().__init__()
        below, above = channels
        self.prompt = prompt
        self.fuse = attention_blocks(below + prompt_channels, blocks, reduction)
        self.reduce = nn.Conv2d(below + prompt_channels, below, 1, bias=False)
        self.up = nn.Conv2d(below, above, 1, bias=False)
        self.skip = attention_blocks(above, 1, reduction)
        self.merge = attention_blocks(above, 1, reduction)

    def forward(
        self, x: Float[Tensor, "b below i j"], encoded: Float[Tensor, "b above h w"]
    ) -> Float[Tensor, "b above h w"]:
        """Return the features of the level above."""
        x = self.up(self.reduce(self.fuse(torch.cat([x, self.prompt(x)], 1))))
        # the convolution above has the size of a pixel, so it may come before the interpolation
        x = F.interpolate(x, encoded.shape[-2:], mode="bilinear")
        return self.merge(x + self.skip(encoded))


class PromptUnet(FeatureNetwork):
    """The U-Net of PromptMR, with learned prompts at every level of the decoder.

    Xin et al., arXiv:2309.13839; the feature history is that of PromptMR+ (Xin et al., ECCV 2024).
    The defaults are the published size: about 6.5 million parameters.

    Args:
        channels: Features of each level, finest first; each halves the image of the one before.
        prompt_channels: Features of the prompts of each level below the first.
        prompts: Number of prompts of each level.
        prompt_size: Height and width of the prompts of the second level; each level below halves.
        encoder: Channel-attention blocks of each level, the last those of the bottom.
        decoder: Channel-attention blocks that take each level below the first up.
        history: Number of earlier cascades whose features are seen; 0 for none.
        condition: Length of the embedding that modulates the features; 0 for none.
        reduction: Features for each hidden one of the channel attention; 0 for no attention.
    """

    def __init__(
        self,
        channels: Sequence[int] = (48, 72, 96, 120),
        prompt_channels: Sequence[int] = (24, 48, 72),
        prompts: int = 5,
        prompt_size: int = 64,
        encoder: Sequence[int] = (2, 3, 3, 3),
        decoder: Sequence[int] = (2, 2, 3),
        history: int = 0,
        condition: int = 0,
        reduction: int = REDUCTION,
    ) -> None:
        super().__init__()
        check_not_negative(reduction=reduction)
        check_at_least(1, channels=channels, prompt_channels=prompt_channels, encoder=encoder)
        check_at_least(1, decoder=decoder, prompts=prompts, prompt_size=prompt_size)
        depth = len(channels) - 1
        lengths = {len(encoder) - 1, len(decoder), len(prompt_channels)}
        if depth < 1 or lengths != {depth}:
            raise ValueError(
                "channels and encoder need a number for every level, at least two; "
                "prompt_channels and decoder one less; "
                f"got {channels}, {encoder}, {prompt_channels} and {decoder}"
            )
        self.inputs = self.outputs = channels[0]
        self.multiple = 2**depth
        self.history, self.condition = history, condition
        self.entries = nn.ModuleList(LevelEntry(c, c, history, condition) for c in channels)
        self.encoder = nn.ModuleList(
            attention_blocks(c, blocks, reduction)
            for c, blocks in zip(channels, encoder, strict=True)
        )
        self.down = nn.ModuleList(
            nn.Conv2d(above, below, 3, stride=2, padding=1) for above, below in pairwise(channels)
        )
        self.decoder = nn.ModuleList(
            DecoderLevel(
                (channels[level + 1], channels[level]),
                decoder[level],
                PromptBlock(
                    channels[level + 1],
                    prompt_channels[level],
                    prompts,
                    max(prompt_size >> level, 1),
                ),
                prompt_channels[level],
                reduction,
            )
            for level in range(depth)
        )

    def forward(
        self,
        x: Float[Tensor, "b inputs h w"],
        history: History = (),
        condition: Float[Tensor, "b e"] | None = None,
    ) -> tuple[Float[Tensor, "b outputs h w"], History]:
        *skips, x = self.encoded(x, history, condition)
        levels = [x]
        for block, skip in zip(reversed(self.decoder), reversed(skips), strict=True):
            x = block(x, skip)
            levels.append(x)
        return x, self.remember(tuple(reversed(levels)), history)
