"""Means over volumes with the interval that the choice of the volumes leaves open."""

from collections.abc import Sequence

import numpy as np

RESAMPLES, LEVEL = 10_000, 0.95
FEWEST = 3
"""Values without which an interval says nothing: two resampled ones have three means."""


def bootstrap_interval(
    values: Sequence[float] | np.ndarray, fewest: int = FEWEST
) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean, by the percentiles of means of resampled values.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. The same values always
    have the same interval. It tells nothing about volumes of another kind.

    Args:
        values: One value per volume, or per patient.
        fewest: Number of values below which there is no interval.

    Returns:
        Lower and upper end; None of too few values, or when one is not finite.
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < fewest or not np.isfinite(x).all():
        return None
    chosen = np.random.default_rng(0).integers(0, len(x), (RESAMPLES, len(x)))
    low, high = np.quantile(x[chosen].mean(1), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)
