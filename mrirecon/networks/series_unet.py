"""A U-Net that sees all frames of a series at once."""

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.channels import from_channels, stacked_channels
from mrirecon.networks.parts.normalized_halves import between_normalizations, between_paddings
from mrirecon.networks.unet import DEEPEST

SLOPE = 0.2


class SeriesUnet(nn.Module):
    """U-Net with 3-D convolutions over frames and pixels, from several complex images to one.

    The U-Net of :class:`~mrirecon.networks.FusionUnet` with frames as one more axis, as the vSHARP
    of dynamic series has it (Yiasemis et al., arXiv:2309.09954, in the toolkit DIRECT). An axis
    that is too short to be halved so often is surrounded by zeros.

    Args:
        images: Number of complex images of each frame in the input.
        channels: Features of the first level.
        pools: Number of halvings of every axis.
        dropout: Probability of zeroing a feature map.
        normalized: Whether both halves of the channels are normalized first and every axis
            zero-padded to a multiple of 16, as in :class:`~mrirecon.networks.NormUnet`.
    """

    joint = True

    def __init__(
        self,
        images: int = 3,
        channels: int = 32,
        pools: int = 4,
        dropout: float = 0.0,
        normalized: bool = False,
    ) -> None:
        super().__init__()
        self.images = images
        self.normalized = normalized
        self.unet = VolumeUnet(2 * images, 2, channels, pools, dropout)

    def forward(self, images: Complex64[Tensor, "frame n h w"]) -> Complex64[Tensor, "frame h w"]:
        """Return one image of every frame."""
        x = stacked_channels(images).movedim(0, 1).unsqueeze(0)
        if self.normalized:
            x = between_normalizations(lambda normal: between_paddings(self.unet, normal), x)
        else:
            x = self.unet(x)
        return from_channels(x.squeeze(0).movedim(0, 1))


class VolumeUnet(nn.Module):
    """U-Net with 3-D convolutions, instance normalization and leaky ReLUs.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        channels: Features of the first level.
        pools: Number of halvings.
        dropout: Probability of zeroing a feature map.
    """

    def __init__(
        self, inputs: int, outputs: int, channels: int, pools: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_at_least(1, inputs=inputs, outputs=outputs, channels=channels, pools=pools)
        if pools > DEEPEST:
            raise ValueError(f"pools must be at most {DEEPEST}, got {pools}")
        widths = [channels * 2**level for level in range(pools + 1)]
        self.pools = pools
        self.down_sample_layers = nn.ModuleList(
            _Block(before, after, dropout)
            for before, after in zip([inputs, *widths], widths[:-1], strict=False)
        )
        self.conv = _Block(widths[-2], widths[-1], dropout)
        self.up_transpose_conv = nn.ModuleList(
            nn.ConvTranspose3d(2 * width, width, 2, stride=2, bias=False)
            for width in reversed(widths[:-1])
        )
        self.up_conv = nn.ModuleList(
            _Block(2 * width, width, dropout) for width in reversed(widths[:-1])
        )
        self.conv_out = nn.Conv3d(channels, outputs, 1)

    def forward(self, x: Float[Tensor, "b inputs t h w"]) -> Float[Tensor, "b outputs t h w"]:
        """Return a volume of the same size."""
        shape = x.shape[-3:]
        short = [max(0, 2**self.pools - size) for size in shape]
        before = [missing // 2 for missing in short]
        pads = zip(reversed(before), reversed(short), strict=True)
        x = F.pad(x, [one for first, both in pads for one in (first, both - first)])
        skips = []
        for down in self.down_sample_layers:
            x = down(x)
            skips.append(x)
            x = F.avg_pool3d(x, 2)
        x = self.conv(x)
        for up, merge in zip(self.up_transpose_conv, self.up_conv, strict=True):
            skip = skips.pop()
            x = _activated(up(x))
            missing = [a - b for a, b in zip(skip.shape[:1:-1], x.shape[:1:-1], strict=True)]
            if any(missing):
                x = F.pad(x, [one for end in missing for one in (0, end)], "reflect")
            x = merge(torch.cat([x, skip], 1))
        result: Tensor = self.conv_out(x)
        for axis, (first, size) in enumerate(zip(before, shape, strict=True), start=2):
            result = result.narrow(axis, first, size)
        return result


class _Block(nn.Module):
    """Two normalized convolutions."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.layer_1 = nn.Conv3d(inputs, outputs, 3, padding=1, bias=False)
        self.layer_2 = nn.Conv3d(outputs, outputs, 3, padding=1, bias=False)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.layer_1, self.layer_2):
            x = F.dropout3d(_activated(layer(x)), self.dropout, self.training)
        return x


def _activated(x: Tensor) -> Tensor:
    return F.leaky_relu(F.instance_norm(x), SLOPE)
