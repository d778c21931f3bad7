"""A U-Net over frames and pixels whose convolutions are factorised in space and time."""

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.channels import from_channels, to_channels

SLOPE, SMALL = 0.1, 1e-3
LEAST = 0.02
"""Part of the resting image that counts as change in any case."""


class SpaceTimeUnet(nn.Module):
    r"""Denoises all frames of a series at once, with what it sees in the frames around each.

    .. math:: D(x) = x + \sigma\,N\big(\bar x / \rho,\ (x - \bar x) / \sigma\big)

    with the mean :math:`\bar x` of the frames, its root-mean-square :math:`\rho` and that of what
    changes, :math:`\sigma^2 = \overline{|x - \bar x|^2} + (\rho/50)^2`: what moves is often a
    hundredth of what rests, and would hardly be seen beside it (k-t NEXT: Qin et al., MICCAI 2019,
    takes the mean away likewise). :math:`N` is a U-Net that halves the images, but never the number
    of frames, so that there may be any. Each of its convolutions goes
    over the pixels, or over three frames: (2+1)-D convolutions (Tran et al., CVPR 2018), which
    DL-ESPIRiT has brought to cine imaging (Sandino et al., Magn Reson Med 85:152, 2021). At the
    ends of the series the last frame is repeated.

    Args:
        channels: Features of the first level, and half as many as of the next.
        pools: Number of halvings of the images.
        cyclic: Whether the first frame follows the last one, as in a heart cycle, all of whose
            frames must then come together.
    """

    images = 1
    joint = True

    def __init__(self, channels: int = 16, pools: int = 2, cyclic: bool = False) -> None:
        super().__init__()
        check_at_least(1, channels=channels)
        check_at_least(0, pools=pools)
        widths = [channels * 2**level for level in range(pools + 1)]
        self.first = nn.Conv2d(4, channels, 3, padding=1)
        self.down = nn.ModuleList(_Block(width, cyclic) for width in widths[:-1])
        self.widen = nn.ModuleList(
            nn.Conv2d(width, 2 * width, 2, stride=2) for width in widths[:-1]
        )
        self.middle = _Block(widths[-1], cyclic)
        self.narrow = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in reversed(widths[:-1])
        )
        self.up = nn.ModuleList(_Block(width, cyclic) for width in reversed(widths[:-1]))
        self.last = nn.Conv2d(channels, 2, 3, padding=1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin with features of one size, and with hardly any change of the images.

        Torch's own initialisation shrinks features with every convolution, so that frames would
        hardly see one another; large changes would spoil the image that the method begins with.
        """
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                fan = part.weight[0].numel()
                if isinstance(part, nn.ConvTranspose2d):  # each output sees one place of the input
                    fan = part.in_channels
                nn.init.normal_(part.weight, std=(2 / fan) ** 0.5)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        nn.init.normal_(self.last.weight, std=SMALL)

    def forward(self, image: Complex64[Tensor, "frame h w"]) -> Complex64[Tensor, "frame h w"]:
        """Return the denoised frames."""
        mean = image.mean(0, keepdim=True)
        change = image - mean
        rest = torch.view_as_real(mean).square().mean()
        empty = rest == 0  # the square root of zero has no gradient
        rest = torch.where(empty, 1.0, rest)
        sigma = (torch.view_as_real(change).square().mean() + rest * LEAST**2).sqrt()
        seen = torch.cat(
            [to_channels(mean / rest.sqrt()).expand(len(image), -1, -1, -1),
             to_channels(change / sigma)], 1,
        )  # fmt: skip
        return image + torch.where(empty, 0.0, sigma) * from_channels(self._network(seen))

    def _network(self, x: Float[Tensor, "frame 4 h w"]) -> Float[Tensor, "frame 2 h w"]:
        h, w = x.shape[-2:]
        multiple = 2 ** len(self.down)
        x = self.first(F.pad(x, [0, -w % multiple, 0, -h % multiple]))
        skips = []
        for block, widen in zip(self.down, self.widen, strict=True):
            x = block(x)
            skips.append(x)
            x = widen(x)
        x = self.middle(x)
        for narrow, block in zip(self.narrow, self.up, strict=True):
            x = block(narrow(x) + skips.pop())
        result: Tensor = self.last(x)
        return result[..., :h, :w]


class _Block(nn.Module):
    """Two convolutions over pixels and two over frames, around which the input is added."""

    def __init__(self, width: int, cyclic: bool) -> None:
        super().__init__()
        self.cyclic = cyclic
        self.space = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.time = nn.ModuleList(nn.Conv2d(width, width, (3, 1)) for _ in range(2))

    def forward(self, x: Float[Tensor, "frame c h w"]) -> Float[Tensor, "frame c h w"]:
        y = x
        for space, time in zip(self.space, self.time, strict=True):
            y = space(F.leaky_relu(y, SLOPE))
            y = self._along_time(time, F.leaky_relu(y, SLOPE))
        return x + y

    def _along_time(self, convolution: nn.Module, x: Tensor) -> Tensor:
        """Convolve with frames as the rows and all pixels as the columns of one image."""
        before, after = (x[-1:], x[:1]) if self.cyclic else (x[:1], x[-1:])
        rows = torch.cat([before, x, after]).flatten(2).transpose(0, 1)
        result: Tensor = convolution(rows.unsqueeze(0))
        return result.squeeze(0).transpose(0, 1).reshape(x.shape)
