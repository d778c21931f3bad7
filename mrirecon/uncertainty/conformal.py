"""Bounds with a guarantee from finitely many patients, whatever the distribution of the errors.

Patients are exchangeable, voxels and slices of one patient are not: they share anatomy, coils and
motion. Whatever is counted here is therefore counted once for each patient.
"""

import math

import numpy as np
from jaxtyping import Float64

from mrirecon.errors import ConfigError

ROUNDING = 1e-9


def conformal_quantile(scores: Float64[np.ndarray, " patient"], coverage: float) -> float:
    r"""Return the bound that the score of another patient keeps to with a probability.

    It is the :math:`\lceil (n+1)c \rceil`-th smallest of n scores (Vovk, Gammerman and Shafer,
    Algorithmic Learning in a Random World, 2005, split conformal prediction). For exchangeable
    patients :math:`P(s_{n+1} \le q) \ge c`, over the draw of all n + 1 of them.

    Args:
        scores: Score of each patient, larger where the error is.
        coverage: Probability c, between 0 and 1.

    Returns:
        The bound; infinity for fewer than :func:`patients_needed`.
    """
    rank = math.ceil((len(scores) + 1) * checked_share(coverage, "coverage") - ROUNDING)
    return math.inf if rank > len(scores) else float(np.sort(scores)[max(rank, 1) - 1])


def controlled_risk(
    risks: Float64[np.ndarray, "patient step"], steps: Float64[np.ndarray, " step"], risk: float
) -> float:
    r"""Return the least step at which the expected risk of another patient is small enough.

    .. math:: \hat\lambda = \min\Big\{\lambda : \frac{1}{n+1}\Big(\sum_{i=1}^n L_i(\lambda) +
              1\Big) \le \alpha\Big\}, \qquad E[L_{n+1}(\hat\lambda)] \le \alpha

    (conformal risk control: Angelopoulos, Bates, Fisch, Lei and Schuster, ICLR 2024, theorem 1).
    :math:`L_i(\lambda)` is between 0 and 1 and falls with :math:`\lambda`, for instance the share
    of a patient's voxels whose error exceeds :math:`\lambda` times a scale.

    Args:
        risks: Risk of each patient at each step.
        steps: Values of lambda, increasing; chosen before the data are seen.
        risk: Largest expected risk, between 0 and 1.

    Returns:
        The step; infinity for too few patients, or where the last step does not suffice.
    """
    checked_share(risk, "risk")
    expected = (risks.sum(0) + 1) / (len(risks) + 1)
    small = np.flatnonzero(expected <= risk + ROUNDING)
    return float(steps[small[0]]) if small.size else math.inf


def confident_step(
    risks: Float64[np.ndarray, "patient step"],
    steps: Float64[np.ndarray, " step"],
    risk: float,
    confidence: float,
) -> float:
    r"""Return the step at which another patient's risk is small with a probability.

    The score of a patient is the least step at which its own risk is at most ``risk``; the
    :func:`conformal_quantile` of the scores has :math:`P(L_{n+1}(\hat\lambda) \le \alpha) \ge c`.
    A mean over patients may hide one with half of the voxels outside; this does not.

    Args:
        risks: Risk of each patient at each step.
        steps: Values of lambda, increasing.
        risk: Largest risk of a patient.
        confidence: Probability c, between 0 and 1.
    """
    checked_share(risk, "risk")
    met = risks <= risk + ROUNDING
    scores = np.where(met.any(1), steps[met.argmax(1)], np.inf)
    return conformal_quantile(scores, confidence)


def patients_needed(coverage: float) -> int:
    r"""Return the least number of patients that give a finite bound: :math:`c / (1 - c)`."""
    share = checked_share(coverage, "coverage")
    return math.ceil(share / (1 - share) - ROUNDING)


def checked_share(value: float, name: str) -> float:
    """Return a number between 0 and 1.

    Raises:
        ConfigError: When it is none.
    """
    if not 0 < value < 1:
        raise ConfigError(f"{name}: expected a number between 0 and 1, such as 0.9, got {value}")
    return value


def percent(share: float) -> str:
    """Write a share as it was given, such as ``97.5 %``."""
    return f"{100 * share:.6g} %"
