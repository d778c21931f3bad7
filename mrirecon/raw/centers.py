"""The encoding centre that a file tells, compared with where the signal is."""

import numpy as np
from jaxtyping import Float64, Int64

from mrirecon.raw.kspace_grid import STEPS, Grid
from mrirecon.raw.readouts import Heads, Index, Readouts

LINES = 512
"""At most so many lines are looked at."""
PROMINENT = 8.0
"""The strongest line counts as the centre when it has this many times the median energy."""
TOLERANCE = 2


def lines_through_center(
    grid: Grid, heads: Heads, axis: int, frame: Index
) -> Int64[np.ndarray, "chosen"]:
    """Choose the lines along one phase encoding that cross the centre of the other.

    Args:
        grid: Grid that the lines are sorted onto.
        heads: Headers of the imaging lines.
        axis: Number of the axis, 0 for the phase encoding, 1 for the partitions.
        frame: Lines to choose from, for instance those of one frame and one slice.
    """
    if grid.partition is not None:
        other = grid.places(heads[frame])[1 - axis]
        center = ((grid.phase, grid.partition)[1 - axis]).size // 2
        nearest = np.abs(other - center)
        frame = frame[nearest == nearest.min()]
    if len(frame) <= LINES:
        return frame
    return frame[np.linspace(0, len(frame) - 1, LINES).round().astype(np.int64)]


def step_energy(
    readouts: Readouts, axis: int
) -> tuple[Int64[np.ndarray, "step"], Float64[np.ndarray, "step"]]:
    """Return the values of a phase-encoding counter and the mean energy of the lines of each."""
    steps = readouts.heads["idx"][STEPS[axis]].astype(np.int64)
    values, inverse, counts = np.unique(steps, return_inverse=True, return_counts=True)
    return values, np.bincount(inverse.reshape(-1), readout_energy(readouts)) / counts


def readout_energy(readouts: Readouts) -> Float64[np.ndarray, "readout"]:
    """Return the energy of each readout, in float64: squares of small signals underflow."""
    return np.array([np.square(np.abs(x), dtype=np.float64).sum() for x in readouts.samples])


def center_note(grid: Grid, readouts: Readouts, axis: int) -> str | None:
    """Say by how much the strongest line misses the centre, when that is more than it may."""
    counter = STEPS[axis]
    values, mean = step_energy(readouts, axis)
    if len(values) < 8 or not np.isfinite(mean).all():
        return None
    peak = int(mean.argmax())
    told = (grid.phase.center, grid.partition.center if grid.partition else 0)[axis]
    step = int(np.median(np.diff(values)))
    off = int(values[peak]) - told
    if mean[peak] <= PROMINENT * np.median(mean) or abs(off) <= max(TOLERANCE, step):
        return None
    size = (grid.phase, grid.partition or grid.phase)[axis].size
    if abs(abs(off) - size // 2) <= max(TOLERANCE, step) and len(values) * step > 0.9 * size:
        return (
            f"The signal is strongest at {counter} = {values[peak]}, half of k-space away from the "
            f"encoding centre {told}: k-space has its centre in the corner. Number its lines so "
            f"that {told} is k = 0."
        )
    remedy = f" (reading.center={values[peak]} overrides it)" if axis == 0 else ""
    return (
        f"The signal is strongest at {counter} = {values[peak]}, {abs(off)} from the encoding "
        f"centre {told} that was used{remedy}: a wrong centre misplaces partial Fourier and the "
        "calibration region."
    )
