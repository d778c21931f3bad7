"""The grid of separate reference lines, and of their centre at the distances of the image."""

from dataclasses import dataclass

from mrirecon.errors import RawDataError
from mrirecon.raw.kspace_grid import Axis, Grid, Shape

WHOLE = 0.05
"""Samples by which a size may miss a whole number."""


@dataclass(frozen=True)
class Reference:
    """The grid of separate reference lines whose samples lie at other distances than the image's.

    Attributes:
        phase, partition: Axes of the phase encodings on this grid; no ``partition`` in a 2-D scan.
        scale: Field of view along readout, phase encoding and partitions, as a multiple of the
            image's encoded one.
    """

    phase: Axis
    partition: Axis | None
    scale: tuple[float, float, float]

    @property
    def same(self) -> bool:
        """Whether distances are those of the image's lines, and only the numbers are others."""
        return self.scale == (1.0, 1.0, 1.0)

    def readout(self, full: int, grid: Grid) -> int:
        """Return the samples along the readout after oversampling was removed.

        The readouts of a 2-D scan keep all: to resample them cuts their field of view.

        Args:
            full: Samples of a reference readout.
            grid: Grid of the image.

        Raises:
            RawDataError: When the image's field of view holds no whole number of them.
        """
        if grid.partition is None:
            return full
        size = full * grid.readout.size / grid.full / self.scale[0]
        if abs(size - round(size)) > WHOLE or round(size) < 1:
            raise RawDataError(
                f"the reference lines of this 3-D scan have {self.scale[0]:.4g} times the field of "
                f"view of the image along the readout, in which {size:.2f} of their {full} samples "
                "would lie, expected a whole number; this is not supported yet"
            )
        return round(size)

    def ratios(self, grid: Grid) -> tuple[float, float]:
        """Return the fields of view along the axes ``h w`` as multiples of the image's."""
        readout, phase, partition = self.scale
        removed = grid.readout.size / grid.full
        # the planes of a 3-D scan are in image space along the readout
        return (phase, partition) if grid.partition else (readout / removed, phase)

    def shape_of(self, block: tuple[slice, slice], own: Grid, grid: Grid) -> Shape:
        """Return the size that a block has at the distances of the image's samples.

        Args:
            block: Block on the reference scan's grid.
            own: Grid of the reference scan.
            grid: Grid of the image.
        """
        h, w = (
            2 * reach(part.stop - part.start, part.start - size // 2, ratio) + 1
            for part, size, ratio in zip(block, own.shape, self.ratios(grid), strict=True)
        )
        return h, w


def reach(count: int, first: int, ratio: float) -> int:
    """Return how many samples at new distances the old ones cover on either side of k = 0.

    Args:
        count: Number of the old samples.
        first: Place of the first of them, counted from k = 0; negative.
        ratio: Distance of new samples as a multiple of that of the old ones.
    """
    return int(min(-first, first + count - 1) / ratio + 1e-6)
