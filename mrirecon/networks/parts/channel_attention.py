"""Convolutions whose features weigh one another: the block of PromptMR's networks."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

REDUCTION = 16


class ChannelAttention(nn.Module):
    r"""Scales each feature map by what a small network makes of the means of all.

    .. math:: x_c \leftarrow x_c\,\sigma\big(W_2\,\mathrm{ReLU}(W_1 \bar x)\big)_c

    Hu, Shen and Sun, CVPR 2018; Zhang et al., ECCV 2018.

    Args:
        channels: Number of features.
        reduction: Features for each hidden one.
    """

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.first = nn.Linear(channels, hidden, bias=False)
        self.last = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the weighed features."""
        weights = self.last(torch.relu(self.first(x.mean((-2, -1))))).sigmoid()
        return x * weights[..., None, None]


class ChannelAttentionBlock(nn.Module):
    """Adds to its input two convolutions with a PReLU between them and channel attention.

    Zhang et al., ECCV 2018 (RCAN), in the variant of Xin et al., arXiv:2309.13839.

    Args:
        channels: Number of features.
        reduction: Features for each hidden one of the attention; 0 for no attention.
    """

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        attention = [ChannelAttention(channels, reduction)] if reduction else []
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.PReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            *attention,
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return features of the same number."""
        return x + self.body(x)


def attention_blocks(channels: int, count: int, reduction: int = REDUCTION) -> nn.Sequential:
    """Return ``count`` blocks one after the other."""
    return nn.Sequential(*(ChannelAttentionBlock(channels, reduction) for _ in range(count)))
