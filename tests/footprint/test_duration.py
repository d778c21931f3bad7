"""Times of small images and what is told of large ones."""

import pytest
import torch

from mrirecon.commands import footprints
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
    assert footprints.seconds_for(scan, method) == pytest.approx(3 * (2 + 40 * 36 / 1000))
