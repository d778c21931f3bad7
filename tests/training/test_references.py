"""Which slices need a reference, and what else can be told before a run starts."""

from dataclasses import replace

import pytest

from mrirecon.adaptation import Adaptation
from mrirecon.commands.train import _check_data
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.transforms import RssTarget, Undersample
from mrirecon.errors import ConfigError
from mrirecon.scan import Scan
from mrirecon.training.consistency import Consistency
from mrirecon.training.objective import Supervised
from mrirecon.training.penalty import WithPenalty
from mrirecon.training.perturbations import MoreNoise
from mrirecon.training.self_supervised import Ssdu
from tests import scenes
from tests.training import runs


class Undersampled(Scan):
    """A scan as a file of another format, without a reference, brings it."""

    def __init__(self, subject):
        self.scan = scenes.scan(subject)
        self.header = replace(self.scan.header, format="another")

    def __getitem__(self, index):
        sample = self.scan[index].replace(target=None, peak=None)
        return Undersample(scenes.PATTERN)(sample)


def data(stage, *scans, required=True):
    loaders = runs.data()
    loaders.sets[stage] = SliceDataset(list(scans), RssTarget(required))
    return loaders


def test_every_format_of_the_validation_is_looked_at():
    """Also where training needs no reference, and before the first validation."""
    with pytest.raises(
        ConfigError, match=r"data\.val: .*subject0002.* cannot serve .* whatever the objective is"
    ):
        _check_data(data("val", scenes.scan(1), Undersampled(2)), Ssdu())
    without = data("val", Undersampled(2), required=False)
    with pytest.raises(ConfigError, match=r"data\.val: .* needs a reference .* whatever the objec"):
        _check_data(without, Ssdu())
    with pytest.raises(ConfigError, match=r"data\.train: .*transform=semi_supervised$"):
        _check_data(data("train", scenes.scan(1), Undersampled(2)), Ssdu())


def test_semi_supervised_training_without_any_reference_is_refused():
    """The consistency alone is least for a method that paints the same image of every scan."""
    objective = Consistency(Supervised(), [MoreNoise()])
    none = data("train", Undersampled(2), Undersampled(3), required=False)
    for one in (objective, WithPenalty(objective), Consistency(objective, [MoreNoise()])):
        with pytest.raises(ConfigError, match=r"data\.train: .* none of 2 scans has a reference"):
            _check_data(none, one)
    for self_supervised in (Ssdu(), Consistency(Ssdu(), [MoreNoise()])):
        _check_data(none, self_supervised)
    _check_data(data("train", Undersampled(2), scenes.scan(3), required=False), objective)
    with pytest.raises(ValueError, match="Consistency needs a reference image"):
        Adaptation(objective)
