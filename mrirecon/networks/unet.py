"""The U-Net of fastMRI: its parameters have the same names and shapes, so its weights load."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.errors import ShapeError
from mrirecon.networks.parts.channels import channels_last
from mrirecon.networks.parts.instance_norm import normalized_leaky_relu_
from mrirecon.networks.parts.merged_inputs import merged_convolution

DEEPEST = 16
"""Most halvings: an image of 65536 pixels has one left."""


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
        bias: Whether the last convolution has a bias.
    """

    def __init__(
        self,
        inputs: int = 1,
        outputs: int = 1,
        channels: int = 32,
        pools: int = 4,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_at_least(1, inputs=inputs, outputs=outputs, channels=channels, pools=pools)
        if pools > DEEPEST:
            raise ValueError(f"pools must be at most {DEEPEST}, got {pools}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        widths = [channels * 2**level for level in range(pools + 1)]
        self.pools = pools
        self.down_sample_layers = nn.ModuleList(
            _Block(before, after, dropout)
            for before, after in zip([inputs, *widths], widths[:-1], strict=False)
        )
        self.conv = _Block(widths[-2], widths[-1], dropout)
        self.up_conv = nn.ModuleList()
        self.up_transpose_conv = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up_transpose_conv.append(_Up(2 * width, width))
            self.up_conv.append(_Block(2 * width, width, dropout))
        self.up_conv[-1] = _Output(self.up_conv[-1], nn.Conv2d(channels, outputs, 1, bias=bias))

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
        # convolutions of few channels are up to three times faster when channels lie together
        x = channels_last(x)
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
            x = merge(x, skip)
        return x


class _Up(nn.Module):
    """Doubles the size and halves the channels; ``layers.0`` is fastMRI's key."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.ConvTranspose2d(inputs, outputs, 2, stride=2, bias=False)])

    def forward(self, x: Tensor) -> Tensor:
        return normalized_leaky_relu_(self.layers[0](x))


class _Block(nn.Module):
    """Two normalized convolutions, of one or of several inputs' channels.

    ``layers.0`` and ``layers.4`` are fastMRI's keys.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                "0": nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                "4": nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            }
        )
        self.dropout = dropout

    def forward(self, *inputs: Tensor) -> Tensor:
        first, second = self.layers.values()
        assert isinstance(first, nn.Conv2d)
        alone = len(inputs) == 1
        x = first(*inputs) if alone else merged_convolution(inputs, first.weight, first.bias)
        return self._activate(second(self._activate(x)))

    def _activate(self, x: Tensor) -> Tensor:
        x = normalized_leaky_relu_(x)
        return F.dropout2d(x, self.dropout, self.training) if self.dropout else x


class _Output(nn.Sequential):
    """The last block and the convolution to the outputs."""

    def forward(self, *inputs: Tensor) -> Tensor:
        block, output = self
        assert isinstance(output, nn.Conv2d)
        x = block(*inputs).permute(0, 2, 3, 1)  # a matrix product is the fast convolution by 1 x 1
        result: Tensor = F.linear(x, output.weight.flatten(1), output.bias)
        return result.permute(0, 3, 1, 2)
