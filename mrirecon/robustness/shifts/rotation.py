"""A head that lies at an angle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mrirecon.robustness.case import Case
from mrirecon.robustness.rigid import pixel_ratio, rotated
from mrirecon.robustness.shift import Level, Shift, number


@dataclass(frozen=True)
class Rotation(Shift):
    """Rotates everything in the plane, as another prescription of the slice would.

    Attributes:
        levels: Angles in degrees; positive ones turn what lies below the centre to the right.
    """

    levels: Sequence[Level] = (1.0, 3.0, 5.0)
    title: ClassVar[str] = "rotation"
    axis: ClassVar[str] = "angle / degrees"
    about: ClassVar[str] = "The object lies at an angle in the plane; so does it in the reference."

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:  # noqa: ARG002
        degrees, ratio = number(level, self.title, -45.0, 45.0), pixel_ratio(case.header)
        return case.mapped(
            lambda one: one.mapped(lambda kspace: rotated(kspace, degrees, ratio), maps=None)
        )
