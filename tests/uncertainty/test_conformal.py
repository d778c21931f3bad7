"""Guarantees of conformal bounds, on simulated patients."""

import math

import numpy as np
import pytest

from mrirecon.errors import ConfigError
from mrirecon.uncertainty.conformal import (
    confident_step,
    conformal_quantile,
    controlled_risk,
    patients_needed,
    percent,
)

SPLITS = 200


def studies(rng, patients, voxels=300):
    """Absolute errors of patients who differ in size and kind of their errors."""
    size = np.exp(rng.normal(0, 0.6, (patients, 1)))
    shift = rng.normal(0, 0.5, (patients, 1))
    return np.abs(size * rng.standard_normal((patients, voxels)) + shift)


def risks(errors, steps):
    return (errors[:, None, :] > steps[None, :, None]).mean(-1)


def test_the_quantile_is_the_right_order_statistic():
    scores = np.array([5.0, 1.0, 3.0, 2.0, 4.0, 9.0, 7.0, 6.0, 8.0])
    assert conformal_quantile(scores, 0.9) == 9.0  # ceil(10 * 0.9) = 9
    assert conformal_quantile(scores, 0.8) == 8.0
    assert conformal_quantile(scores, 0.05) == 1.0
    assert conformal_quantile(scores, 0.91) == math.inf
    assert conformal_quantile(scores[:0], 0.5) == math.inf


@pytest.mark.parametrize("coverage", [0.5, 0.75, 0.8, 0.9, 0.95, 0.975, 0.99, 2 / 3])
def test_too_few_patients_give_infinity_and_one_more_does_not(coverage):
    needed = patients_needed(coverage)
    rng = np.random.default_rng(0)
    steps = np.linspace(0, 100, 200)
    for count, finite in ((needed - 1, False), (needed, True)):
        errors = studies(rng, count, 10)
        found = (
            conformal_quantile(errors[:, 0], coverage),
            controlled_risk(risks(errors, steps), steps, 1 - coverage),
            confident_step(risks(errors, steps), steps, 0.5, coverage),
        )
        assert [math.isfinite(one) for one in found] == [finite] * 3, (count, found)
    assert patients_needed(0.9) == 9 and patients_needed(0.95) == 19 and patients_needed(0.5) == 1


def test_scalars_are_covered_as_often_as_promised():
    """n = 100: exactly ceil(101 * 0.9) / 101 = 0.901 in expectation, over 200 splits."""
    rng, hits = np.random.default_rng(1), []
    for _ in range(SPLITS):
        scores = np.exp(rng.standard_normal(150))
        bound = conformal_quantile(scores[:100], 0.9)
        hits.append((scores[100:] <= bound).mean())
    spread = np.std(hits, ddof=1) / SPLITS**0.5
    assert abs(np.mean(hits) - 91 / 101) < 3 * spread and spread < 0.004


@pytest.mark.parametrize(("coverage", "patients"), [(0.9, 20), (0.8, 12), (0.95, 40)])
def test_voxels_are_covered_in_new_patients(coverage, patients):
    """Within 3 sigma of nominal over 200 splits: between c and c + 2 / (n + 1)."""
    rng, steps, inside = np.random.default_rng(2), np.geomspace(0.1, 60, 150), []
    for _ in range(SPLITS):
        errors = studies(rng, patients + 10, 100)
        step = controlled_risk(risks(errors[:patients], steps), steps, 1 - coverage)
        inside.append((errors[patients:] <= step).mean())
    spread = np.std(inside, ddof=1) / SPLITS**0.5
    assert coverage - 3 * spread < np.mean(inside) < coverage + 2 / (patients + 1) + 3 * spread


def test_slices_of_patients_promise_too_much():
    """Bounds from pooled slices of 14 patients cover fewer of the next patient than they promise.

    Errors vary from patient to patient, not within one, so that 280 slices are no more than 14.
    """
    rng, steps = np.random.default_rng(3), np.geomspace(0.02, 60, 150)
    pooled, ours = [], []
    for _ in range(4 * SPLITS):
        errors = np.exp(rng.standard_normal((24, 1)) + 0.1 * rng.standard_normal((24, 20)))
        naive = conformal_quantile(errors[:14].ravel(), 0.9)
        step = controlled_risk(risks(errors[:14], steps), steps, 0.1)
        pooled.append((errors[14:] <= naive).mean())
        ours.append((errors[14:] <= step).mean())
    low, spread = (
        np.mean([pooled, ours], 1),
        np.std([pooled, ours], 1, ddof=1) / (4 * SPLITS) ** 0.5,
    )
    assert low[0] < 0.9 - 3 * spread[0]
    assert low[1] >= 0.9 - 3 * spread[1]


def test_confidence_holds_for_the_patient_and_not_on_average():
    rng, steps, kept = np.random.default_rng(4), np.geomspace(0.2, 60, 300), []
    for _ in range(SPLITS):
        errors = studies(rng, 39, 100)
        step = confident_step(risks(errors[:19], steps), steps, 0.1, 0.9)
        kept.append(((errors[19:] > step).mean(1) <= 0.1).mean())
    spread = np.std(kept, ddof=1) / SPLITS**0.5
    assert abs(np.mean(kept) - 18 / 20) < 3 * spread + 0.005  # steps are not infinitely fine


def test_a_patient_whom_no_step_covers_makes_the_bound_infinite():
    risk = np.array([[1.0, 0.5, 0.4]] * 30)
    assert controlled_risk(risk, np.arange(3.0), 0.1) == math.inf
    assert confident_step(risk, np.arange(3.0), 0.1, 0.9) == math.inf
    assert controlled_risk(risk, np.arange(3.0), 0.5) == 2.0


@pytest.mark.parametrize("wrong", [0.0, 1.0, 90.0, -0.1, math.nan])
def test_shares_lie_between_0_and_1(wrong):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        conformal_quantile(np.ones(3), wrong)


def test_shares_are_written_as_they_were_given():
    assert percent(0.975) == "97.5 %" and percent(0.9) == "90 %"
