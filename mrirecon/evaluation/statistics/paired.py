"""Two methods on the same patients: by how much they differ, and whether that can be chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float64

from mrirecon.errors import ConfigError
from mrirecon.evaluation.statistics.intervals import bootstrap_interval

Values = Float64[np.ndarray, " patient"]
DRAWS = 10_000
ALL_SIGNS = 14
"""Patients up to which the test goes through all assignments of signs."""
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """The mean difference of two methods over patients.

    Attributes:
        patients: Number of patients.
        mean: Mean of the paired differences.
        interval: Interval of 95 % of the mean; None of too few patients.
        p: Two-sided p-value of the sign-flip test that the mean is zero.
        effect: Mean difference divided by the standard deviation of the differences (Cohen's d of
            paired values); None where it is not defined.
        ahead: Share of the patients whose difference is positive; ties count half.
    """

    patients: int
    mean: float
    interval: tuple[float, float] | None
    p: float
    effect: float | None
    ahead: float


def difference(one: Values, other: Values) -> Difference:
    """Compare the values of two methods, patient by patient.

    Raises:
        ConfigError: When there are no patients, or a value is not finite.
    """
    if not len(one):
        raise ConfigError("there are no patients to compare methods on")
    change = one - other
    if not np.isfinite(change).all():
        raise ConfigError("values that are not finite cannot be compared; leave their patients out")
    n = len(change)
    deviation = float(change.std(ddof=1)) if n > 1 else 0.0
    return Difference(
        n,
        float(change.mean()),
        bootstrap_interval(change),
        sign_flip_test(change),
        float(change.mean()) / deviation if deviation > 0 else None,
        float(((change > 0) + 0.5 * (change == 0)).mean()),
    )


def sign_flip_test(change: Values) -> float:
    """Return the two-sided p-value of paired differences whose mean is expected to be zero.

    If they are symmetric about zero, every assignment of signs is as likely (Fisher, The Design of
    Experiments, 1935, section 21). Exact up to 14 patients; else 10,000 assignments are drawn,
    always the same ones.
    """
    n = len(change)
    if n <= ALL_SIGNS:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
    else:
        drawn = np.random.default_rng(0).choice((1.0, -1.0), (DRAWS, n))
        signs = np.vstack([np.ones(n), drawn])
    sums = np.abs(signs @ change)
    return float((sums >= sums[0] * (1 - 1e-9)).mean())


def smallest_p(patients: int, pairs: int) -> float:
    """Return the smallest p-value that so many pairs of methods can have after Holm's correction.

    Args:
        patients: Number of patients of each pair.
        pairs: Number of pairs that p-values are corrected for.
    """
    least = 2.0 ** (1 - patients) if patients <= ALL_SIGNS else 1 / (DRAWS + 1)
    return min(1.0, pairs * least)


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values that are corrected for their number (Holm, Scand J Stat 6:65, 1979).

    The chance that any true hypothesis among them falls below a level is at most that level.
    """
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    raised = np.maximum.accumulate(np.asarray(p, dtype=float)[order] * factors)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted.tolist()
