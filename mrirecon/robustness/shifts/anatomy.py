"""Another orientation of the slices than nominally, of simulated subjects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mrirecon.robustness.case import Case
from mrirecon.robustness.shift import Level, Shift
from mrirecon.robustness.shifts.contrast import not_simulated, scanned_again


@dataclass(frozen=True)
class OtherAnatomy(Shift):
    """Scans other parts of the same simulated head.

    Attributes:
        levels: Orientations of the slices: ``axial``, ``coronal`` or ``sagittal``.
    """

    levels: Sequence[Level] = ("coronal", "sagittal")
    title: ClassVar[str] = "anatomy"
    axis: ClassVar[str] = "orientation"
    about: ClassVar[str] = (
        "Slices of another orientation show another anatomy; so does the reference."
    )

    def neutral(self, case: Case) -> Level:
        return "" if case.simulated is None else case.simulated.protocol.prescription.orientation

    def unsuited(self, case: Case) -> str:
        return not_simulated(case)

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:  # noqa: ARG002
        assert case.simulated is not None
        protocol = case.simulated.protocol
        turned = replace(protocol.prescription, orientation=str(level), center=(0.0, 0.0, 14.0))
        return scanned_again(case, replace(protocol, prescription=turned), ())
