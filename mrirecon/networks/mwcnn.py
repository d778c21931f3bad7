"""The multi-level wavelet CNN: a U-Net that pools by a wavelet transform."""

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.haar import haar_merge, haar_split
from mrirecon.networks.parts.joint_network import JointNetwork


class Mwcnn(JointNetwork):
    r"""Convolutions between Haar transforms, which halve the image and lose nothing.

    A level transforms the features, convolves the four bands, hands them to the next level, adds
    what comes back to what it handed down, convolves that and transforms back (Liu et al., CVPR
    Workshops 2018, arXiv:1805.07071). The defaults are those of XPDNet: without batch
    normalization, which would mix the slices of a batch, and with a pair of convolutions at full
    size before and after the levels. Only the last convolution has a bias. The image is
    zero-padded behind to a multiple of ``2 ** len(channels)``.

    Args:
        images: Number of complex images in the input.
        outputs: Number of complex images in the output.
        channels: Features of each level, and so the number of levels.
        convolutions: Number of convolutions of each level, on the way down and again on the way up.
        first_channels: Features at full size.
        first_convolutions: Number of convolutions at full size, before the levels and again after
            them.
    """

    def __init__(
        self,
        images: int = 1,
        outputs: int = 1,
        channels: Sequence[int] = (64, 128, 256),
        convolutions: int = 3,
        first_channels: int = 32,
        first_convolutions: int = 2,
    ) -> None:
        super().__init__(images, outputs)
        if not channels:
            raise ValueError("channels must name at least one level")
        check_at_least(1, channels=channels, first_channels=first_channels)
        check_at_least(1, convolutions=convolutions, first_convolutions=first_convolutions)
        widths = [first_channels, *channels]
        self.multiple = 2 ** len(channels)
        self.first = _convolved([2 * images, *[first_channels] * first_convolutions])
        self.down = nn.ModuleList(
            _convolved([4 * outer, *[inner] * convolutions]) for outer, inner in pairwise(widths)
        )
        self.up = nn.ModuleList(
            _convolved([*[inner] * convolutions, 4 * outer]) for outer, inner in pairwise(widths)
        )
        self.last = _convolved([first_channels] * first_convolutions)
        self.output = nn.Conv2d(first_channels, 2 * outputs, 3, padding=1)

    def process(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Return ``2 * outputs`` channels for ``2 * images``."""
        h, w = x.shape[-2:]
        x = self.first(F.pad(x, [0, -w % self.multiple, 0, -h % self.multiple]))
        kept = []
        for down in self.down:
            kept.append(x)
            x = down(haar_split(x))
        for level, up in reversed(list(enumerate(self.up))):
            x = kept[level] + haar_merge(up(x))
        result: Tensor = self.output(self.last(x))
        return result[..., :h, :w]


class ResidualMwcnn(nn.Module):
    r"""Adds a correction to a single image, :math:`D(x) = x + N(x)`, by a :class:`Mwcnn`.

    Args:
        channels: Features of each level, as in :class:`Mwcnn`.
        convolutions: Number of convolutions of each level, as in :class:`Mwcnn`.
        first_channels: Features at full size, as in :class:`Mwcnn`.
        first_convolutions: Number of convolutions at full size, as in :class:`Mwcnn`.
    """

    images = 1

    def __init__(
        self,
        channels: Sequence[int] = (64, 128, 256),
        convolutions: int = 3,
        first_channels: int = 32,
        first_convolutions: int = 2,
    ) -> None:
        super().__init__()
        self.network = Mwcnn(1, 1, channels, convolutions, first_channels, first_convolutions)

    def forward(self, image: Complex64[Tensor, "*b h w"]) -> Complex64[Tensor, "*b h w"]:
        """Return the corrected images; every leading axis is batch."""
        return image + self.network(image.unsqueeze(-3)).squeeze(-3)


def _convolved(sizes: Sequence[int]) -> nn.Sequential:
    blocks: list[nn.Module] = []
    for before, after in pairwise(sizes):
        blocks += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.ReLU(inplace=True)]
    return nn.Sequential(*blocks)
