"""Whether a difference of methods is the same in every kind of scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrirecon.errors import ConfigError
from mrirecon.evaluation.statistics.paired import DRAWS, Difference, difference

Unit = tuple[str, str]
"""A patient, and the stratum that the scans lie in: a contrast, acceleration, vendor or field."""


@dataclass(frozen=True)
class Strata:
    """A difference of two methods in each stratum.

    Attributes:
        differences: What is known of each stratum, over its patients.
        p: P-value of the test that the mean difference is the same in all of them; None where
            there is nothing to compare.
        patients: Number of the patients that the test used.
        crossed: Whether they are patients who have scans in several strata.
    """

    differences: dict[str, Difference]
    p: float | None
    patients: int
    crossed: bool


def strata(one: Mapping[Unit, float], other: Mapping[Unit, float]) -> Strata:
    r"""Compare two methods in every stratum, and test the interaction.

    The statistic is :math:`\sum_g n_g(\bar d_g - \bar d)^2` of the paired differences :math:`d` of
    the strata :math:`g`; labels are permuted 10,000 times, always alike. Where patients have scans
    in several strata, only they count, their differences are taken from their own mean, and labels
    are permuted within each patient; else they are permuted over patients.

    Args:
        one: Mean value of a method for each patient and stratum.
        other: Values of another method for the same ones.

    Raises:
        ConfigError: When they are not the same, or nothing.
    """
    if one.keys() != other.keys() or not one:
        raise ConfigError("methods are compared on the same patients in the same strata")
    units = sorted(one)
    labels = sorted({label for _, label in units})
    change = np.array([one[unit] - other[unit] for unit in units])
    each = {
        label: difference(*(np.array([v[u] for u in units if u[1] == label]) for v in (one, other)))
        for label in labels
    }
    people = [patient for patient, _ in units]
    several = {patient for patient in people if people.count(patient) > 1}
    chosen = [k for k, patient in enumerate(people) if not several or patient in several]
    used = [units[k] for k in chosen]
    p = _interaction(change[chosen], used, crossed=bool(several))
    return Strata(each, p, len({patient for patient, _ in used}), bool(several))


def _interaction(change: np.ndarray, units: Sequence[Unit], crossed: bool) -> float | None:
    """Return the p-value of a permutation test; None where all lie in one stratum."""
    names, group = np.unique([label for _, label in units], return_inverse=True)
    if len(names) < 2 or len(change) == len(names):
        return None
    _, person = np.unique([patient for patient, _ in units], return_inverse=True)
    if crossed:
        change = change - (np.bincount(person, change) / np.bincount(person))[person]
    counts = np.bincount(group)
    rng = np.random.default_rng(0)
    orders = np.empty((DRAWS + 1, len(change)), dtype=int)
    orders[0] = np.arange(len(change))
    block = person if crossed else np.zeros(len(change), dtype=int)
    home = np.argsort(block, kind="stable")  # places of each block, one block after another
    keys = block + rng.random((DRAWS, len(change)))
    orders[1:, home] = np.argsort(keys, axis=1)
    moved = change[orders]
    means = np.stack([moved[:, group == g].mean(1) for g in range(len(names))])
    spread = (counts[:, None] * (means - moved.mean(1)) ** 2).sum(0)
    return float((spread >= spread[0] * (1 - 1e-9)).mean())
