"""From the memory of small problems to that of a large one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrirecon.footprint.small_sample import Grid

Peaks = Mapping[Any, int]


@dataclass(frozen=True)
class Sizes:
    """The small grids on which a problem is tried.

    Attributes:
        small: Width of the smaller ones.
        large: Width of the larger ones, up to which nothing is extrapolated.
        readout: Whether what grows with the readout alone is told apart from what grows with the
            image: the equations of calibration lines do.
    """

    small: int
    large: int
    readout: bool

    def grids(self, grid: Grid) -> list[Grid]:
        """Return the grids to try for one of this size."""
        h, w = grid
        if h * w <= self.large**2:
            return [grid]
        small, large = self.small, self.large
        tried = [(small, small), (large, large)]
        if self.readout:
            tried.insert(1, (large, small))
        return list(dict.fromkeys((min(h, a), min(w, b)) for a, b in tried))


def extrapolated(peaks: Callable[[Grid], Peaks], grid: Grid, sizes: Sizes) -> int:
    """Return the peak of a problem on a grid.

    What lives at a place of the program grows with the size of the image, with that of the readout,
    or not at all. Which place has the most may change with the size, so each is extrapolated.

    Args:
        peaks: Function that solves the problem on a grid and returns the largest number of bytes at
            every place.
        grid: Size of the image.
        sizes: What is small.
    """
    tried = sizes.grids(grid)
    found = [peaks(one) for one in tried]
    if len(tried) == 1:
        return max(found[0].values())
    places = set(found[0]).intersection(*found[1:])
    table = np.array([[one[place] for place in places] + [max(one.values())] for one in found])
    growth = np.linalg.lstsq(_terms(tried, sizes), table, rcond=None)[0]
    predicted = _terms([grid], sizes) @ growth
    return int(max(predicted.max(), table.max()))


def _terms(grids: Sequence[Grid], sizes: Sizes) -> np.ndarray:
    # in units of the small grid, so that none outweighs the others
    rows = [(1.0, h / sizes.small, h * w / sizes.small**2) for h, w in grids]
    return np.array(rows)[:, [0, 1, 2] if sizes.readout else [0, 2]]
