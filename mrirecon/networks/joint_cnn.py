"""A small CNN from several complex images to several."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.joint_network import JointNetwork


class JointCnn(JointNetwork):
    """3 x 3 convolutions with PReLUs between them.

    Args:
        images: Number of complex images in the input.
        outputs: Number of complex images in the output.
        channels: Features of each hidden layer.
        layers: Number of convolutions.
    """

    def __init__(
        self, images: int = 2, outputs: int = 1, channels: int = 32, layers: int = 3
    ) -> None:
        super().__init__(images, outputs)
        check_at_least(1, channels=channels)
        if layers < 2:
            raise ValueError(f"layers must be at least 2, got {layers}")
        sizes = [2 * images, *[channels] * (layers - 1), 2 * outputs]
        blocks: list[nn.Module] = []
        for before, after in pairwise(sizes):
            blocks += [nn.Conv2d(before, after, 3, padding=1), nn.PReLU()]
        self.layers = nn.Sequential(*blocks[:-1])

    def process(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Return ``2 * outputs`` channels for ``2 * images``."""
        features: Tensor = self.layers(x)
        return features
