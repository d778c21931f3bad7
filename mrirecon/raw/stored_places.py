"""Places of the samples of readouts: as they are stored beside them, or made by a name."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64

from mrirecon.errors import RawDataError
from mrirecon.raw.along_trajectory import FLAT
from mrirecon.raw.gradient_delays import Delays, delayed
from mrirecon.raw.named_spokes import spokes_named
from mrirecon.raw.readouts import Index, Lines, Readouts

FARTHEST = 1e9
"""Places farther off, in any unit, are damage."""
APART = 0.25
"""Steps of partitions by which their places may differ from even ones."""
STRIPPED = (
    "the readouts came without their trajectories, as they do while a scan is sent: scans along "
    "trajectories are reconstructed from their file; expected readouts on a Cartesian grid"
)


@dataclass(frozen=True)
class Named:
    """Spokes whose places a name tells.

    Attributes:
        name: Name of the trajectory.
        number: Number of each imaging readout's spoke.
        spokes: Number of spokes of a whole image.
        center: Sample of each imaging readout at k = 0.
        step: Distance of samples in cycles per field of view, negative where a readout is reversed.
    """

    name: str
    number: Index
    spokes: int
    center: Index
    step: Float64[np.ndarray, "readout"]


@dataclass(frozen=True)
class ReadoutPlaces:
    """Where the samples of imaging readouts lie, in cycles per field of view.

    Attributes:
        factor: Cycles per field of view in one of the stored units.
        named: What makes the places; None takes those that are stored.
        delays: Gradient delays of spokes in samples, None without any.
    """

    factor: float = 1.0
    named: Named | None = None
    delays: Delays | None = None

    def of(self, chosen: Lines, readouts: Readouts) -> list[Float32[np.ndarray, "_ 2"]]:
        """Return the places of all samples of some readouts.

        Args:
            chosen: Numbers of the readouts among the imaging ones.
            readouts: Samples and stored places of these readouts.

        Raises:
            RawDataError: When places are missing or not finite.
        """
        if self.named is None:
            meant = [values * np.float32(self.factor) for values in stored_places(readouts)]
        else:
            meant = self._made(self.named, chosen, readouts)
        if self.delays is None:
            return meant
        return [delayed(torch.from_numpy(values), self.delays).numpy() for values in meant]

    def _made(
        self, one: Named, chosen: Lines, readouts: Readouts
    ) -> list[Float32[np.ndarray, "_ 2"]]:
        found = []
        for number, samples in zip(chosen, readouts.samples, strict=True):
            radius = (np.arange(samples.shape[1]) - one.center[number]) * one.step[number]
            places = spokes_named(one.name, one.number[number : number + 1], one.spokes, radius)
            found.append(places[:, 0].numpy())
        return found


def stored_places(readouts: Readouts) -> list[Float32[np.ndarray, "_ 2"]]:
    """Return the first two coordinates of the samples of readouts, in their own unit.

    Raises:
        RawDataError: When some are missing, or not finite.
    """
    if not readouts.places:
        raise RawDataError(STRIPPED)
    for head, values in zip(readouts.heads, readouts.places, strict=True):
        if values.shape[1] < 2:
            raise RawDataError(
                f"a readout (scan_counter {head['scan_counter']}) has a trajectory of "
                f"{values.shape[1]} axes, others have 2 or 3, expected the same in all; convert "
                "the file again"
            )
        if not (np.abs(values) < FARTHEST).all():  # which NaN is not either
            raise RawDataError(
                f"the trajectory of a readout (scan_counter {head['scan_counter']}) holds values "
                f"that are not finite (NaN or infinity) or above {FARTHEST:g}, expected places in "
                "k-space; the file is damaged, convert it again"
            )
    return [values[:, :2] for values in readouts.places]


def refuse_other_partitions(readouts: Readouts, counter: Index) -> None:
    """Refuse a slab whose counter puts partitions in another order than the third coordinate.

    Args:
        readouts: Readouts with stored places.
        counter: Number of each one's partition.

    Raises:
        RawDataError: When one does not grow evenly with the other.
    """
    place = np.array([float(values[0, 2]) for values in readouts.places])
    if len(np.unique(counter)) < 2:
        return
    fitted = np.polyval(np.polyfit(counter.astype(float), place, 1), counter)
    step = np.ptp(place) / np.ptp(counter)
    if np.abs(place - fitted).max() > APART * step:
        raise RawDataError(
            "the counter of partitions (kspace_encode_step_2) and the third coordinate of the "
            f"trajectory contradict each other: partitions {np.unique(counter).tolist()} lie at "
            f"{[round(float(place[counter == n].mean()), 4) for n in np.unique(counter)]}, "
            "expected even steps; correct one of them, or convert the file again without the third "
            "coordinate"
        )


def third_axis(places: Sequence[Float32[np.ndarray, "_ _"]]) -> str:
    """Tell what the third coordinate is: nothing, ``partition`` or ``density``.

    Raises:
        RawDataError: When it is a third axis of k-space along the readouts.
    """
    third = [values[:, 2] for values in places if values.shape[1] > 2]
    if not third:
        return ""
    extent = max(float(np.abs(values[:, :2]).max()) for values in places)
    low, high = min(float(v.min()) for v in third), max(float(v.max()) for v in third)
    within = max(float(np.ptp(v)) for v in third)
    if high - low <= FLAT * max(extent, abs(high)):
        return ""
    if within <= FLAT * (high - low):
        return "partition"
    same = all(len(v) == len(third[0]) for v in third) and max(
        float(np.abs(v - third[0]).max()) for v in third
    ) <= 10 * FLAT * (high - low)
    if low >= 0 and same:  # readouts are turned copies of one another, of the same density
        return "density"
    raise RawDataError(
        "the trajectory goes along three axes of k-space (a kooshball), expected readouts in a "
        "plane, or a stack of stars or spirals; this is not supported yet"
    )
