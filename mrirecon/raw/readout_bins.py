"""Readouts along a trajectory, divided into frames: by number, by time or by the heartbeat.

Counters of the heads are rewritten, so that everything else sees frames as it always does.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition import SIEMENS_TICK
from mrirecon.raw.frames import FRAME_COUNTERS
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.kspace_grid import STEPS
from mrirecon.raw.readouts import Heads, Index, LineKinds
from mrirecon.read_options import FRAMES, ReadOptions

TIMES = ("phase", "repetition")
"""Counters of time; those that frames are made of replace them."""
KEPT = ("contrast", "set", "slice")
"""Counters whose readouts are divided apart from one another."""


def binned(
    header: MeasurementHeader, heads: Heads, kinds: LineKinds, reading: ReadOptions
) -> tuple[Heads, LineKinds, list[str]]:
    """Divide imaging readouts into frames, as a user told.

    Args:
        header: Header of the measurement.
        heads: Headers of all readouts.
        kinds: Numbers of the readouts of each kind.
        reading: Read options, of which at most one divides readouts.

    Returns:
        Headers with the counters of the frames, the readouts that are in one, and notes.

    Raises:
        RawDataError: When the headers do not tell what is needed.
    """
    way = next((name for name in FRAMES if getattr(reading, name) is not None), None)
    if way is None:
        return _single_readouts(heads, kinds)
    heads = heads.copy()
    imaging = kinds.imaging
    lines = heads[imaging]
    order = acquired(lines)
    group = np.zeros(len(lines), np.int64)
    for name in KEPT:
        group = group * (int(lines["idx"][name].max()) + 1) + lines["idx"][name]
    if way == "spokes_per_frame":
        size = int(reading.spokes_per_frame or 1)
        number = _spoke_ranks(lines, group, order) // size
        kept, notes = _whole_frames(group, number, lines, size)
    elif way == "frame_duration":
        number, kept, notes = _by_time(header, lines, group, float(reading.frame_duration or 1))
    else:
        number, kept, notes = _by_heartbeat(lines, order, int(reading.cardiac_phases or 1))
    counter = "phase" if way == "cardiac_phases" else "repetition"
    for name in TIMES:
        heads["idx"][name][imaging] = number if name == counter else 0
    return heads, replace(kinds, imaging=imaging[kept]), notes


def acquired(lines: Heads) -> Int64[np.ndarray, "readout"]:
    """Return the rank of readouts in the order in which they were acquired."""
    counter = lines["scan_counter"].astype(np.int64)
    if len(np.unique(counter)) < len(counter):
        return np.arange(len(lines))
    return np.argsort(np.argsort(counter))


def _spoke_ranks(lines: Heads, group: Index, order: Index) -> Index:
    """Return the number of each readout within its group; of a slab, within its partition."""
    ranks = np.zeros(len(lines), np.int64)
    keys = np.stack([group, lines["idx"][STEPS[1]].astype(np.int64)], axis=1)
    for key in np.unique(keys, axis=0):
        mine = np.flatnonzero((keys == key).all(axis=1))
        ranks[mine[np.argsort(order[mine])]] = np.arange(len(mine))
    return ranks


def _whole_frames(
    group: Index, number: Index, lines: Heads, size: int
) -> tuple[Bool[np.ndarray, "readout"], list[str]]:
    """Leave out the last frame of a group when it has fewer readouts than the others.

    Raises:
        RawDataError: When nothing is left.
    """
    keys = np.stack([group, number, lines["idx"][STEPS[1]].astype(np.int64)], axis=1)
    _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    kept = (counts == size)[inverse.reshape(-1)]
    frames = len(np.unique(number[kept]))
    if not frames:
        raise RawDataError(
            f"reading.spokes_per_frame={size}: there are only {int(counts.max())} successive "
            "readouts; expected at least one frame of them, choose fewer"
        )
    left = int((~kept).sum())
    rest = f" {left} readouts at the end make no whole frame and were left out." if left else ""
    return kept, [f"Each frame has {size} successive readouts: {frames} frames.{rest}"]


def _by_time(
    header: MeasurementHeader, lines: Heads, group: Index, duration: float
) -> tuple[Index, Bool[np.ndarray, "readout"], list[str]]:
    """Number frames of a duration in ms by the time stamps, whose unit is known for Siemens.

    Raises:
        RawDataError: When time stamps are not set, or their unit is unknown.
    """
    if "siemens" not in (header.vendor or "").lower():
        raise RawDataError(
            f"reading.frame_duration needs time stamps whose unit is known, which is so for "
            f"Siemens only; the vendor is {header.vendor or 'unknown'!r}. Use "
            "reading.spokes_per_frame"
        )
    stamps = lines["acquisition_time_stamp"].astype(np.int64)
    if np.ptp(stamps) == 0:
        raise RawDataError(
            "reading.frame_duration needs time stamps, but all readouts have the same; use "
            "reading.spokes_per_frame"
        )
    number = ((stamps - stamps.min()) * (SIEMENS_TICK * 1e3) // duration).astype(np.int64)
    keys = np.stack([group, number], axis=1)
    _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    kept = (counts >= np.median(counts) / 2)[inverse.reshape(-1)]  # the last one may be cut off
    frames = np.unique(number[kept])
    left = int((~kept).sum())
    rest = f" {left} readouts in frames with few were left out." if left else ""
    return (
        np.searchsorted(frames, number).clip(max=len(frames) - 1),
        kept,
        [f"Each frame has the readouts of {duration:g} ms: {len(frames)} frames, of "
         f"{counts.min()} to {counts.max()} readouts.{rest}"],
    )  # fmt: skip


def _by_heartbeat(
    lines: Heads, order: Index, phases: int
) -> tuple[Index, Bool[np.ndarray, "readout"], list[str]]:
    """Number cardiac phases by the time since the last trigger, as a share of the heartbeat.

    Readouts after the last trigger belong to a heartbeat of the usual length; those before the
    first one, whose time since a trigger is not known to begin at one, are used like the others.

    Raises:
        RawDataError: When no time since a trigger is kept, or it never starts anew.
    """
    stamps = lines["physiology_time_stamp"].astype(np.int64)
    varying = [channel for channel in range(stamps.shape[1]) if np.ptp(stamps[:, channel])]
    by_order = np.argsort(order)
    for channel in varying:
        times = stamps[by_order, channel]
        starts = np.flatnonzero(np.diff(times) < 0) + 1
        if not len(starts):
            continue
        beat = np.searchsorted(starts, np.arange(len(times)), side="right")
        last = np.array([times[beat == one].max() for one in range(len(starts) + 1)])
        lengths = last.astype(np.float64)
        usual = float(np.median(lengths[:-1]))
        lengths[-1] = max(usual, lengths[-1])
        step = float(np.median(np.abs(np.diff(times))))
        share = times / (lengths[beat] + step)
        number = np.empty(len(times), np.int64)
        number[by_order] = np.floor(share * phases).clip(0, phases - 1).astype(np.int64)
        counts = np.bincount(number, minlength=phases)
        if not counts.all():
            raise RawDataError(
                f"reading.cardiac_phases={phases}: some phases have no readouts (the others "
                f"{counts.max()}), expected some in each; choose fewer phases"
            )
        note = (
            f"Readouts of {len(starts) + 1} heartbeats were sorted into {phases} cardiac phases by "
            f"the time since the trigger (physiology_time_stamp[{channel}]): {counts.min()} to "
            f"{counts.max()} readouts in each."
        )
        return number, np.ones(len(times), bool), [note]
    raise RawDataError(
        "reading.cardiac_phases needs the time since the last trigger with each readout "
        "(physiology_time_stamp), but it is "
        f"{'never reset' if varying else 'not set'}; use reading.spokes_per_frame"
    )


def _single_readouts(heads: Heads, kinds: LineKinds) -> tuple[Heads, LineKinds, list[str]]:
    """Take readouts together of which each was counted as a repetition or phase of its own."""
    lines = heads[kinds.imaging]
    names = ("slice", STEPS[1], *FRAME_COUNTERS)
    keys = np.stack([lines["idx"][name] for name in names], axis=1).astype(np.int64)
    _, counts = np.unique(keys, axis=0, return_counts=True)
    times = [name for name in TIMES if len(np.unique(lines["idx"][name])) > 1]
    if len(counts) < 2 or counts.max() > 1 or not times:
        return heads, kinds, []
    heads = heads.copy()
    for name in times:
        heads["idx"][name][kinds.imaging] = 0
    return (
        heads,
        kinds,
        [
            f"Each readout has a {times[-1]} of its own, which is no image: they are taken "
            "together; reading.spokes_per_frame=N makes frames of N readouts."
        ],
    )
