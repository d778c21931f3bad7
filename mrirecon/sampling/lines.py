"""The five line patterns of fastMRI, bit-exact (Zbontar et al., arXiv:1811.08839).

They undersample ``w`` and keep every readout. For a given ``RandomState`` each draws the same
lines as ``fastmri.data.subsample`` 0.3.0: the order of the random draws is part of the definition.
Requests whose fully sampled centre alone exceeds the budget, on which fastMRI raises, keep the
centre only; :attr:`DrawnMask.achieved` tells.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool

from mrirecon.errors import ConfigError
from mrirecon.sampling.base import DrawnMask, SamplingPattern, Shape
from mrirecon.sampling.calibration import center_slice

Lines = Bool[np.ndarray, " w"]
FEWEST = 8
"""With fewer lines than these anything may happen by chance."""


@dataclass(frozen=True)
class LinePattern(SamplingPattern):
    """A fully sampled centre plus outer lines.

    Attributes:
        acceleration: Nominal acceleration, or several from which each mask draws one.
        center_fraction: Share of the lines that is always kept around the centre; with several
            accelerations one for each.
        acs: Exact number of central lines, instead of ``center_fraction``.
        any_combination: Draw acceleration and centre fraction independently.
    """

    acceleration: float | Sequence[float] = 4
    center_fraction: float | Sequence[float] = 0.08
    acs: int | None = None
    any_combination: bool = False

    def __post_init__(self) -> None:
        accelerations, fractions = _tuple(self.acceleration), _tuple(self.center_fraction)
        if any(not 1 <= a < math.inf for a in accelerations):
            raise ValueError(f"acceleration must be at least 1, got {self.acceleration}")
        if any(not 0 < f < 1 for f in fractions):
            raise ValueError(
                f"center_fraction must lie between 0 and 1, got {self.center_fraction}; "
                "set acs for a number of lines"
            )
        if self.acs is not None and self.acs < 1:
            raise ValueError(f"acs must be a positive number of lines, got {self.acs}")
        if len(accelerations) != len(fractions) and not self.any_combination:
            raise ValueError(
                f"acceleration {accelerations} and center_fraction {fractions} must have the same "
                "length; set any_combination=true to draw them independently"
            )

    def __call__(self, shape: Shape, rng: np.random.RandomState) -> DrawnMask:
        w = shape[1]
        acceleration, fraction = self._choose(rng)
        if self.acs is not None and self.acs > w:
            raise ConfigError(f"acs={self.acs} lines cannot be kept of {w}; choose fewer than {w}")
        center = min(self.acs or round(w * fraction), w)
        center, outer = self.outer(w, center, acceleration, rng)
        outer[center_slice(w, center)] = True
        if w >= FEWEST:
            _refuse_absurd(outer, center, acceleration, isinstance(self, RandomLines))
        return DrawnMask(torch.from_numpy(outer)[None], (shape[0], center), float(acceleration))

    @abstractmethod
    def outer(
        self, w: int, center: int, acceleration: float, rng: np.random.RandomState
    ) -> tuple[int, Lines]:
        """Return the number of central lines, as the pattern adjusts it, and the outer lines."""

    def _choose(self, rng: np.random.RandomState) -> tuple[float, float]:
        accelerations, fractions = _tuple(self.acceleration), _tuple(self.center_fraction)
        if self.any_combination:
            fraction = float(rng.choice(fractions))
            return _whole(float(rng.choice(accelerations))), fraction
        index = rng.randint(len(fractions))  # drawn even when there is no choice
        return _whole(accelerations[index]), fractions[index]


@dataclass(frozen=True)
class RandomLines(LinePattern):
    """Keep each outer line with equal probability: fastMRI's ``random``, its knee pattern.

    The nominal acceleration holds in expectation.
    """

    def outer(
        self, w: int, center: int, acceleration: float, rng: np.random.RandomState
    ) -> tuple[int, Lines]:
        probability = (w / acceleration - center) / (w - center) if center < w else 0.0
        return center, rng.uniform(size=w) < probability


@dataclass(frozen=True)
class EquispacedLines(LinePattern):
    """Keep every R-th line: fastMRI's ``equispaced``.

    The centre comes on top, so nominal 4 achieves about 3.2.
    """

    def outer(
        self, w: int, center: int, acceleration: float, rng: np.random.RandomState
    ) -> tuple[int, Lines]:
        spacing = round(acceleration)
        return center, _every(w, rng.randint(0, high=spacing), spacing)


@dataclass(frozen=True)
class EquispacedFractionLines(LinePattern):
    """Keep outer lines at a fractional spacing that meets R with the centre included.

    fastMRI's ``equispaced_fraction``, its brain pattern (called ``equispaced`` before version 0.2).
    """

    def outer(
        self, w: int, center: int, acceleration: float, rng: np.random.RandomState
    ) -> tuple[int, Lines]:
        mask = np.zeros(w, bool)
        if center * acceleration < w:
            spacing = acceleration * (center - w) / (center * acceleration - w)
            offset = rng.randint(0, high=round(spacing))
            mask[np.around(np.arange(offset, w - 1, spacing)).astype(int)] = True
        return center, mask


@dataclass(frozen=True)
class MagicLines(LinePattern):
    """Equispaced, with the offset of negative frequencies chosen against conjugate symmetry.

    fastMRI's ``magic`` (Defazio, arXiv:1912.01101).
    """

    def outer(
        self, w: int, center: int, acceleration: float, rng: np.random.RandomState
    ) -> tuple[int, Lines]:
        return center, _magic(w, round(acceleration), rng)


@dataclass(frozen=True)
class MagicFractionLines(LinePattern):
    """:class:`MagicLines` at a spacing that meets R with the centre included.

    fastMRI's ``magic_fraction``; the centre shrinks when it alone exceeds the budget.
    """

    def outer(
        self, w: int, center: int, acceleration: float, rng: np.random.RandomState
    ) -> tuple[int, Lines]:
        budget = round(w / acceleration)
        center = max(min(center, budget), 1)
        if budget <= center:
            return center, np.zeros(w, bool)
        return center, _magic(w, round(w / (budget - center)), rng)


def _refuse_absurd(mask: Lines, center: int, acceleration: float, chance: bool) -> None:
    """Refuse what is no undersampling, unless it is so by ``chance``, or nothing but a centre.

    Raises:
        ConfigError: With the numbers.
    """
    w = len(mask)
    if acceleration > w:
        raise ConfigError(f"acceleration={acceleration:g} of {w} lines is less than one line")
    if acceleration > 1 and mask.all() and (center >= w or not chance):
        raise ConfigError(
            f"acceleration={acceleration:g} with {center} central lines keeps all {w} lines, "
            "R = 1; choose fewer central lines (acs or center_fraction) or a larger acceleration"
        )


def _magic(w: int, spacing: int, rng: np.random.RandomState) -> Lines:
    offset = rng.randint(0, high=spacing)
    positive, negative = (offset + 1, offset + 2) if offset % 2 == 0 else (offset + 2, offset - 1)
    half = (w + 1) // 2
    frequencies = np.concatenate(
        [_every(half, positive, spacing), _every(w - half, negative, spacing)[::-1]]
    )
    return np.fft.fftshift(frequencies)


def _every(w: int, offset: int, spacing: int) -> Lines:
    mask = np.zeros(w, bool)
    mask[offset::spacing] = True
    return mask


def _tuple(value: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, Sequence) else (value,)


def _whole(value: float) -> float:
    """Integers stay integers: fastMRI's arithmetic is exact for them."""
    return int(value) if float(value).is_integer() else float(value)
