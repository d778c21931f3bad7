"""Fewer readouts of a non-Cartesian scan: spokes of radial ones, arms of spirals."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mrirecon.errors import ConfigError
from mrirecon.sampling.base import DrawnMask, SamplingPattern, Shape
from mrirecon.sampling.calibration import central_block

Which = Literal["every", "first", "consecutive"]


@dataclass(frozen=True)
class Spokes(SamplingPattern):
    """Keep some readouts as a whole, in the order in which they were measured.

    Attributes:
        acceleration: All readouts divided by the kept ones.
        count: Number of kept readouts, instead of ``acceleration``.
        which: ``every`` R-th readout from one that is drawn on, for angles that grow evenly; the
            ``first`` ones, or as many ``consecutive`` ones from one that is drawn on, for golden
            angles, of which any that follow one another are spread evenly.
    """

    acceleration: float = 4.0
    count: int | None = None
    which: Which = "every"

    def __post_init__(self) -> None:
        if not 1 <= self.acceleration < math.inf:
            raise ValueError(f"acceleration must be at least 1, got {self.acceleration}")
        if self.count is not None and self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")

    def __call__(self, shape: Shape, rng: np.random.RandomState) -> DrawnMask:
        w = shape[1]
        count = round(w / self.acceleration) if self.count is None else self.count
        if not 1 <= count <= w:
            what = f"acceleration={self.acceleration:g}" if self.count is None else "count"
            raise ConfigError(f"{what} keeps {count} of {w} readouts; expected 1 to {w}")
        kept = np.zeros(w, bool)
        if self.which == "every":
            kept[(np.arange(count) * w // count + rng.randint(w)) % w] = True
        else:
            first = 0 if self.which == "first" else rng.randint(w - count + 1)
            kept[first : first + count] = True
        mask = torch.from_numpy(kept)[None]
        return DrawnMask(mask, central_block(kept[None], shape), w / count)
