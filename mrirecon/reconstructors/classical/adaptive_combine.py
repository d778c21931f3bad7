"""Adaptive coil combination (Walsh et al., Magn Reson Med 43:682, 2000)."""

from mrirecon.operators import coil_images
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.coil_combination import adaptive_combine, check_block
from mrirecon.types import Image, Sample


class AdaptiveCombine(Reconstructor):
    r"""Combine the coil images of the measured k-space by a local matched filter.

    Unlike the root-sum-of-squares, the image is complex, and empty background is not lifted by the
    noise of every coil. Aliasing stays: it is meant for fully sampled scans.

    Args:
        block: Width in pixels of the neighbourhood over which coils are correlated.
    """

    needs_grid = ""

    def __init__(self, block: int = 7) -> None:
        super().__init__()
        check_block(block)
        self.block = block

    def forward(self, sample: Sample) -> Image:
        """Return the complex image; zero where every coil is."""
        return adaptive_combine(coil_images(sample), self.block)
