"""Times of small images and what is told of large ones."""

import pytest
import torch

from mrirecon.commands import durations
from mrirecon.errors import ConfigError
from mrirecon.footprint import duration
from mrirecon.pipeline import Method
from mrirecon.reconstructors.base import Reconstructor
from tests import scenes


class Slow(Reconstructor):
    """Takes 2 s and 1 ms a pixel of a clock of its own, and 100 s more when it is first used."""

    clock = 0.0
    images = 0

    def forward(self, sample):
        h, w = sample.grid
        Slow.clock += 2 + h * w / 1000 + 100 * (Slow.images == 0)
        Slow.images += 1
        return torch.zeros(len(sample.kspace), h, w, dtype=torch.complex64)


class SlowInCoils(Slow):
    """Takes 1 s more for each coil."""

    def forward(self, sample):
        Slow.clock += sample.kspace.shape[-3]
        return super().forward(sample)


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(Slow, "clock", 0.0)
    monkeypatch.setattr(Slow, "images", 0)
    monkeypatch.setattr(duration.time, "perf_counter", lambda: Slow.clock)
    return Slow()


@pytest.mark.parametrize("matrix", [(320, 300), (160, 160), (40, 36)])
def test_time_grows_with_the_pixels(slow, matrix):
    h, w = matrix
    sample = scenes.scan(matrix=matrix, slices=1)[0].map(lambda t: t[None])
    assert duration.of_images(slow, sample, matrix) == pytest.approx(2 + h * w / 1000)


def test_a_scan_takes_as_often_as_it_has_slices(slow):
    scan = scenes.scan(matrix=(40, 36), slices=3)
    method = Method(slow, lambda sample: sample)
    assert durations.seconds_for(scan, method) == pytest.approx(3 * (2 + 40 * 36 / 1000))


@pytest.mark.usefixtures("slow")
def test_scans_that_take_too_long_are_refused_before_they_are_computed(capsys):
    scan = scenes.scan(matrix=(40, 36), slices=50, coils=12)
    method = Method(SlowInCoils(), lambda sample: sample)
    each, planes = 12 + 2 + 40 * 36 / 1000, range(50)
    durations.refuse_slow(scan, method, 12, planes)
    assert Slow.images == 0  # it is small enough that nothing is tried
    with pytest.raises(ConfigError) as refused:
        durations.refuse_slow(scan, method, 30 * each / 3600, planes)
    assert "takes SlowInCoils about 13 min" in str(refused.value)
    assert "preprocessing=compress takes about 10 min; slices=0:30 and" in str(refused.value)
    assert Slow.images == 4  # two small problems, each twice
    assert capsys.readouterr().out == "  time: about 13 min on this CPU\n"
    durations.refuse_slow(scan, method, 30 * each / 3600, range(29))


def test_the_time_of_large_scans_is_told_if_it_is_long(slow, monkeypatch, capsys):
    scan, method = scenes.scan(matrix=(40, 36), slices=20), Method(slow, lambda sample: sample)
    monkeypatch.setattr(durations, "LARGE", 1)
    durations.refuse_slow(scan, method, None, range(20))
    assert capsys.readouterr().out == "  time: about 69 s on this CPU\n"
    durations.refuse_slow(scan, method, None, range(10))
    assert capsys.readouterr().out == ""
