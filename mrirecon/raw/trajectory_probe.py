"""A few readouts along a trajectory: whether their signal is where it should be, and delays."""

import numpy as np
from jaxtyping import Float64

from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.content import content_notes
from mrirecon.raw.gradient_delays import Delays, delays_of
from mrirecon.raw.probe import LineContent
from mrirecon.raw.readout_bins import acquired
from mrirecon.raw.readouts import Lines
from mrirecon.raw.trajectory_acquisition import TrajectoryAcquisition
from mrirecon.raw.trajectory_signal import misplaced
from mrirecon.read_options import ReadOptions

SUCCESSIVE = 96
"""So many successive readouts tell gradient delays."""


def looked_at(
    acquisition: TrajectoryAcquisition, fetch: Fetch, reading: ReadOptions
) -> tuple[list[str], Delays | None]:
    """Name empty slices and dead coils, and say where the signal contradicts the places.

    Also returns the gradient delays.
    """
    imaging, frames = acquisition.kinds.imaging, len(acquisition.frames)
    lines, plane, slices = acquisition.heads[imaging], acquisition.frame, 1
    partition = acquisition.grid.partition
    distance = np.zeros(len(imaging))
    if partition is not None:
        distance = np.abs(acquisition.partition - partition.size // 2).astype(np.float64)
    else:
        plane, slices = acquisition.stack.numbered(plane, lines["idx"]["slice"])
    shape = (frames, slices)
    notes, strongest = content_notes(LineContent(distance, lines, imaging, plane, shape, fetch))
    chosen = np.flatnonzero(plane == strongest)
    chosen = chosen[distance[chosen] == distance[chosen].min()]
    signal = acquisition.central(chosen, fetch)
    if problem := misplaced(signal.kspace[0].numpy(), signal.places):
        notes.append(f"{problem}.")
    successive = _successive(acquisition, int(chosen[0]), distance)
    signal = acquisition.central(successive, fetch)
    delays, note = delays_of(reading.gradient_delays, signal.kspace[0].numpy(), signal.places)
    return [*notes, note], delays


def _successive(
    acquisition: TrajectoryAcquisition, one: int, distance: Float64[np.ndarray, "readout"]
) -> Lines:
    """Return readouts in the middle of a series, of the same slice, or partition, as one of them.

    Spokes of all frames may cross one another.
    """
    lines = acquisition.heads[acquisition.kinds.imaging]
    same = np.ones(len(lines), bool)
    for name in ("slice", "contrast", "set"):
        same &= lines["idx"][name] == lines["idx"][name][one]
    same &= acquisition.partition == acquisition.partition[one]
    mine = np.flatnonzero(same & (distance == distance[one]))
    mine = mine[np.argsort(acquired(lines)[mine])]
    start = max(0, (len(mine) - SUCCESSIVE) // 2)
    return mine[start : start + SUCCESSIVE]
