"""More noise than nominally."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from mrirecon.added_noise import noise_like
from mrirecon.reconstructors.parts.estimated_noise import noise_std
from mrirecon.robustness.case import Case, FullSlice
from mrirecon.robustness.shift import Level, Shift, number


@dataclass(frozen=True)
class AddedNoise(Shift):
    """Adds complex white noise to every measured sample of every coil, more where there is more.

    Its level is that of whitened data, else estimated from k-space. Methods that read the level of
    the noise in whitened data are told the new one.

    Attributes:
        levels: Standard deviations of what is added, in units of that of the noise in the data.
    """

    levels: Sequence[Level] = (1.0, 2.0, 4.0)
    title: ClassVar[str] = "noise"
    axis: ClassVar[str] = "added noise / noise of the scan"
    about: ClassVar[str] = (
        "White noise is added to all coils, in units of the standard deviation that is there; the "
        "reference stays."
    )

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:
        factor = number(level, self.title, 0.0)

        def noisy(one: FullSlice) -> FullSlice:
            sample = one.sample
            std = noise_std(sample)
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            kspace = sample.kspace + noise_like(sample, factor * std, generator)
            total = None if sample.noise is None else std * (1 + factor**2) ** 0.5
            return one.disturbed(kspace, noise=total)

        return case.mapped(noisy)
