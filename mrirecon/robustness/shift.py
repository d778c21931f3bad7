"""What a shift is: it changes a case by a level, and tells which level changes nothing."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from mrirecon.errors import ConfigError
from mrirecon.robustness.case import Case
from mrirecon.types import Volume

Level = float | str


class Disturbance(ABC):
    """Whatever methods are tried with: a shift, or the worst case of each method.

    Attributes:
        levels: Levels that are tried.
        about: What happens to scan and reference, in a sentence.
    """

    levels: Sequence[Level]
    about: ClassVar[str]

    @property
    @abstractmethod
    def title(self) -> str:
        """Name for people."""


class Shift(Disturbance):
    """Changes what is measured, and the reference with it where the object changes.

    A random choice is the same at every level, so that a curve follows one disturbance that grows.

    Attributes:
        axis: Words on the axis of the levels, with the unit.
    """

    axis: ClassVar[str]

    def neutral(self, case: Case) -> Level:  # noqa: ARG002
        """Return the level at which nothing changes."""
        return 0.0

    def unsuited(self, case: Case) -> str:  # noqa: ARG002
        """Say why this cannot be done to a case; empty when it can."""
        return ""

    def __call__(self, case: Case, level: Level, seed: int = 0) -> Case:
        """Return the case at a level; the very same one at the neutral level.

        Args:
            case: Case as it is nominally.
            level: Level of the shift.
            seed: Seed of what is random; scans differ whatever it is.

        Raises:
            ConfigError: When there is no such level, or it cannot be done to this case.
        """
        if reason := self.unsuited(case):
            raise ConfigError(f"{self.title}: {case.name}: {reason}")
        if level == self.neutral(case):
            return case
        words = f"{type(self).__name__} {case.name}"
        return self._shifted(case, level, np.random.default_rng((seed, zlib.crc32(words.encode()))))

    @abstractmethod
    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case: ...

    def measured(
        self,
        image: Volume,  # noqa: ARG002
        nominal: Volume,  # noqa: ARG002
        references: tuple[Volume, Volume],  # noqa: ARG002
    ) -> Mapping[str, float]:
        """Return what is measured beside the metrics, by name.

        Args:
            image: Reconstruction of the case at a level.
            nominal: Reconstruction of the case as it is nominally.
            references: References of both.
        """
        return {}


def number(level: Level, title: str, low: float, high: float = float("inf")) -> float:
    """Return a level that is a number.

    Args:
        level: Level of a shift.
        title: Name of the shift, for the message.
        low: Smallest number that makes sense.
        high: Largest number that makes sense.

    Raises:
        ConfigError: When it is none, or outside these limits.
    """
    if isinstance(level, str) or not low <= level <= high:
        limits = f"at least {low:g}" if high == float("inf") else f"{low:g} to {high:g}"
        raise ConfigError(f"{title}: a level is {level!r}; expected a number, {limits}")
    return float(level)
