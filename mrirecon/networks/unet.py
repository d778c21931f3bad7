"""The U-Net of fastMRI: its parameters have the same names and shapes, so its weights load."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.errors import ShapeError


class Unet(nn.Module):
    r"""U-Net with instance normalization and leaky ReLUs.

    Ronneberger, Fischer and Brox, MICCAI 2015, in the variant of Zbontar et al., arXiv:1811.08839.
    An encoder halves the image ``pools`` times and doubles the channels each time; the decoder
    mirrors it and sees the encoder's features of the same size.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        channels: Features of the first level.
        pools: Number of halvings.
        dropout: Probability of zeroing a feature map.
    """

    def __init__(
        self,
        inputs: int = 1,
        outputs: int = 1,
        channels: int = 32,
        pools: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in [
            ("inputs", inputs),
            ("outputs", outputs),
            ("channels", channels),
            ("pools", pools),
        ]:
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        widths = [channels * 2**level for level in range(pools + 1)]
        self.pools = pools
        self.down_sample_layers = nn.ModuleList(
            _block(before, after, dropout)
            for before, after in zip([inputs, *widths], widths[:-1], strict=False)
        )
        self.conv = _block(widths[-2], widths[-1], dropout)
        self.up_conv = nn.ModuleList()
        self.up_transpose_conv = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up_transpose_conv.append(_up(2 * width, width))
            self.up_conv.append(_block(2 * width, width, dropout))
        self.up_conv[-1] = nn.Sequential(self.up_conv[-1], nn.Conv2d(channels, outputs, 1))

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs h w"]:
        """Return an image of the same size.

        Raises:
            ShapeError: When the image is too small to be halved that often.
        """
        smallest = [size >> self.pools for size in x.shape[-2:]]
        if min(smallest) < 1 or max(smallest) < 2:
            raise ShapeError(
                f"an image of {tuple(x.shape[-2:])} is too small for a U-Net with "
                f"{self.pools} pools: it needs {2**self.pools} pixels along each axis and "
                f"{2 ** (self.pools + 1)} along one; use fewer pools"
            )
        skips = []
        for down in self.down_sample_layers:
            x = down(x)
            skips.append(x)
            x = F.avg_pool2d(x, 2)
        x = self.conv(x)
        for up, merge in zip(self.up_transpose_conv, self.up_conv, strict=True):
            skip = skips.pop()
            x = up(x)
            missing = [skip.shape[-1] - x.shape[-1], skip.shape[-2] - x.shape[-2]]
            if any(missing):
                x = F.pad(x, [0, missing[0], 0, missing[1]], "reflect")
            x = merge(torch.cat([x, skip], 1))
        return x


class _Layers(nn.Module):
    """A sequence named ``layers``, as in fastMRI's keys."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _block(inputs: int, outputs: int, dropout: float) -> nn.Module:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.InstanceNorm2d(outputs),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Dropout2d(dropout),
        ]
    return _Layers(*layers)


def _up(inputs: int, outputs: int) -> nn.Module:
    return _Layers(
        nn.ConvTranspose2d(inputs, outputs, 2, stride=2, bias=False),
        nn.InstanceNorm2d(outputs),
        nn.LeakyReLU(0.2, inplace=True),
    )
