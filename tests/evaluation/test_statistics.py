"""Intervals, paired tests, rankings and strata, against studies whose truth is known."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from mrirecon.errors import ConfigError
from mrirecon.evaluation.statistics.intervals import bootstrap_interval
from mrirecon.evaluation.statistics.paired import SIGNIFICANT, difference, holm, sign_flip_test
from mrirecon.evaluation.statistics.ranking import ranking
from mrirecon.evaluation.statistics.strata import strata


def test_intervals_cover_the_true_mean():
    """500 studies of a dozen patients each; every second one is skewed, as SSIM is."""
    rng = np.random.default_rng(2)
    held = 0
    for study in range(500):
        values, true = (
            (rng.normal(30, 2, 12), 30.0) if study % 2 else (1 - rng.gamma(2, 0.02, 12), 0.96)
        )
        low, high = bootstrap_interval(values)
        held += low <= true <= high
    assert held / 500 == pytest.approx(0.95, abs=0.02)


def test_intervals_of_normal_values_are_those_of_student():
    values = np.random.default_rng(3).normal(0.05, 0.1, 40)
    low, high = bootstrap_interval(values)
    error = values.std(ddof=1) / 40**0.5
    expected = stats.t.interval(0.95, 39, values.mean(), error)
    np.testing.assert_allclose((low, high), expected, atol=0.15 * error)
    assert bootstrap_interval(values) == (low, high)


def test_intervals_of_too_few_values_do_not_exist():
    assert bootstrap_interval([1.0] * 6) == (1.0, 1.0)
    assert bootstrap_interval([0.1, 0.2, 0.3, 0.4, 0.5]) is None
    assert bootstrap_interval([1, 2, 3, 4, 5, np.inf]) is None
    low, high = bootstrap_interval([0.1, 0.2, 0.4], fewest=1)
    assert low < 0.7 / 3 < high and bootstrap_interval([0.1], fewest=1) is None


@pytest.mark.parametrize("n", [6, 11, 30])
def test_the_sign_flip_test_is_that_of_scipy(n):
    change = np.random.default_rng(n).normal(0.4, 1.0, n)
    other = stats.permutation_test(
        (change,), np.mean, permutation_type="samples", n_resamples=40_000, rng=0
    )
    assert sign_flip_test(change) == pytest.approx(other.pvalue, abs=0.01)


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    level = rng.normal(30, 5, 10)  # patients differ much more than methods
    one, other = level + rng.normal(0.5, 0.2, 10), level
    found = difference(one, other)
    assert found.p == 2 / 2**10 and found.ahead == 1.0 and found.patients == 10
    assert found.effect == pytest.approx((one - other).mean() / (one - other).std(ddof=1))
    assert found.interval[0] < found.mean < found.interval[1]
    assert stats.ttest_ind(one, other).pvalue > 0.5
    same = difference(level, level)
    assert (same.p, same.mean, same.ahead, same.effect) == (1.0, 0.0, 0.5, None)
    with pytest.raises(ConfigError, match="no patients"):
        difference(np.ones(0), np.ones(0))
    with pytest.raises(ConfigError, match="not finite"):
        difference(np.array([np.inf, 1.0]), np.ones(2))


def test_corrected_p_values_are_those_of_a_hand():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_no_true_hypothesis_falls_too_often():
    """Five equal methods: in at most one of 20 studies any two of them are told apart."""
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(200):
        values = [rng.normal(0, 1, 9) for _ in range(5)]
        p = holm([sign_flip_test(one - other) for one, other in combinations(values, 2)])
        wrong += min(p) < SIGNIFICANT
    assert wrong / 200 <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5


def test_methods_that_are_not_told_apart_share_a_letter():
    rng = np.random.default_rng(1)
    level = rng.normal(0.9, 0.03, 12)
    values = {
        "worst": level - 0.1 + rng.normal(0, 0.01, 12),
        "good": level + rng.normal(0, 0.01, 12),
        "as good": level + rng.normal(0, 0.01, 12),
        "best": level + 0.05 + rng.normal(0, 0.01, 12),
    }
    found = ranking(values)
    assert found.methods[0] == "best" and found.methods[-1] == "worst"
    assert found.letters == ("a", "b", "b", "c") and len(found.comparisons) == 6
    assert all(pair.difference.mean >= 0 for pair in found.comparisons)
    errors = ranking({name: 1 - one for name, one in values.items()}, higher_is_better=False)
    assert errors.methods == found.methods and errors.letters == found.letters
    few = ranking({name: one[:5] for name, one in values.items()})
    assert set(few.letters) == {"a"}  # of five patients, no p-value can be below 0.06
    assert ranking({"only": level}).letters == ("a",)


def test_overlapping_groups_have_a_letter_each():
    """Neighbours are not told apart, but first and last are."""
    base = np.zeros(12)
    wobble = np.array([3, -2.6, 2.4, -2.8, 3, -2.2, 2.6, -3, 2.2, -2.4, 2.8, -2.9])
    values = {"first": base + 2, "middle": base + 1 + wobble, "last": base}
    values["first"] = values["first"] + 0.1 * wobble
    assert ranking(values).letters == ("a", "ab", "b")


def test_letters_are_right_for_methods_that_are_not_neighbours():
    """A method that scatters is not told apart from the first one, though the second one is."""
    patient = np.arange(12)
    values = {
        "first": 3 + 0.0 * patient,
        "second": 2 + 0.01 * (-1.0) ** patient,
        "wild": 1.9 + 8 * (-1.0) ** patient,
        "last": -20 + 0.0 * patient,
    }
    found = ranking(values)
    letters = dict(zip(found.methods, found.letters, strict=True))
    assert letters == {"first": "a", "second": "b", "wild": "ab", "last": "c"}
    for pair in found.comparisons:
        assert pair.distinct != bool(set(letters[pair.one]) & set(letters[pair.other]))


def units(rng, effects, patients=9, crossed=True):
    """Return the values of a method against another for patients and their strata."""
    names = list(effects)
    one = {}
    for k in range(patients):
        own = rng.normal(0, 2)
        for label in names if crossed else [names[k % len(names)]]:
            one[f"p{k}", label] = own * crossed + effects[label] + rng.normal(0, 0.3)
    return one, dict.fromkeys(one, 0.0)


@pytest.mark.parametrize("crossed", [True, False])
def test_an_interaction_is_found_and_not_invented(crossed):
    rng = np.random.default_rng(5)
    patients = 8 if crossed else 18
    found = strata(*units(rng, {"t1": 0.0, "t2": 1.0, "flair": 0.2}, patients, crossed))
    assert found.p < 0.01 and found.crossed is crossed and found.patients == patients
    assert found.differences["t2"].patients == (8 if crossed else 6)
    p = [strata(*units(rng, {"t1": 0.5, "t2": 0.5}, patients, crossed)).p for _ in range(100)]
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 2 * (0.05 * 0.95 / 100) ** 0.5


def test_one_stratum_has_no_interaction():
    one, other = units(np.random.default_rng(0), {"t1": 0.5})
    assert strata(one, other).p is None
    with pytest.raises(ConfigError, match="same patients"):
        strata(one, {})
