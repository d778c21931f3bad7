import numpy as np
import pytest

from mrirecon.epoch import current_epoch, training_epoch
from mrirecon.sampling import Curriculum, RandomLines

STAGES = (RandomLines(2, 0.2), RandomLines(4, 0.1), RandomLines(8, 0.05))


def drawn(pattern, epoch, seed=0):
    with training_epoch(epoch):
        return pattern((32, 200), np.random.RandomState(seed))


def test_stages_follow_the_epoch_and_the_last_one_holds_outside_of_training():
    pattern = Curriculum(STAGES, (0, 2, 5))
    nominal = [drawn(pattern, epoch).nominal for epoch in range(7)]
    assert nominal == [2, 2, 4, 4, 4, 8, 8]
    assert drawn(pattern, None).nominal == 8 and current_epoch() is None
    alone = STAGES[1]((32, 200), np.random.RandomState(3))
    assert drawn(pattern, 2, seed=3).mask.equal(alone.mask)


def test_earlier_stages_are_reviewed():
    pattern = Curriculum(STAGES, (0, 2, 5), review=0.25)
    many = [drawn(pattern, 6, seed).nominal for seed in range(400)]
    assert 0.18 < 1 - many.count(8) / 400 < 0.32 and many.count(2) > 20 and many.count(4) > 20
    assert {drawn(pattern, 0, seed).nominal for seed in range(50)} == {2}
    assert {drawn(pattern, None, seed).nominal for seed in range(50)} == {8}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"starts": (0, 1)}, "one start for each stage, got 2 for 3"),
        ({"starts": (1, 2, 3)}, "starts must rise from 0"),
        ({"starts": (0, 3, 3)}, "starts must rise from 0"),
        ({"starts": (0, 1, 2), "review": 1.0}, "review must lie"),
    ],
)
def test_wrong_curricula_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        Curriculum(STAGES, **options)
