"""An object that moves between shots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.data.transforms import Undersample
from mrirecon.robustness.case import Case, FullSlice
from mrirecon.robustness.rigid import displaced, pixel_ratio, rotated
from mrirecon.robustness.shift import Level, Shift, number
from mrirecon.types import KSpace, Sample


@dataclass(frozen=True)
class ShotMotion(Shift):
    """Moves the object rigidly within the slice between interleaved shots.

    The acquired lines are dealt out to the shots in turn. The lines of a shot are those of the
    object at a place and angle of its own; the shot with the central line has it where it is. Coil
    sensitivities move along with the object, which is little for a few pixels.

    Attributes:
        levels: Largest displacements along each axis, in pixels.
        degrees: Largest rotation for each pixel of displacement.
        shots: Number of shots.
    """

    levels: Sequence[Level] = (0.5, 1.0, 3.0)
    degrees: float = 0.5
    shots: int = 4
    title: ClassVar[str] = "motion between shots"
    axis: ClassVar[str] = "largest displacement / pixels"
    about: ClassVar[str] = (
        "The lines of each shot are those of the object at another place and angle in the plane; "
        "the reference stays."
    )

    def __post_init__(self) -> None:
        check_not_negative(degrees=self.degrees)
        check_at_least(2, shots=self.shots)

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:
        pixels = number(level, self.title, 0.0)
        undersample, ratio = Undersample(case.sampling), pixel_ratio(case.header)

        def moved(one: FullSlice) -> FullSlice:
            places = rng.uniform(-1, 1, (self.shots, 3)) * pixels * (1, 1, self.degrees)
            shots = shot_of_lines(undersample(one.sample.replace(key=(case.name, 0))), self.shots)
            places[int(shots[len(shots) // 2])] = 0
            kspace = in_shots(one.sample.kspace, shots, places, ratio)
            measured = torch.where(one.sample.mask.unsqueeze(-3), kspace, 0)
            return one.disturbed(measured, weights=None, maps=None)

        return case.mapped(moved)


def in_shots(
    kspace: KSpace,
    shots: Int64[Tensor, " w"],
    places: Float64[np.ndarray, "shot 3"],
    ratio: float = 1.0,
) -> KSpace:
    """Return k-space whose lines see the object where it is during their shot.

    Args:
        kspace: k-space of the object where it is in the reference.
        shots: Shot of every line.
        places: Displacement along ``h`` and ``w`` in pixels and rotation in degrees of each shot.
        ratio: Height of a pixel divided by its width.
    """
    found = kspace.clone()
    for shot, (rows, columns, degrees) in enumerate(places.tolist()):
        if rows or columns or degrees:
            elsewhere = displaced(rotated(kspace, degrees, ratio), rows, columns)
            found[..., shots == shot] = elsewhere[..., shots == shot]
    return found


def shot_of_lines(sample: Sample, shots: int) -> Int64[Tensor, " w"]:
    """Return the shot of every line: acquired ones take turns, others go with the one before.

    Args:
        sample: Sample of an undersampled slice.
        shots: Number of shots.
    """
    lines = sample.mask.any(-2).expand(sample.kspace.shape[-1])
    return (lines.cumsum(-1) - 1).clamp_min(0) % shots
