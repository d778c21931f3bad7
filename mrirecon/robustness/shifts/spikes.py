"""Spikes in k-space, as of a loose contact."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.data.transforms import Undersample
from mrirecon.robustness.case import Case, FullSlice
from mrirecon.robustness.shift import Level, Shift, number
from mrirecon.types import Sample


@dataclass(frozen=True)
class Spikes(Shift):
    """Adds a large value to a few acquired samples, the same ones in all coils.

    Attributes:
        levels: Magnitudes of a spike in a coil, in units of the largest magnitude of k-space.
        count: Number of spikes in a slice.
    """

    levels: Sequence[Level] = (0.05, 0.2, 0.5)
    count: int = 2
    title: ClassVar[str] = "spikes"
    axis: ClassVar[str] = "spike / largest sample"
    about: ClassVar[str] = (
        "A large value of random phase is added to a few acquired samples of all coils; the "
        "reference stays."
    )

    def __post_init__(self) -> None:
        check_at_least(1, count=self.count)

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:
        size = number(level, self.title, 0.0)
        undersample = Undersample(case.sampling)

        def spiked(one: FullSlice) -> FullSlice:
            acquired = undersample(one.sample.replace(key=(case.name, 0)))
            places = spike_places(acquired, self.count, rng)
            kspace = one.sample.kspace.clone()
            turns = rng.uniform(0, 2 * np.pi, (len(kspace), len(places)))
            values = torch.from_numpy(np.exp(1j * turns).astype(np.complex64))
            kspace[:, places[:, 0], places[:, 1]] += size * kspace.abs().max() * values
            return one.disturbed(kspace)

        return case.mapped(spiked)


def spike_places(sample: Sample, count: int, rng: np.random.Generator) -> Int64[Tensor, "spike 2"]:
    """Choose acquired samples at random.

    Args:
        sample: Sample of an undersampled slice.
        count: Number of places, fewer where fewer samples were acquired.
        rng: Source of randomness.

    Returns:
        Index along ``h`` and ``w`` of each.
    """
    h, w = sample.kspace.shape[-2:]
    places = sample.mask.expand(h, w).nonzero()
    chosen = rng.choice(len(places), min(count, len(places)), replace=False)
    return places[torch.from_numpy(chosen)]
