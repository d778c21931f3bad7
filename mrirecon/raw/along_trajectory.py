"""Whether readouts lie on a Cartesian grid, or along a trajectory that is told beside them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.checks import select_encoding
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.planning import imaging_kinds
from mrirecon.raw.readouts import Heads, Lines
from mrirecon.raw.trajectory_names import NAMED
from mrirecon.read_options import ReadOptions

LOOKS = 64
"""So many readouts, spread over the scan, are looked at."""
GRIDS = ("cartesian", "epi")
"""Trajectories of the header that are lines on a grid."""
FLAT = 1e-3
"""Relative to the extent: smaller coordinates are zero, smaller differences none."""


def along_trajectory(
    header: MeasurementHeader, heads: Heads, fetch: Fetch, reading: ReadOptions
) -> bool:
    """Tell whether imaging readouts lie along a trajectory, and not on a Cartesian grid.

    Raises:
        RawDataError: When they do, and nothing tells where.
    """
    kinds = imaging_kinds(header, heads)
    lines = heads[kinds.imaging]
    told = select_encoding(header, lines).trajectory
    if reading.trajectory is not None:
        return True
    stored = bool((lines["trajectory_dimensions"] > 1).any())
    if told == "epi" or not (stored or told not in GRIDS):
        return False
    if stored and told == "cartesian":
        looked = fetch(spread(kinds.imaging))
        return bool(looked.places) and not are_cartesian(looked.places)
    if not stored:
        raise RawDataError(
            f"the trajectory is {told!r}, but the readouts do not tell where their samples lie; "
            f"convert the file again with its trajectory, or say {NAMED}"
        )
    return True


def are_cartesian(places: Sequence[Float32[np.ndarray, "_ _"]]) -> bool:
    """Tell whether stored places are those of lines on a Cartesian grid, or not filled in.

    Lines go along the first axis only, all of them from the same place to the same.
    """
    extent = max(float(np.abs(np.nan_to_num(values)).max(initial=0.0)) for values in places)
    if extent == 0:
        return True
    for values in places:
        if len(values) != len(places[0]) or values.shape[1] < 2:
            return False
        still = np.ptp(values[:, 1:], axis=0).max() <= FLAT * extent
        if not still or np.abs(values[:, 0] - places[0][:, 0]).max() > FLAT * extent:
            return False
    return True


def spread(imaging: Lines) -> Lines:
    """Choose some readouts, spread over the scan."""
    if len(imaging) <= LOOKS:
        return imaging
    return imaging[np.linspace(0, len(imaging) - 1, LOOKS).round().astype(np.int64)]
