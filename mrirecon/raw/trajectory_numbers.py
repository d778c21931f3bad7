"""Numbers of readouts along a trajectory: by their counter, or in order of acquisition."""

import numpy as np
from jaxtyping import Int64

from mrirecon.raw.header import Encoding, Limits
from mrirecon.raw.kspace_grid import STEPS
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.raw.oversampling import center_recorded, readout_ranges, required_size
from mrirecon.raw.readout_bins import acquired
from mrirecon.raw.readouts import Heads, Index, flagged
from mrirecon.raw.stored_places import Named

WIDER = 1.5
"""The header's readout is at most so many times longer than what was measured."""


def named_spokes(
    name: str, encoding: Encoding, imaging: Heads, frame: Index, pixels: float
) -> tuple[Named, list[str]]:
    """Return what makes the places of spokes, and what to say about it.

    Args:
        name: Name of the trajectory.
        encoding: Encoding of the readouts.
        imaging: Headers of the imaging readouts.
        frame: Number of each readout's frame.
        pixels: Cycles per field of view of a whole diameter.

    Raises:
        RawDataError: When a centre lies outside its readout.
    """
    counter = imaging["idx"][STEPS[0]].astype(np.int64)
    limits = encoding.limits.get("kspace_encoding_step_1", Limits())
    if len(np.unique(counter)) > 1:
        number, how = counter, f"the counter {STEPS[0]}"
        spokes = max(int(counter.max()), limits.maximum or 0) + 1
    else:
        number, spokes = _by_order(imaging, frame, even=name.startswith("radial"))
        how = "the order of acquisition, as no counter is set"
    recorded = center_recorded(imaging, encoding.encoded.matrix[0])
    count = imaging["number_of_samples"].astype(np.int64)
    center = imaging["center_sample"].astype(np.int64) if recorded else count // 2
    full, told = required_size(readout_ranges(imaging, recorded)), encoding.encoded.matrix[0]
    if told is not None and full <= told <= WIDER * full:  # echoes may be asymmetric
        full = told
    reverse = flagged(imaging, AcquisitionFlag.REVERSE)
    step = np.where(reverse, -1.0, 1.0) * (pixels / full)
    total = f", {spokes} spread evenly" if name.startswith("radial") else ""
    note = (
        f"The trajectory was made as told: {name}{total}, angles by {how}, from the readout "
        f"direction towards the phase direction; {full} samples are a diameter."
    )
    return Named(name, number, spokes, center, step), [note]


def _by_order(imaging: Heads, frame: Index, even: bool) -> tuple[Index, int]:
    """Number readouts as they were acquired: even angles start anew in each frame."""
    order = acquired(imaging)
    names = ("contrast", "set", "slice", STEPS[1])
    keys = np.stack([imaging["idx"][name].astype(np.int64) for name in names], axis=1)
    if even:
        keys = np.concatenate([keys, frame[:, None]], axis=1)
    _, group, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    sequence = np.lexsort((order, group.reshape(-1)))
    number = np.empty(len(order), np.int64)
    number[sequence] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return number, int(counts.max())


def numbered_spokes(imaging: Heads, frame: Index, partition: Index) -> Index:
    """Number the readouts of each frame and slice in the order of their acquisition.

    Those of a slab that have the same counter, or are as many-th in their partition, are one.
    """
    order, result = acquired(imaging), np.zeros(len(imaging), np.int64)
    keys = frame * (int(imaging["idx"]["slice"].max()) + 1) + imaging["idx"]["slice"]
    for key in np.unique(keys):
        mine = np.flatnonzero(keys == key)
        mine = mine[np.argsort(order[mine])]
        step = imaging["idx"][STEPS[0]][mine].astype(np.int64)
        if len(np.unique(partition[mine])) == 1:
            result[mine] = np.arange(len(mine))
        else:
            result[mine] = _first_seen(step, _occurrence(partition[mine], step))
    return result


def _occurrence(*keys: Int64[np.ndarray, "_"]) -> Int64[np.ndarray, "_"]:
    """Return how often the keys of each element have come before."""
    _, inverse, counts = np.unique(
        np.stack(keys, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    order = np.argsort(inverse.reshape(-1), kind="stable")
    result = np.empty(len(order), np.int64)
    result[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return result


def _first_seen(*keys: Int64[np.ndarray, "readout"]) -> Int64[np.ndarray, "readout"]:
    """Return the rank of each readout's keys in the order in which they are first seen.

    Args:
        keys: Numbers of each readout, in the order of acquisition.
    """
    _, first, inverse = np.unique(
        np.stack(keys, axis=1), axis=0, return_index=True, return_inverse=True
    )
    return np.argsort(np.argsort(first))[inverse.reshape(-1)]


def incomplete_stacks(frame: Index, spoke: Index, partition: Index) -> list[str]:
    """Say how many readouts of a slab lack partitions that others have.

    Args:
        frame: Frame of each imaging readout.
        spoke: Number of each one's readout within a partition, as of :func:`numbered_spokes`.
        partition: Place of each one among the partitions; all the same without a slab.
    """
    there = len(np.unique(partition))
    if there < 2:
        return []
    measured = np.unique(np.stack([frame, spoke, partition]), axis=1)
    _, counts = np.unique(measured[:2], axis=1, return_counts=True)
    lacking = int((counts < there).sum())
    if not lacking:
        return []
    return [
        f"{lacking} of {len(counts)} readouts lack some of the {there} partitions, where they are "
        "zero-filled: slices blur along the slab."
    ]
