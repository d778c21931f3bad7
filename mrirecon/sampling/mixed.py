"""Several patterns or accelerations in one training run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrirecon.sampling.base import DrawnMask, SamplingPattern, Shape


@dataclass(frozen=True)
class MixedPatterns(SamplingPattern):
    """Draw one of several patterns for each mask, so that one network learns them all.

    Attributes:
        patterns: Patterns to choose from, for instance one per acceleration.
        probabilities: Positive weight of each pattern; they are divided by their sum. None makes
            all patterns equally probable.
    """

    patterns: Sequence[SamplingPattern]
    probabilities: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.patterns:
            raise ValueError("patterns is empty; give at least one")
        if self.probabilities is None:
            return
        if len(self.probabilities) != len(self.patterns):
            raise ValueError(
                f"there are {len(self.patterns)} patterns but {len(self.probabilities)} "
                "probabilities; give one for each"
            )
        if not all(np.isfinite(p) and p > 0 for p in self.probabilities):
            raise ValueError(f"probabilities must be positive, got {list(self.probabilities)}")

    def __call__(self, shape: Shape, rng: np.random.RandomState) -> DrawnMask:
        return self.of_frame(shape, rng, 0)

    def of_frame(self, shape: Shape, rng: np.random.RandomState, frame: int) -> DrawnMask:
        weights = np.asarray(self.probabilities or [1.0] * len(self.patterns), float)
        index = rng.choice(len(self.patterns), p=weights / weights.sum())
        return self.patterns[index].of_frame(shape, rng, frame)
