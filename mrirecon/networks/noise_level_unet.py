"""A denoiser of complex images that is told the level of the noise."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Complex64, Float, Float32
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.channels import channels_last, from_channels, stacked_channels


class NoiseLevelUnet(nn.Module):
    r"""A residual U-Net without biases whose change of the image is bounded by the noise level.

    .. math:: D(x, \sigma) = x - c\,\sigma\tanh\frac{N(x, \sigma)}{c\,\sigma}

    :math:`N` sees the image and a channel that holds :math:`\sigma`, as DRUNet does (Zhang et al.,
    IEEE Trans Pattern Anal Mach Intell 44:6360, 2022). It has neither biases nor normalizations, so
    :math:`D(a x, a\sigma) = a D(x, \sigma)` for every :math:`a > 0` (Mohan et al., ICLR 2020): the
    unit of the image does not matter. No component changes by more than :math:`c\,\sigma`, so what
    is nearly free of noise is nearly left alone, whatever the weights are.

    The image is cut into ``shuffle`` x ``shuffle`` interleaved images first (Shi et al., CVPR
    2016), which makes large images cheap.

    Args:
        channels: Features of each level, from fine to coarse; each level halves the image.
        blocks: Residual blocks of each level, before and after the coarser ones.
        shuffle: Number of interleaved images along each axis.
        images: Complex images that it sees together; the first of them is denoised. Before
            training, the others are ignored.
        bound: Largest change :math:`c` of a component, in units of :math:`\sigma`.
    """

    def __init__(
        self,
        channels: Sequence[int] = (48, 96, 192),
        blocks: int = 2,
        shuffle: int = 2,
        images: int = 1,
        bound: float = 8.0,
    ) -> None:
        super().__init__()
        check_at_least(1, blocks=blocks, shuffle=shuffle, images=images, channels=min(channels))
        if bound <= 0:
            raise ValueError(f"bound must be positive, got {bound}")
        self.shuffle, self.images, self.bound = shuffle, images, float(bound)
        self.multiple = shuffle * 2 ** (len(channels) - 1)
        area, first = shuffle**2, channels[0]
        self.first = _convolution((2 * images + 1) * area, first)
        self.encoders, self.decoders = nn.ModuleList(), nn.ModuleList()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for fine, coarse in pairwise(channels):
            self.encoders.append(_level(fine, blocks))
            self.decoders.append(_level(fine, blocks))
            self.down.append(nn.Conv2d(fine, coarse, 2, stride=2, bias=False))
            self.up.append(nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False))
        self.coarsest = _level(channels[-1], blocks)
        self.last = _convolution(first, 2 * area)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights; those of all images but the first are zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.reset_parameters()
        for level in (*self.encoders, *self.decoders, self.coarsest):
            for block in level:
                block.reset_parameters()
        with torch.no_grad():
            self.first.weight[:, 2 * self.shuffle**2 : 2 * self.images * self.shuffle**2] = 0

    def forward(
        self, images: Complex64[Tensor, "b n h w"], level: Float32[Tensor, "b"]
    ) -> Complex64[Tensor, "b h w"]:
        r"""Return the denoised first image.

        Args:
            images: The image, and what else is to be seen.
            level: Standard deviation :math:`\sigma` of the noise in each real component.
        """
        b, _, h, w = images.shape
        bottom, right = -h % self.multiple, -w % self.multiple
        sigma = level[:, None, None, None]
        x = F.pad(stacked_channels(images), [0, right, 0, bottom])
        x = torch.cat([x, sigma.expand(b, 1, *x.shape[-2:])], 1)
        change = self._network(x).float()[..., :h, :w]
        limit = self.bound * sigma
        bounded = limit * torch.tanh(change / limit.clamp_min(torch.finfo(limit.dtype).tiny))
        return images[:, 0] - from_channels(bounded)

    def _network(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        x = F.pixel_unshuffle(x, self.shuffle)
        # convolutions of few channels are up to three times faster when channels lie together
        x = self.first(channels_last(x))
        skips = []
        for encoder, down in zip(self.encoders, self.down, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.coarsest(x)
        for decoder, up in zip(reversed(self.decoders), reversed(self.up), strict=True):
            x = decoder(up(x) + skips.pop())
        return F.pixel_shuffle(self.last(x), self.shuffle)


class _Block(nn.Module):
    """Two convolutions beside the identity, which they are before training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.after = _convolution(channels, channels), _convolution(channels, channels)

    def reset_parameters(self) -> None:
        """Begin with a small change."""
        with torch.no_grad():
            self.after.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.after(F.relu(self.before(x)))
        return result


def _level(channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(channels) for _ in range(blocks)))


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
