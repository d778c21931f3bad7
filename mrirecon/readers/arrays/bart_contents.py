"""BART files that are no Cartesian k-space of single slices, recognised by their contents."""

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_words import Stored
from mrirecon.readers.arrays.kspace_array import KSpaceArray

TRAJECTORY = (2, 3)
"""Coordinates of a sample, along READ."""
BRIGHT = 30.0
"""Energy of one slice, relative to every other, that looks like a sum of slices."""


def refuse_trajectory(stored: np.ndarray) -> None:
    """Refuse coordinates of samples: real numbers, two or three along READ, no coils.

    Raises:
        RawDataError: When these are some.
    """
    if stored.shape[0] in TRAJECTORY and stored.shape[3] == 1 and not stored.imag.any():
        raise RawDataError(
            f"{stored.shape[0]} real numbers along READ and no coils: this is a trajectory, "
            "expected k-space on a Cartesian grid. Non-Cartesian k-space is not supported"
        )


def check_slices(array: KSpaceArray, stored: Stored) -> list[str]:
    """Look for slices that were excited at once, whose SLICE axis is an encoding.

    Args:
        array: The layout, with an axis ``slice`` along SLICE.
        stored: The array as it is stored.

    Returns:
        What is suspicious.

    Raises:
        RawDataError: When each line was measured in one of the slices only.
    """
    if array.slices < 2:
        return []
    planes = [array.peek(stored, ("h", "w"), _position(array, i)) for i in range(array.slices)]
    columns = np.array([(plane != 0).any(0) for plane in planes])
    apart = columns[:, ~columns.all(0)]  # the centre may be complete in all of them
    shared = (apart.sum(0) > 1).any()
    if not shared and (apart.sum(1) > 1).all():
        raise RawDataError(
            f"each line is measured in only one of the {array.slices} along SLICE: slices excited "
            "at once (SMS, multi-band), which are not supported yet, expected separate slices"
        )
    energy = sorted(float(np.square(np.abs(plane), dtype=np.float64).sum()) for plane in planes)
    if energy[-2] > 0 and energy[-1] > BRIGHT * energy[-2]:
        return [
            f"One of the {array.slices} along SLICE has {energy[-1] / energy[-2]:.0f} times the "
            "energy of every other: are they encodings of slices excited at once (SMS)? They were "
            "taken as slices."
        ]
    return []


def _position(array: KSpaceArray, index: int) -> dict[str, int]:
    return {**dict.fromkeys(array.axes, 0), "slice": index}
