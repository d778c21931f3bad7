"""BART files that are no Cartesian k-space of single slices, recognised by their contents."""

from dataclasses import replace

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.plausibility import SHORTEST
from mrirecon.readers.arrays.array_words import Stored
from mrirecon.readers.arrays.axis_order import find_signal
from mrirecon.readers.arrays.kspace_array import KSpaceArray

TRAJECTORY = (2, 3)
"""Coordinates of a sample, along READ."""
MOST = 0.75
"""Share of the energy along the partitions of 3-D k-space, through k = 0, that one of them has."""
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
            "expected k-space. Give the file of the k-space, with reading.trajectory and this one"
        )


def refuse_few_partitions(array: KSpaceArray, stored: Stored) -> None:
    """Refuse a short PHS2 axis along which the signal has no peak: coils or slices lie there.

    Args:
        array: The layout of a 3-D scan, PHS2 as ``w``.
        stored: The array as it is stored.

    Raises:
        RawDataError: When READ and PHS1 have the peak of k-space, and no partition has most of the
            energy of the line through k = 0.
    """
    partitions = array.count("w")
    if not 1 < partitions < SHORTEST:
        return
    array = replace(array, corner=(), plain=())  # positions as they are stored
    signal = find_signal(array, stored)
    if not (signal.is_kspace("slice") and signal.is_kspace("h")):
        return
    fixed = {word: index for word, index in signal.strongest.items() if word != "w"}
    energy = np.square(np.abs(array.peek(stored, ("w",), fixed)), dtype=np.float64)
    if not energy.any() or energy.max() > MOST * energy.sum():
        return
    raise RawDataError(
        f"the signal has no peak along PHS2 ({partitions}), as 3-D k-space has: these look like "
        "coils, which belong into dimension 3 (COIL), or slices, into dimension 13 (SLICE), "
        "expected partitions; 'bart transpose 2 3' or 'bart transpose 2 13' moves them there, "
        "reading.centered=true says that they are partitions all the same"
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
