"""Batches of training for methods that reconstruct the frames of a slice together."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from mrirecon.data.batches import TrainingBatches, derived_seed
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.series import series_of_planes


@dataclass(frozen=True)
class _Stretch:
    """A part of a series, from which a window of ``length`` frames is drawn in every epoch."""

    planes: tuple[int, ...]
    length: int
    first: int
    last: int

    def window(self, generator: torch.Generator) -> tuple[int, ...]:
        start = int(torch.randint(self.first, self.last + 1, (), generator=generator))
        return self.planes[start : start + self.length]


class SeriesBatches(TrainingBatches):
    """Windows of consecutive frames of one slice, one window in a batch.

    In every epoch a series is seen in as many windows as cover it. Where each begins is drawn anew,
    within its share of the possible places, so that frames have other neighbours in the end.
    Everything else is that of :class:`~mrirecon.data.batches.TrainingBatches`.

    Args:
        slices: The data set, whose ``windows`` are set.
        frames: Frames in a window; None takes the size of ``slices.windows``. A series of fewer
            frames comes as a whole.
        seed: Seed of the run.
        rank: Number of this process, from 0.
        processes: Number of processes that train.
    """

    def __init__(
        self,
        slices: SliceDataset,
        frames: int | None = None,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        assert slices.windows is not None
        wanted = slices.windows.size if frames is None else frames
        self._stretches: list[_Stretch] = []
        for volume in slices.volumes():
            for series in series_of_planes(slices.header(volume.start), slices.windows):
                self._stretches += _stretches(tuple(volume[i] for i in series), wanted)
        super().__init__(slices, 1, seed, rank, processes)

    def _forms(self, slices: SliceDataset) -> dict[tuple[Any, ...], list[int]]:
        forms: dict[tuple[Any, ...], list[int]] = {}
        for number, stretch in enumerate(self._stretches):
            form = (*slices.form(stretch.planes[0]), stretch.length)
            forms.setdefault(form, []).append(number)
        return forms

    def _planes(self, members: tuple[int, ...]) -> tuple[int, ...]:
        (number,) = members
        seed = derived_seed(self.seed, self.epoch, "window", number)
        return self._stretches[number].window(torch.Generator().manual_seed(seed))

    def _frames(self, member: int) -> int:
        return self._stretches[member].length


def _stretches(planes: tuple[int, ...], wanted: int | None) -> list[_Stretch]:
    length = len(planes) if wanted is None else min(wanted, len(planes))
    places, parts = len(planes) - length + 1, -(-len(planes) // length)
    bounds = [places * part // parts for part in range(parts + 1)]
    return [_Stretch(planes, length, first, end - 1) for first, end in pairwise(bounds)]
