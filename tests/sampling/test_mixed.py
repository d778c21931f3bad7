import numpy as np
import pytest

from mrirecon.sampling import EquispacedLines, MixedPatterns, RandomLines

TWO = [EquispacedLines(2, acs=8), RandomLines(6, acs=4)]


def test_each_mask_is_one_of_the_patterns_as_often_as_asked_for():
    mixed = MixedPatterns(TWO, [3, 1])
    draws = [mixed((64, 96), np.random.RandomState(seed)) for seed in range(400)]
    nominal = [drawn.nominal for drawn in draws]
    assert set(nominal) == {2, 6}
    assert 0.68 < nominal.count(2) / 400 < 0.82  # 3.2 standard deviations
    assert {drawn.acs for drawn in draws if drawn.nominal == 6} == {(64, 4)}
    again = mixed((64, 96), np.random.RandomState(7))
    assert again.mask.equal(draws[7].mask) and again.nominal == draws[7].nominal
    equal = MixedPatterns(TWO)
    assert {equal((64, 96), np.random.RandomState(seed)).nominal for seed in range(20)} == {2, 6}


@pytest.mark.parametrize(
    ("patterns", "probabilities", "message"),
    [
        ([], None, "patterns is empty"),
        (TWO, [1.0], "2 patterns but 1 probabilities"),
        (TWO, [1.0, 0.0], "must be positive"),
        (TWO, [1.0, float("nan")], "must be positive"),
    ],
)
def test_wrong_arguments_are_named(patterns, probabilities, message):
    with pytest.raises(ValueError, match=message):
        MixedPatterns(patterns, probabilities)
