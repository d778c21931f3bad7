"""Compositing of tissues by signed distances, with partial volume at their borders."""

import numpy as np
from jaxtyping import Float32

from mrirecon.simulation.fields import Values
from mrirecon.simulation.tissues import TISSUES


class Layers:
    """Paints tissues from front to back: each takes what those before it have left.

    Args:
        count: Number of points.
        sharpness: One over the width of a border, in 1/mm.
        tissues: Names of the tissues, one for each row of the fractions.
    """

    fractions: Float32[np.ndarray, "tissue point"]

    def __init__(
        self, count: int, sharpness: np.float32, tissues: tuple[str, ...] = TISSUES
    ) -> None:
        self.tissues = tissues
        self.fractions = np.zeros((len(tissues), count), np.float32)
        self.sharpness = sharpness
        self.remaining = np.ones(count, np.float32)

    def cover(self, distance: Values) -> Values:
        """Turn a signed distance (positive inside) into a coverage between 0 and 1."""
        return np.clip(np.float32(0.5) + distance * self.sharpness, 0, 1)

    def limit(self, distance: Values) -> None:
        """Leave air where ``distance`` is negative."""
        self.remaining = self.cover(distance)

    def paint(self, tissue: str, distance: Values, outside: bool = False) -> None:
        """Fill where ``distance`` is positive, or where it is negative if ``outside``."""
        self.add(tissue, self.cover(-distance if outside else distance))

    def add(self, tissue: str, coverage: Values) -> None:
        """Give ``tissue`` the share ``coverage`` of what is left."""
        share = self.remaining * coverage
        self.fractions[self.tissues.index(tissue)] += share
        self.remaining = self.remaining - share
