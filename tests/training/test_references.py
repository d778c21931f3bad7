"""Which slices need a reference, and what else can be told before a run starts."""

from dataclasses import replace

import pytest

from mrirecon.adaptation import Adaptation
from mrirecon.commands.train import _check_data
from mrirecon.data.collate import collate
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.transforms import Compose, RssTarget, Undersample
from mrirecon.errors import ConfigError
from mrirecon.reconstructors.learned.modl import MoDL
from mrirecon.sampling import EquispacedLines
from mrirecon.scan import Scan
from mrirecon.sensitivity import GivenMaps, LearnedMaps, LowResolutionMaps
from mrirecon.sensitivity.base import CalibrationError
from mrirecon.training.objectives.base import Supervised
from mrirecon.training.objectives.consistency_training import Consistency
from mrirecon.training.objectives.penalty import WithPenalty
from mrirecon.training.objectives.perturbations import FlipAndShift, MoreNoise
from mrirecon.training.objectives.ssdu import Ssdu
from tests import scenes
from tests.training import runs

VARNET = runs.varnet()


class Undersampled(Scan):
    """A scan as a file of another format, without a reference, brings it."""

    def __init__(self, subject):
        self.scan = scenes.scan(subject)
        self.header = replace(self.scan.header, format="another")

    def _read(self, index):
        sample = self.scan[index].replace(target=None, peak=None)
        return Undersample(scenes.PATTERN)(sample)


def data(stage, *scans, required=True):
    loaders = runs.data()
    loaders.sets[stage] = SliceDataset(list(scans), RssTarget(required))
    return loaders


def test_every_format_is_looked_at_before_the_first_step():
    mixed = (scenes.scan(1), Undersampled(2))
    for stage in ("train", "val"):
        reason = rf"data\.{stage}: .*subject0002.* cannot serve .*semi_supervised, likewise"
        with pytest.raises(ConfigError, match=reason):
            _check_data(data(stage, *mixed), Ssdu(), VARNET)
        without = data(stage, *mixed, required=False)
        _check_data(without, Ssdu(), VARNET)
        with pytest.raises(ConfigError, match=rf"data\.{stage}: .* needs a reference image"):
            _check_data(without, Supervised(), VARNET)


def test_self_supervision_that_sees_all_of_k_space_in_the_end_is_told(capsys):
    seen = {}
    for seed, objective in (("random", Ssdu()), ("scan", Ssdu()), ("random", Supervised())):
        loaders = runs.data()
        loaders.sets["train"].transform = Compose([RssTarget(), Undersample(scenes.PATTERN, seed)])
        _check_data(loaders, objective, VARNET)
        seen[seed, type(objective)] = (
            "another mask of the same, fully sampled" in capsys.readouterr().err
        )
    assert seen == {("random", Ssdu): True, ("scan", Ssdu): False, ("random", Supervised): False}
    loaders.sets["train"] = SliceDataset([Undersampled(2)], Undersample(scenes.PATTERN, "random"))
    _check_data(loaders, Ssdu(), VARNET)
    assert not capsys.readouterr().err


def test_semi_supervised_training_without_any_reference_is_refused():
    """The consistency alone is least for a method that paints the same image of every scan."""
    objective = Consistency(Supervised(), [MoreNoise()])
    none = data("train", Undersampled(2), Undersampled(3), required=False)
    for one in (objective, WithPenalty(objective), Consistency(objective, [MoreNoise()])):
        with pytest.raises(ConfigError, match=r"data\.train: .* none of 2 scans has a reference"):
            _check_data(none, one, VARNET)
    for self_supervised in (Ssdu(), Consistency(Ssdu(), [MoreNoise()])):
        _check_data(none, self_supervised, VARNET)
    _check_data(data("train", Undersampled(2), scenes.scan(3), required=False), objective, VARNET)
    with pytest.raises(ValueError, match="Consistency needs a reference image"):
        Adaptation(objective)


def test_a_centre_that_mirroring_makes_too_small_is_told_before_it_happens():
    """4 central lines are enough for low-resolution maps; mirrored, 3 of them stay central."""
    few = EquispacedLines(2, acs=4)
    objective = Consistency(Supervised(), [FlipAndShift(), MoreNoise()])
    train = data("train", scenes.scan())
    train.sets["train"].transform = Undersample(few)
    sample = collate([Undersample(few)(scenes.scan()[0])])
    reason = r"odd number of the central lines .* at least 4 x 4 .* found 40 x 3; .* flip=false"
    for one in (objective, WithPenalty(objective), Consistency(objective, [MoreNoise()])):
        with pytest.raises(ConfigError, match=reason):
            _check_data(train, one, MoDL(LowResolutionMaps()))
    objective.check(MoDL(LearnedMaps(2, 2)), sample)
    objective.check(
        MoDL(LowResolutionMaps()), scenes.batch(scenes.scan())
    )  # 12 lines, of which 11 stay
    Consistency(Supervised(), [FlipAndShift(flip=False)]).check(MoDL(LowResolutionMaps()), sample)
    with pytest.raises(
        CalibrationError, match="the data carries none"
    ):  # which mirroring has not to do with
        objective.check(MoDL(GivenMaps()), sample)
