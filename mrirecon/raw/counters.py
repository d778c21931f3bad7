"""Counters that a file left unset, or set in another's place, from what else its headers tell.

Slices may be told apart by their positions only, partitions be counted as slices and slices as
partitions, echoes not be counted at all. Averaging such lines would mix images without a word.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from mrirecon.errors import RawDataError
from mrirecon.raw.frames import FRAME_COUNTERS
from mrirecon.raw.header import Encoding, Limits
from mrirecon.raw.kspace_grid import STEPS
from mrirecon.raw.plausibility import find_peak
from mrirecon.raw.readouts import Heads, Lines

LINE, PARTITION = STEPS
DISTANCE = 0.5
"""Readouts whose positions differ by more mm may belong to other slices."""
PROMINENT = 8.0
"""The strongest of a slab's partitions has at least so many times the median energy."""
NEAR = 4
"""Lines close to the centre whose energy is looked at."""
OVERLAP = 0.5
"""Positions at which at least this part of the lines was acquired are slices."""
Energy = Callable[[Lines], Float64[np.ndarray, "_"]]
"""Returns the energy of readouts by number."""


@dataclass(frozen=True)
class Counted:
    """Headers with counters that tell images apart, and the encoding that goes with them."""

    heads: Heads
    encoding: Encoding
    notes: tuple[str, ...] = ()


def completed(
    heads: Heads,
    encoding: Encoding,
    echo_times: tuple[float, ...],
    imaging: Lines,
    calibration: Lines,
    energy: Energy,
) -> Counted:
    """Set what can be told of the counters of imaging and calibration lines.

    Raises:
        RawDataError: When lines of several images cannot be told apart.
    """
    heads = heads.copy()
    everything = np.union1d(imaging, calibration)
    with np.errstate(invalid="ignore"):  # positions that are not finite are told elsewhere
        found, notes = _slices_and_partitions(heads, encoding, imaging, everything, energy)
        notes += _slices_by_position(heads, imaging, everything)
    notes += _by_order(heads, found, echo_times, imaging)
    return Counted(heads, found, tuple(notes))


def _slices_and_partitions(
    heads: Heads, encoding: Encoding, imaging: Lines, everything: Lines, energy: Energy
) -> tuple[Encoding, list[str]]:
    """Exchange the two counters where what they count lies otherwise."""
    idx = heads["idx"]
    slices, partitions = np.unique(idx["slice"][imaging]), np.unique(idx[PARTITION][imaging])
    pairs = np.unique(np.stack([idx["slice"][imaging], idx[PARTITION][imaging]]), axis=1)
    paired = pairs.shape[1] == len(slices) == len(partitions)
    counter = PARTITION if len(slices) == 1 else "slice"
    if pairs.shape[1] == 1 or not (paired or min(len(slices), len(partitions)) == 1):
        return encoding, []
    values, first = np.unique(idx[counter][imaging], return_index=True)
    places = heads["position"][imaging[first]].astype(np.float64)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    if counter == PARTITION or paired:
        within = heads["position"][imaging] - places[np.searchsorted(values, idx[counter][imaging])]
        normal = heads["slice_dir"][imaging[first[0]]].astype(np.float64)
        behind = np.abs(np.diff(places, axis=0) @ normal)
        even = steps.min() > DISTANCE and (behind > 0.9 * steps).all()
        if even and np.abs(within).max() <= DISTANCE:
            idx["slice"][everything] = idx[counter][everything]
            idx[PARTITION][everything] = 0
            what = "slice and partition" if paired else "partition"
            return encoding, [
                f"Each of {len(values)} values of the {what} counter has a position of its own: "
                "they are slices of a 2-D scan."
            ]
        if not paired:
            return encoding, []
    if not steps.max() <= 1e-3:
        return encoding, []
    return _slices_as_partitions(heads, encoding, imaging, everything, energy)


def _slices_as_partitions(
    heads: Heads, encoding: Encoding, imaging: Lines, everything: Lines, energy: Energy
) -> tuple[Encoding, list[str]]:
    """Take slices at one position as partitions when their energy is that of a k-space."""
    idx = heads["idx"]
    values = np.unique(idx["slice"][imaging])
    limits = encoding.limits.get(LINE.replace("encode", "encoding"), Limits())
    center = limits.center if limits.center is not None else (encoding.encoded.matrix[1] or 0) // 2
    chosen = []
    for value in values:
        lines = imaging[idx["slice"][imaging] == value]
        off = np.abs(idx[LINE][lines].astype(np.int64) - center)
        chosen.append(lines[np.argsort(off, kind="stable")[:NEAR]])
    strength = np.array([float(energy(lines).mean()) for lines in chosen])
    name = PARTITION.replace("encode", "encoding")
    limits = encoding.limits.get(name, Limits())
    told = max(encoding.encoded.matrix[2] or 1, (limits.maximum or 0) + 1) >= len(values)
    if not told and find_peak(strength).place in ("center", "aside"):
        return encoding, [
            f"The {len(values)} slices have one position and their energy is that of partitions "
            "of a slab, but the header tells of none: they are taken as slices."
        ]
    if not told or not strength.max() > PROMINENT * float(np.median(strength)) > 0:
        return encoding, []
    idx[PARTITION][everything] = idx["slice"][everything]
    idx["slice"][everything] = 0
    note = (
        f"The {len(values)} slices have one position and their energy is that of the partitions of "
        "a slab: they are taken as partitions."
    )
    if limits.maximum is None or limits.maximum < int(values[-1]):
        middle = int(values[int(strength.argmax())])
        limits = Limits(int(values[0]), int(values[-1]), middle)
        note += f" The strongest, {middle}, is taken as their centre."
    return replace(encoding, limits={**encoding.limits, name: limits}), [note]


def _slices_by_position(heads: Heads, imaging: Lines, everything: Lines) -> list[str]:
    """Count as slices what was acquired at other positions, line by line.

    A head that moved makes the same positions, but does not repeat the lines of an image.
    """
    idx = heads["idx"]
    numbers = np.full(len(heads), -1, np.int64)
    found, count = [], 0
    for value in np.unique(idx["slice"][imaging]):
        lines = everything[idx["slice"][everything] == value]
        leaders = _places(heads, lines[np.isin(lines, imaging)])
        if len(leaders) > 1 and not _several(heads, lines[np.isin(lines, imaging)], leaders):
            leaders = leaders[:1]
        numbers[lines] = count + _nearest(heads, lines, leaders)
        count += len(leaders)
        found += [len(leaders)] if len(leaders) > 1 else []
    if not found:
        return []
    # reference lines of slices without an image get a number that no image has
    idx["slice"][everything] = np.where(numbers[everything] < 0, count, numbers[everything])
    return [
        "The slice counter does not tell slices apart that have other positions: they were "
        f"counted by position, {count} in all."
    ]


def _pose(heads: Heads, lines: Lines) -> Float64[np.ndarray, "_ 12"]:
    """Return position in mm and directions, in which 0.02 counts as much as the least distance."""
    names = ("position", "read_dir", "phase_dir", "slice_dir")
    pose = np.concatenate([heads[name][lines] for name in names], axis=1).astype(np.float64)
    pose[:, 3:] *= DISTANCE / 0.02
    return pose


def _places(heads: Heads, lines: Lines) -> Lines:
    """Return one readout of each position, in the order in which they come."""
    pose, left, leaders = _pose(heads, lines), np.arange(len(lines)), []
    while len(left):
        leaders.append(int(lines[left[0]]))
        left = left[~(np.abs(pose[left] - pose[left[0]]).max(axis=1) <= DISTANCE)]
        if len(leaders) > max(2, len(lines) // 4):  # a position for every few lines is motion
            return np.array(leaders[:1], np.int64)
    return np.array(leaders, np.int64)


def _nearest(heads: Heads, lines: Lines, leaders: Lines) -> Lines:
    pose, places = _pose(heads, lines), _pose(heads, leaders)
    if len(leaders) == 1:
        return np.zeros(len(lines), np.int64)
    return np.abs(pose[:, None] - places[None]).max(axis=2).argmin(axis=1)


def _several(heads: Heads, lines: Lines, leaders: Lines) -> bool:
    """Tell whether each of the positions has lines of an image of its own.

    Raises:
        RawDataError: When some lines of an image, but not most, were acquired at all of them.
    """
    names = (*FRAME_COUNTERS, "average", *STEPS)
    keys = np.stack([heads["idx"][name][lines] for name in names], axis=1).astype(np.int64)
    _, place = np.unique(keys, axis=0, return_inverse=True)
    at = _nearest(heads, lines, leaders)
    seen = np.zeros((len(leaders), int(place.max()) + 1), bool)
    seen[at, place.reshape(-1)] = True
    repeated = seen[:, seen.sum(axis=0) > 1].sum(axis=1)
    share = repeated / seen.sum(axis=1)
    if not repeated.any():
        return False
    if share.min() >= OVERLAP:
        return True
    raise RawDataError(
        f"readouts of slice {heads['idx']['slice'][lines[0]]} have {len(leaders)} positions, at "
        f"which {share.min():.0%} to {share.max():.0%} of the lines were acquired again: neither "
        "one slice nor several; expected a slice counter that tells them apart. Convert the file "
        "again with a converter that counts slices"
    )


def _by_order(
    heads: Heads, encoding: Encoding, echo_times: tuple[float, ...], imaging: Lines
) -> list[str]:
    """Count echoes, sets, phases or repetitions by the order in which a line was acquired.

    Raises:
        RawDataError: When lines repeat, and several unset counters may explain it, or one only in
            part.
    """
    idx = heads["idx"]
    told = {name: _told(encoding, name, echo_times) for name in (*FRAME_COUNTERS, "average")}
    unset = {n: c for n, c in told.items() if c > 1 and len(np.unique(idx[n][imaging])) == 1}
    candidates = {name: count for name, count in unset.items() if name != "average"}
    names = (*FRAME_COUNTERS, "average", "slice", *STEPS, "segment")
    keys = np.stack([idx[name][imaging] for name in names], axis=1).astype(np.int64)
    keys = np.concatenate([keys, idx["user"][imaging].astype(np.int64)], axis=1)
    _, place, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    times = int(np.median(counts))
    if times == 1 or not candidates:
        return []
    fitting = [name for name, count in unset.items() if count == times]
    if len(fitting) == 1 and counts.max() == times and fitting[0] in candidates:
        order = np.lexsort((_acquired(heads, imaging), place.reshape(-1)))
        rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        idx[fitting[0]][imaging[order]] = rank.astype(np.uint16)
        return [
            f"The {fitting[0]} counter is not set, the header tells "
            f"{_listed(fitting, told, echo_times)} and every line was acquired {times} times: they "
            "are told apart by the order of acquisition."
        ]
    if fitting == ["average"] or all(times % count for count in candidates.values()):
        return []
    raise RawDataError(
        f"lines were acquired {times} times, and no counter tells these readouts apart; the header "
        f"tells {_listed(list(unset), told, echo_times)}: which is which is unknown, expected "
        "counters that are set. Convert the file again with a converter that counts them"
    )


def _told(encoding: Encoding, name: str, echo_times: tuple[float, ...]) -> int:
    """Return how many values of a counter the header announces."""
    limits = encoding.limits.get(name, Limits())
    count = 1 if limits.maximum is None else limits.maximum - (limits.minimum or 0) + 1
    return max(count, len(echo_times)) if name == "contrast" else count


def _acquired(heads: Heads, lines: Lines) -> Lines:
    """Return the order of acquisition: by the scan counter if it counts, else that of the file."""
    counter = heads["scan_counter"][lines].astype(np.int64)
    return counter if len(np.unique(counter)) == len(lines) else np.arange(len(lines))


def _listed(names: list[str], told: dict[str, int], echo_times: tuple[float, ...]) -> str:
    plural = {"contrast": "echoes", "set": "sets", "phase": "phases", "repetition": "repetitions"}
    words = []
    for name in names:
        words.append(f"{told[name]} {plural.get(name, 'averages')}")
        if name == "contrast" and len(echo_times) > 1:
            words[-1] += f" (TE {', '.join(f'{time:g}' for time in echo_times)} ms)"
    return " and ".join(words)
