"""Patterns that change over the epochs of a training run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrirecon.epoch import current_epoch
from mrirecon.sampling.base import DrawnMask, SamplingPattern, Shape


@dataclass(frozen=True)
class Curriculum(SamplingPattern):
    """Patterns one after the other, for instance from a low acceleration to a high one.

    Which one is drawn follows from the epoch alone, so a resumed run goes on where it was. Outside
    of training (validation, reconstruction) it is always the last one: scores of all epochs compare
    the same task.

    Attributes:
        stages: The patterns, easiest first.
        starts: Epoch from which on each is used; the first is 0.
        review: Probability of drawing one of the earlier stages instead, so that they are not
            forgotten.
    """

    stages: Sequence[SamplingPattern]
    starts: Sequence[int]
    review: float = 0.0

    def __post_init__(self) -> None:
        starts = list(self.starts)
        if not self.stages or len(starts) != len(self.stages):
            raise ValueError(
                f"expected one start for each stage, got {len(starts)} for {len(self.stages)}"
            )
        if starts[0] != 0 or sorted(set(starts)) != starts:
            raise ValueError(f"starts must rise from 0, got {starts}")
        if not 0 <= self.review < 1:
            raise ValueError(f"review must lie in [0, 1), got {self.review}")

    def __call__(self, shape: Shape, rng: np.random.RandomState) -> DrawnMask:
        return self.of_frame(shape, rng, 0)

    def of_frame(self, shape: Shape, rng: np.random.RandomState, frame: int) -> DrawnMask:
        epoch = current_epoch()
        if epoch is None:
            return self.stages[-1].of_frame(shape, rng, frame)
        stage = sum(start <= epoch for start in self.starts) - 1
        if stage and self.review and rng.uniform() < self.review:
            stage = rng.randint(stage)
        return self.stages[stage].of_frame(shape, rng, frame)
