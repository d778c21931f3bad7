"""Line patterns of dynamic scans: each frame keeps other lines.

The mean of the frames over time is sampled wherever any frame is, so that it can serve as the
calibration data; then no frame needs a fully sampled centre of its own. Every frame keeps exactly
``round(w / acceleration)`` lines, the centre counted.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from numpy.random import RandomState

from mrirecon.errors import ConfigError
from mrirecon.sampling.base import DrawnMask, Shape, frame_rng
from mrirecon.sampling.calibration import center_slice, central_block
from mrirecon.sampling.kt_pattern import GOLDEN_RATIO, KtPattern

Places = Float64[np.ndarray, "line"]
Lines = Bool[np.ndarray, "line"]


@dataclass(frozen=True)
class KtLines(KtPattern):
    """Lines that change from frame to frame.

    Attributes:
        acceleration: All lines divided by those that a frame keeps.
        acs: Number of central lines that every frame keeps, of these.
    """

    def of_frame(self, shape: Shape, rng: RandomState, frame: int) -> DrawnMask:
        h, w = shape
        kept = round(w / self.acceleration)
        if kept < max(1, self.acs) or self.acs > w:
            raise ConfigError(
                f"acceleration={self.acceleration:g} of {w} lines keeps {kept} in each frame, of "
                f"which acs={self.acs} shall be central; choose a lower acceleration or a smaller "
                "acs"
            )
        central = center_slice(w, self.acs)
        outer = np.delete(np.arange(w), central)
        lines = np.zeros(w, bool)
        lines[central] = True
        if kept > self.acs:
            places = (outer - w // 2) / max(w / 2, 1)
            lines[outer[self.outer(places, kept - self.acs, rng, frame)]] = True
        mask = torch.from_numpy(lines)[None]
        acs = (h, self.acs) if self.acs else central_block(lines[None], shape)
        return DrawnMask(mask, acs, float(self.acceleration))

    @abstractmethod
    def outer(self, places: Places, count: int, rng: RandomState, frame: int) -> Lines:
        """Choose ``count`` of the lines outside of the centre.

        Args:
            places: Distance of each line from the centre, with its sign, as a share of half the
                extent of k-space.
            count: Number of lines to keep.
            rng: Generator of the whole series, in the same state for each of its frames.
            frame: Number of the frame, from 0.
        """


@dataclass(frozen=True)
class KtUniform(KtLines):
    """Evenly spaced lines, which move on from frame to frame: TSENSE, k-t BLAST and k-t SENSE.

    Together, ``acceleration`` frames in succession keep every line once when ``step`` is 1. Moving
    objects alias along lines and time at once (Kellman, Epstein and McVeigh, Magn Reson Med 45:846,
    2001; Tsao, Boesiger and Pruessmann, Magn Reson Med 50:1031, 2003). Where the lines begin is
    drawn for each scan.

    Attributes:
        step: Lines by which each frame moves on; prime to the acceleration, or some lines would
            never be kept.
    """

    step: int = 1

    def outer(self, places: Places, count: int, rng: RandomState, frame: int) -> Lines:
        total = len(places)
        spacing = max(1, round(total / count))
        if spacing > 1 and math.gcd(self.step, spacing) > 1:
            raise ConfigError(
                f"step={self.step} and a spacing of {spacing} lines have a common divisor, so that "
                "some lines would never be kept; choose another step"
            )
        first = rng.randint(total) + self.step * frame
        kept = np.zeros(total, bool)
        kept[(np.arange(count) * total // count + first) % total] = True
        return kept


@dataclass(frozen=True)
class KtGaussian(KtLines):
    """Lines at random, densely around the centre, drawn anew for each frame.

    Attributes:
        width: Standard deviation of the density as a share of half the extent of k-space; infinite
            for the same density everywhere.
    """

    width: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.width > 0:
            raise ValueError(f"width must be positive, got {self.width}")

    def outer(self, places: Places, count: int, rng: RandomState, frame: int) -> Lines:
        # weighted sampling without replacement: see Gaussian2d
        own = frame_rng(rng, frame)
        score = -0.5 * (places / self.width) ** 2 + own.gumbel(size=len(places))
        kept = np.zeros(len(places), bool)
        kept[np.argsort(-score)[:count]] = True
        return kept


@dataclass(frozen=True)
class KtGolden(KtLines):
    r"""Lines of variable density that come back after even times, by golden ratio offsets.

    Each line :math:`j` owns a stretch of length :math:`p_j`, the probability to be kept, on an axis
    of length ``count``; frame :math:`t` keeps those whose stretch holds an integer plus the offset
    :math:`o + t\,\gamma`, with :math:`\gamma = (\sqrt5 - 1)/2`. So lines are spread as evenly as
    the density allows within each frame and over time, which VISTA gets by optimisation (after
    GRO: Joshi et al., arXiv:2206.03630). The offset :math:`o` is drawn for each scan.

    Attributes:
        density: Probability of a line in the centre divided by that of one at the edge.
    """

    density: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.density < math.inf:
            raise ValueError(f"density must be at least 1, got {self.density}")

    def outer(self, places: Places, count: int, rng: RandomState, frame: int) -> Lines:
        wanted = 1 / (1 + (self.density - 1) * np.abs(places))
        ends = np.cumsum(_probabilities(wanted, count))
        ends *= count / ends[-1]
        offset = (rng.random_sample() + frame * GOLDEN_RATIO) % 1.0
        marks = np.floor(np.insert(ends, 0, 0.0) - offset)
        marks[-1] = marks[0] + count  # whatever was rounded
        return np.diff(marks) > 0


def _probabilities(wanted: Places, count: int) -> Places:
    """Scale weights so that they sum to ``count`` and none is above one."""
    found = np.minimum(wanted * (count / wanted.sum()), 1.0)
    for _ in range(len(wanted)):
        full = found >= 1
        rest = count - full.sum()
        if full.all() or np.isclose(found.sum(), count):
            break
        found[~full] = np.minimum(wanted[~full] * (rest / wanted[~full].sum()), 1.0)
    return found
