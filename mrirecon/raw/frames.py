"""Frames: which readouts make which volume, and whether counters tell all readouts apart."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.kspace_grid import CENTER_COUNTERS, STEPS
from mrirecon.raw.readouts import Heads, Index
from mrirecon.scan import Frame

FRAME_COUNTERS = ("contrast", "set", "phase", "repetition")
"""Counters that make volumes of their own; the fields of :class:`~mrirecon.scan.Frame`."""


def frames_of(heads: Heads) -> tuple[tuple[Frame, ...], Int64[np.ndarray, "readout"]]:
    """Return the frames among imaging lines, in order, and the number of each line's frame."""
    counters = np.stack([heads["idx"][name] for name in FRAME_COUNTERS], axis=1).astype(np.int64)
    found, numbers = np.unique(counters, axis=0, return_inverse=True)
    frames = tuple(Frame(*(int(value) for value in row)) for row in found)
    return frames, numbers.reshape(-1)


@dataclass(frozen=True)
class Repeats:
    """How often lines were acquired.

    Attributes:
        most: Largest number of readouts at one place.
        equal: Every place has that number.
        typical: Most common number.
        note: What to tell a user, if anything.
    """

    most: int
    equal: bool
    typical: int
    note: str | None


def check_repeats(heads: Heads, calibration_only: np.ndarray) -> Repeats:
    """Tell how often lines were acquired.

    Raises:
        RawDataError: When the same line was acquired more than once, and what tells these readouts
            apart is a counter that means something else than averages (segments, user counters).
    """
    idx = heads["idx"]
    place = np.stack([idx[n] for n in (*FRAME_COUNTERS, "slice", *STEPS)], axis=1).astype(np.int64)
    _, lines, counts = np.unique(place, axis=0, return_inverse=True, return_counts=True)
    average = np.stack([lines.reshape(-1), idx["average"], calibration_only], axis=1)
    _, first, same = np.unique(average.astype(np.int64), axis=0, return_index=True,
                               return_inverse=True)  # fmt: skip
    reference = heads[first][same.reshape(-1)]["idx"]
    others = {"segment": idx["segment"] != reference["segment"]}
    for number in set(range(8)) - set(CENTER_COUNTERS):
        others[f"user[{number}]"] = idx["user"][:, number] != reference["user"][:, number]
    for name, differs in others.items():
        if differs.any():
            one = int(np.flatnonzero(differs)[0])
            raise RawDataError(
                f"line {idx[STEPS[0]][one]} (partition {idx[STEPS[1]][one]}) of slice "
                f"{idx['slice'][one]}, average {idx['average'][one]}, was acquired more than once "
                f"with different values of the counter '{name}', expected one. Readouts that "
                "repeat a line for another purpose than averaging (navigators, EPI polarities, "
                "vendor-specific dimensions) are not supported"
            )
    tally = Counter(counts.tolist())
    typical = tally.most_common(1)[0][0]
    if set(tally) == {1}:
        return Repeats(1, True, 1, None)
    text = ", ".join(f"{number} lines {times} times" for times, number in sorted(tally.items()))
    note = f"Lines were acquired more than once and averaged: {text}."
    return Repeats(max(tally), len(tally) == 1, typical, note)


def completeness_note(
    frames: tuple[Frame, ...], order: tuple[int, ...], heads: Heads, numbers: Index
) -> str:
    """Say which frames or slices have fewer lines than the others; empty when all are alike.

    ``order`` is the slice counter of each slice in anatomical order, in which slices are shown.
    """
    slices = len(order)
    rank = np.zeros(max(order) + 1, np.int64)
    rank[list(order)] = np.arange(slices)
    keys = numbers * slices + rank[heads["idx"]["slice"]]
    lines = np.bincount(keys, minlength=len(frames) * slices)
    usual = int(np.median(lines))
    short = np.flatnonzero(lines < usual)
    if not len(short):
        return ""
    frame, slice_ = divmod(int(short[-1]), slices)
    return (
        f"{len(short)} of {len(lines)} slices have fewer lines than the usual {usual}: for "
        f"instance slice {slice_ + 1} of {frames[frame]} has {int(lines[short[-1]])}. The scan was "
        "aborted, or its contrasts differ in their slices."
    )
