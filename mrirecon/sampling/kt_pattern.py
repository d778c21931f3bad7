"""What patterns share that keep other positions in each frame of a dynamic scan."""

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from mrirecon.sampling.base import DrawnMask, SamplingPattern, Shape

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class KtPattern(SamplingPattern):
    """A pattern that changes from frame to frame, and keeps as much of each.

    Attributes:
        acceleration: All positions divided by those that a frame keeps.
        acs: Lines, or side of the square, in the centre that every frame keeps, of these.
    """

    acceleration: float = 8.0
    acs: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.acceleration < math.inf:
            raise ValueError(f"acceleration must be at least 1, got {self.acceleration}")
        if self.acs < 0:
            raise ValueError(f"acs must not be negative, got {self.acs}")

    def __call__(self, shape: Shape, rng: np.random.RandomState) -> DrawnMask:
        return self.of_frame(shape, rng, 0)

    @abstractmethod
    def of_frame(self, shape: Shape, rng: np.random.RandomState, frame: int) -> DrawnMask:
        """Draw the mask of one frame; ``rng`` has the same state for every frame of a scan."""
