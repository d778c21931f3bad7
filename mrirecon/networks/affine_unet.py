"""A U-Net of convolutions with biases and normalization with weights."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.errors import ShapeError

SLOPE = 0.01


class AffineUnet(nn.Module):
    """A U-Net with max-pooling and transposed convolutions, for images of any size.

    Every level has two convolutions of 3 x 3 with instance normalization, which has weights, and a
    leaky ReLU. Where an odd size was halved, the last row or column is repeated on the way up.
    Falk et al., Nat Methods 16:67, 2019, as in MONAI.

    Args:
        inputs: Number of channels it takes.
        outputs: Number of channels it gives.
        channels: Features of each level, finest first.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: Sequence[int] = (12, 24, 48, 96, 192),
    ) -> None:
        super().__init__()
        check_at_least(1, inputs=inputs, outputs=outputs, channels=channels)
        if len(channels) < 2:
            raise ValueError(f"channels needs a number for each of two levels or more: {channels}")
        self.first = _two(inputs, channels[0])
        self.down = nn.ModuleList(_two(above, below) for above, below in pairwise(channels))
        # the finest level keeps as many features on its way up
        raised = [channels[1], *(below // 2 for below in channels[2:])]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, kept, 2, stride=2)
            for below, kept in zip(channels[1:], raised, strict=True)
        )
        self.merge = nn.ModuleList(
            _two(above + kept, above) for above, kept in zip(channels[:-1], raised, strict=True)
        )
        self.last = nn.Conv2d(channels[0], outputs, 1)

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs h w"]:
        """Return channels on the same grid.

        Raises:
            ShapeError: When one pixel would be left, which has no standard deviation.
        """
        smallest = 2 ** len(self.down)
        if max(x.shape[-2:]) < 2 * smallest or min(x.shape[-2:]) < smallest:
            raise ShapeError(
                f"images of {tuple(x.shape[-2:])} are too small to be halved {len(self.down)} "
                f"times; expected {smallest} pixels at least, and {2 * smallest} along one axis"
            )
        x = self.first(x)
        skips = []
        for level in self.down:
            skips.append(x)
            x = level(F.max_pool2d(x, 2))
        for skip, up, merge in zip(
            reversed(skips), reversed(self.up), reversed(self.merge), strict=True
        ):
            x = up(x)
            below, beside = skip.shape[-2] - x.shape[-2], skip.shape[-1] - x.shape[-1]
            if below or beside:
                x = F.pad(x, (0, beside, 0, below), mode="replicate")
            x = merge(torch.cat([skip, x], 1))
        return self.last(x)


def _two(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1),
            nn.InstanceNorm2d(outputs, affine=True),
            nn.LeakyReLU(SLOPE),
        ]
    return nn.Sequential(*layers)
