"""Whether bounds keep what they promise in patients that they were not made of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mrirecon.uncertainty.calibration import Calibration
from mrirecon.uncertainty.voxel_errors import STEPS

NOMINAL = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class CrossCheck:
    """What each patient's bounds would have been without this patient.

    Attributes:
        nominal: Share of the voxels that was promised.
        inside: Share of each patient's voxels that lay within.
        width: Width of the bounds of each patient, divided by its mean signal.
    """

    nominal: float
    inside: Float64[np.ndarray, " patient"]
    width: Float64[np.ndarray, " patient"]


def cross_checks(calibration: Calibration, nominal: Sequence[float] = NOMINAL) -> list[CrossCheck]:
    """Calibrate without each patient in turn, and look at this one.

    The mean of ``inside`` over patients has the expectation that one patient fewer promises. What
    would have infinite bounds is left out.

    Args:
        calibration: Calibration of at least two patients.
        nominal: Shares that are promised, each between 0 and 1.
    """
    found = []
    for coverage in nominal:
        made = calibration.with_coverage(coverage)
        inside, width = [], []
        for number, patient in enumerate(made.patients):
            others = (*made.patients[:number], *made.patients[number + 1 :])
            radius = made.of_patients(others).radius if others else math.inf
            if not math.isfinite(radius):
                break
            inside.append(1 - float(patient.risks[np.searchsorted(STEPS, radius)]))
            width.append(2 * radius * patient.relative_scale)
        else:
            found.append(CrossCheck(coverage, np.array(inside), np.array(width)))
    return found
