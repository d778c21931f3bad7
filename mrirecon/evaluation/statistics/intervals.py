"""Means over patients with the interval that the choice of the patients leaves open."""

from collections.abc import Sequence

import numpy as np

RESAMPLES, LEVEL = 10_000, 0.95
FEWEST = 6
"""Values without which there is no interval: of five, all lie on one side of the median that they
were drawn around in one of 16 studies, and their own scatter does not tell."""


def bootstrap_interval(
    values: Sequence[float] | np.ndarray, fewest: int = FEWEST
) -> tuple[float, float] | None:
    r"""Return the 95 % interval of a mean by the studentized bootstrap.

    .. math:: \bar x - t^*_{0.975}\,s/\sqrt n \quad\text{to}\quad \bar x - t^*_{0.025}\,s/\sqrt n

    with the percentiles of :math:`t^* = (\bar x^* - \bar x)\sqrt n/s^*` over resampled values
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 12.5). Percentiles of the
    means themselves hold the true mean too seldom when there are few values or skewed ones, as
    those of SSIM are. The same values always have the same interval. It tells nothing about
    patients of another kind.

    Args:
        values: One value per patient.
        fewest: Number of values below which there is no interval, at least two.

    Returns:
        Lower and upper end; None of too few values, or when one is not finite.
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < max(fewest, 2) or not np.isfinite(x).all():
        return None
    mean, error = float(x.mean()), float(x.std(ddof=1)) / n**0.5
    resampled = x[np.random.default_rng(0).integers(0, n, (RESAMPLES, n))]
    errors = resampled.std(1, ddof=1) / n**0.5
    told = errors > 1e-9 * error  # one value drawn n times has no scatter
    if error == 0 or not told.any():
        return mean, mean
    t = (resampled.mean(1) - mean)[told] / errors[told]
    low, high = np.quantile(t, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return mean - float(high) * error, mean - float(low) * error
