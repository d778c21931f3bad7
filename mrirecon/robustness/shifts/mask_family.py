"""Another kind of mask than nominally."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mrirecon.errors import ConfigError
from mrirecon.robustness.case import Case
from mrirecon.robustness.shift import Level, Shift
from mrirecon.robustness.shifts.acceleration import has_no_acceleration, nominal_acceleration
from mrirecon.sampling import (
    EquispacedFractionLines,
    EquispacedLines,
    Gaussian2d,
    MagicFractionLines,
    MagicLines,
    PoissonDisc,
    RandomLines,
    SamplingPattern,
)
from mrirecon.sampling.lines import LinePattern

LINES: dict[str, type[LinePattern]] = {
    "equispaced": EquispacedLines,
    "equispaced_fraction": EquispacedFractionLines,
    "magic": MagicLines,
    "magic_fraction": MagicFractionLines,
    "random": RandomLines,
}
POINTS: dict[str, type[Gaussian2d | PoissonDisc]] = {
    "gaussian_2d": Gaussian2d,
    "poisson_disc": PoissonDisc,
}
"""Patterns along two phase encodings, of which a slice is a cut across the readout."""


@dataclass(frozen=True)
class MaskFamily(Shift):
    """Another pattern of the same nominal acceleration and, among lines, the same centre.

    Attributes:
        levels: Names of patterns, as ``sampling=`` has them.
    """

    levels: Sequence[Level] = ("random", "magic_fraction", "poisson_disc")
    title: ClassVar[str] = "mask family"
    axis: ClassVar[str] = "mask"
    about: ClassVar[str] = (
        "Another kind of mask of the same nominal acceleration; the reference stays."
    )

    def neutral(self, case: Case) -> Level:
        kind = type(case.sampling)
        names = [name for name, other in {**LINES, **POINTS}.items() if other is kind]
        return names[0] if names else kind.__name__

    def unsuited(self, case: Case) -> str:
        return has_no_acceleration(case.sampling)

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:  # noqa: ARG002
        return replace(case, sampling=_other(str(level), case.sampling))


def _other(name: str, nominal: SamplingPattern) -> SamplingPattern:
    acceleration = nominal_acceleration(nominal)
    if name in POINTS:
        return POINTS[name](acceleration)
    if name not in LINES:
        known = ", ".join([*LINES, *POINTS])
        raise ConfigError(f"mask family: there is no {name!r}; choose some of {known}")
    if not isinstance(nominal, LinePattern):
        return LINES[name](acceleration)
    return LINES[name](acceleration, nominal.center_fraction, nominal.acs)
