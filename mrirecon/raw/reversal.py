"""The echo centre of reversed readouts, which files tell in two ways.

``center_sample`` of a reversed readout counts in the order of acquisition, or in that of a readout
which has been turned around already. The data decide: echoes of either direction coincide.
"""

import numpy as np
from jaxtyping import Float64

from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.centers import PROMINENT
from mrirecon.raw.kspace_grid import STEPS
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.raw.readouts import Heads, Lines, flagged

MOST = 32
"""So many lines of each direction are looked at, those closest to the middle of k-space."""
SURE = 0.5
"""Samples by which one reading has to fit better than the other."""


def turned_centers(
    heads: Heads, imaging: Lines, fetch: Fetch, size: int | None
) -> tuple[Heads, list[str]]:
    """Write the centre of reversed readouts as it counts in the order of acquisition.

    Args:
        heads: Headers of all readouts.
        imaging: Numbers of the imaging lines.
        fetch: Function that returns readouts by number.
        size: Samples of the header's readout; decides when the data do not.
    """
    reverse = flagged(heads, AcquisitionFlag.REVERSE)
    turned, straight = imaging[reverse[imaging]], imaging[~reverse[imaging]]
    count = heads["number_of_samples"].astype(np.int64)
    told = heads["center_sample"].astype(np.int64)
    mirrored = count - 1 - told
    if not len(turned) or not told[imaging].any() or (mirrored == told)[turned].all():
        return heads, []
    reversed_ = _profile(heads, turned, fetch)
    other = reversed_[::-1] if not len(straight) else _profile(heads, straight, fetch)
    shift = _displacement(reversed_, other)
    if not len(straight):  # the echo is symmetric: half of the distance to its mirror image
        shift /= 2
    gap = float(np.median((told - mirrored)[turned]))
    as_told, as_mirrored = abs(shift), abs(shift + gap)
    if not np.isfinite(shift) or abs(as_told - as_mirrored) < SURE:
        # undecided: the reading that needs no larger grid than the header has
        reach = np.maximum(2 * told, 2 * (count - told) - 1)[turned].max()
        mirror = np.maximum(2 * mirrored, 2 * (count - mirrored) - 1)[turned].max()
        better = size is not None and reach <= size < mirror
    else:
        better = as_told < as_mirrored
    if not better:
        return heads, []
    heads = heads.copy()
    heads["center_sample"][reverse] = np.clip(mirrored, 0, None)[reverse].astype(np.uint16)
    return heads, [
        f"The echo centre of reversed readouts (center_sample {int(told[turned[0]])} of "
        f"{int(count[turned[0]])}) is told as it is after they were turned around: echoes of both "
        "directions coincide that way."
    ]


def _profile(heads: Heads, lines: Lines, fetch: Fetch) -> Float64[np.ndarray, "_"]:
    """Return the signal along the readout, turned if reversed, with the told centre in the middle.

    Of the lines closest to the middle of the phase encoding.
    """
    steps = heads["idx"][STEPS[0]][lines].astype(np.int64)
    lines = lines[np.argsort(np.abs(steps - np.median(steps)), kind="stable")[:MOST]]
    half = int(heads["number_of_samples"][lines].max())
    total = np.zeros(2 * half + 1)
    for head, samples in zip(heads[lines], fetch(lines).samples, strict=True):
        energy = np.square(np.abs(samples), dtype=np.float64).sum(axis=0)
        if int(head["flags"]) & AcquisitionFlag.REVERSE.mask:
            energy = energy[::-1]
        start = half - int(head["center_sample"])
        total[start : start + len(energy)] += energy
    return np.sqrt(total)


def _displacement(profile: Float64[np.ndarray, "_"], other: Float64[np.ndarray, "_"]) -> float:
    """Return by how many samples a profile lies to the right of another; NaN without an echo."""
    for one in (profile, other):
        if not one.any() or not one.max() ** 2 > PROMINENT * np.median(one[one > 0] ** 2):
            return float("nan")
    correlation = np.correlate(profile, other, "full")
    peak = int(correlation.argmax())
    if not np.isfinite(correlation).all() or not 0 < peak < len(correlation) - 1:
        return float("nan")
    left, top, right = correlation[peak - 1 : peak + 2]
    bend = left - 2 * top + right
    fine = 0.5 * (left - right) / bend if bend < 0 else 0.0
    # both have their centres in the middle
    return peak + fine - (len(other) - 1 + (len(profile) - len(other)) / 2)
