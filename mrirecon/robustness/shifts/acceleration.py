"""More or fewer samples than nominally."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import ClassVar

import numpy as np

from mrirecon.errors import ConfigError
from mrirecon.robustness.case import Case
from mrirecon.robustness.shift import Level, Shift, number
from mrirecon.sampling import SamplingPattern


@dataclass(frozen=True)
class Acceleration(Shift):
    """Another acceleration of the same pattern; its other settings stay.

    Attributes:
        levels: Nominal accelerations that are tried.
    """

    levels: Sequence[Level] = (2.0, 3.0, 6.0)
    title: ClassVar[str] = "acceleration"
    axis: ClassVar[str] = "nominal acceleration"
    about: ClassVar[str] = "The same pattern keeps more or fewer samples; the reference stays."

    def neutral(self, case: Case) -> Level:
        return nominal_acceleration(case.sampling)

    def unsuited(self, case: Case) -> str:
        return has_no_acceleration(case.sampling)

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:  # noqa: ARG002
        return accelerated(case, number(level, self.title, 1.0))


def accelerated(case: Case, acceleration: float) -> Case:
    """Return the case with another acceleration of its pattern."""
    try:
        sampling = replace(case.sampling, acceleration=acceleration)  # type: ignore[type-var]
    except ValueError as error:
        raise ConfigError(f"acceleration: {error}") from error
    return replace(case, sampling=sampling)


def nominal_acceleration(sampling: SamplingPattern) -> float:
    """Return the acceleration that a pattern is asked for."""
    return float(sampling.acceleration)  # type: ignore[attr-defined]


def has_no_acceleration(sampling: SamplingPattern) -> str:
    """Say why a pattern has no single acceleration; empty when it has."""
    known = is_dataclass(sampling) and "acceleration" in {f.name for f in fields(sampling)}
    if known and isinstance(getattr(sampling, "acceleration", None), int | float):
        return ""
    return (
        f"the sampling {type(sampling).__name__} has no single acceleration to compare with; "
        "choose another one, sampling=equispaced_fraction say"
    )
