"""Separate reference lines, whose encoding may be another than the image's.

They may have a centre, a matrix and a field of view of their own. Lines at the same distances in
k-space get the numbers that they would have among the image's lines; others keep a grid of their
own, whose centre is resampled.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.centers import LINES, PROMINENT, TOLERANCE, step_energy
from mrirecon.raw.header import Encoding, MeasurementHeader
from mrirecon.raw.kspace_grid import STEPS, Axis, Grid, center_line
from mrirecon.raw.readouts import Heads, Lines
from mrirecon.raw.reference_grid import Reference
from mrirecon.raw.slice_positions import MOVED
from mrirecon.raw.views import plausible_views

EQUAL = 1e-3
"""Part by which fields of view may differ and still be the same."""
WHAT = ("line", "partition")


@dataclass(frozen=True)
class PlacedReference:
    """Reference lines, numbered for the image's grid or for one of their own.

    Attributes:
        heads: Headers of all readouts, with the new numbers.
        calibration: Numbers of the reference lines.
        own: Grid of the reference lines; None when it is the image's.
        notes: Notes about what was noticed, one sentence each.
    """

    heads: Heads
    calibration: Lines
    own: Reference | None = None
    notes: tuple[str, ...] = ()


def placed_reference(
    header: MeasurementHeader,
    encoding: Encoding,
    heads: Heads,
    imaging: Lines,
    calibration: Lines,
    grid: Grid,
    fetch: Fetch,
) -> PlacedReference:
    """Find where reference lines lie in k-space.

    Raises:
        RawDataError: When the header lacks their encoding, or when it cannot be brought to the
            image's grid.
    """
    theirs, calibration, notes = _encoding_of(header, encoding, heads, imaging, calibration)
    heads = heads.copy()
    notes += _other_positions(heads, imaging, calibration)
    scale = _scale(encoding, theirs)
    if any(abs(factor - 1) > EQUAL for factor in scale):
        views = ", ".join(f"{100 * factor:.4g} %" for factor in scale)
        notes.append(
            f"The reference lines have a field of view of their own ({views} of the image's): "
            "their centre is resampled."
        )
    # lines that serve the image, too, have the image's numbers, whatever the others have
    apart = np.setdiff1d(calibration, imaging)
    wanted = (grid.phase, grid.partition)
    centers = [0, 0]
    for number, axis in enumerate(wanted):
        if axis is None:
            continue
        told = axis.center
        if theirs is not encoding:
            size = theirs.encoded.matrix[number + 1] or axis.size
            told = center_line(theirs, number + 1, heads[calibration], header.vendor, size, notes)
        centers[number] = _center(heads, apart, number, told, fetch, notes)
    if any(axis and axis.center != c for axis, c in zip(wanted, centers, strict=True)):
        calibration = apart
    axes: list[Axis | None] = []
    for number, axis in enumerate(wanted):
        if axis is None:
            axes.append(None)
            continue
        center = centers[number]
        if abs(scale[number + 1] - 1) <= EQUAL:
            moved = _renumber(heads, calibration, number, axis.center - center, axis)
            if len(moved.lines) < len(calibration):
                notes.append(
                    f"{len(calibration) - len(moved.lines)} of {len(calibration)} reference lines "
                    f"lie beyond the image's {axis.size} {WHAT[number]}s and were left out."
                )
            calibration = moved.lines
            axes.append(moved.axis)
        else:
            steps = heads["idx"][STEPS[number]][calibration].astype(np.int64)
            reach = max(center - int(steps.min()), int(steps.max()) - center)
            axes.append(replace(axis, size=2 * reach + 1, center=center))
    own = None
    if any(abs(factor - 1) > EQUAL for factor in scale):
        assert axes[0] is not None
        own = Reference(axes[0], axes[1], scale)
    elif axes != [grid.phase, grid.partition]:
        assert axes[0] is not None
        own = Reference(axes[0], axes[1], (1.0, 1.0, 1.0))
    return PlacedReference(heads, calibration, own, tuple(notes))


def _encoding_of(
    header: MeasurementHeader, encoding: Encoding, heads: Heads, imaging: Lines, calibration: Lines
) -> tuple[Encoding, Lines, list[str]]:
    """Return the encoding of reference lines, and which of them use it.

    Raises:
        RawDataError: When the header lacks it, or there are several.
    """
    used = int(heads["encoding_space_ref"][imaging[0]])
    spaces = np.unique(heads["encoding_space_ref"][calibration]).tolist()
    missing = [space for space in spaces if space >= len(header.encodings)]
    if missing:
        raise RawDataError(
            f"the reference lines use encoding {missing[0]}, the XML header describes only "
            f"{len(header.encodings)}; the file is inconsistent, convert it again"
        )
    if any(space != used for space in spaces):  # lines of the image complete only its own encoding
        others = heads["encoding_space_ref"][calibration] != used
        space, calibration = next(s for s in spaces if s != used), calibration[others]
        if len(spaces) - (used in spaces) > 1:
            raise RawDataError(
                f"the reference lines use several encodings ({spaces}), expected one; "
                "this is not supported yet"
            )
        theirs, notes = plausible_views(header.encodings[space])
        return theirs, calibration, notes
    return encoding, calibration, []


def _scale(encoding: Encoding, theirs: Encoding) -> tuple[float, float, float]:
    """Return the field of view of the reference lines as a multiple of the image's, by axis."""
    factors = [
        view / ours if view is not None and ours is not None else 1.0
        for view, ours in zip(
            theirs.encoded.field_of_view, encoding.encoded.field_of_view, strict=True
        )
    ]
    return factors[0], factors[1], factors[2]


def _center(
    heads: Heads, lines: Lines, axis: int, told: int, fetch: Fetch, notes: list[str]
) -> int:
    """Return the number of the central line: as told, unless the signal is clearly elsewhere."""
    steps = heads["idx"][STEPS[axis]][lines].astype(np.int64)
    chosen = lines[heads["idx"]["slice"][lines] == heads["idx"]["slice"][lines[0]]][:LINES]
    values, energy = step_energy(fetch(chosen), axis)
    if len(values) < 8 or not np.isfinite(energy).all():
        return told
    peak = int(values[energy.argmax()])
    if energy.max() <= PROMINENT * np.median(energy) or abs(peak - told) <= TOLERANCE:
        return told
    middle = (int(steps.min()) + int(steps.max()) + 1) // 2
    what = WHAT[axis]
    if abs(peak - middle) <= TOLERANCE:
        notes.append(
            f"The signal of the reference lines is strongest at {what} {peak}, the header's centre "
            f"is {told}: their middle, {middle}, is taken as their centre."
        )
        return middle
    notes.append(
        f"The signal of the reference lines is strongest at {what} {peak}, not at their centre "
        f"{told} that was used: maps may be wrong."
    )
    return told


@dataclass(frozen=True)
class _Moved:
    """Reference lines that lie on the image's grid, and where their new numbers go on it."""

    lines: Lines
    axis: Axis


def _renumber(heads: Heads, lines: Lines, axis: int, shift: int, ours: Axis) -> _Moved:
    """Give lines numbers at the distances of the image's lines; keeps those on its grid."""
    steps = heads["idx"][STEPS[axis]][lines].astype(np.int64) + shift
    places = steps - ours.center + ours.size // 2
    inside = (places >= 0) & (places < ours.size)
    # numbers are unsigned; lines before the image's first have their own, from a higher centre
    lift = max(0, -int(steps[inside].min())) if inside.any() else 0
    heads["idx"][STEPS[axis]][lines] = np.clip(steps + lift, 0, None).astype(np.uint16)
    return _Moved(lines[inside], replace(ours, center=ours.center + lift))


def _other_positions(heads: Heads, imaging: Lines, calibration: Lines) -> list[str]:
    """Let reference lines belong to the slice at their position."""
    ours, first = np.unique(heads["idx"]["slice"][imaging], return_index=True)
    theirs, begin = np.unique(heads["idx"]["slice"][calibration], return_index=True)
    places = heads["position"][imaging[first]].astype(np.float64)
    wanted = heads["position"][calibration[begin]].astype(np.float64)
    if not (np.isfinite(places).all() and np.isfinite(wanted).all()) or not wanted.any():
        return []
    distance = np.linalg.norm(wanted[:, None] - places[None], axis=2)
    nearest: Int64[np.ndarray, slice] = distance.argmin(axis=1)
    known = np.isin(theirs, ours)
    own = distance[known, np.searchsorted(ours, theirs[known])]
    if known.all() and own.max() <= MOVED:
        return []
    if distance.min(axis=1).max() <= MOVED and len(np.unique(nearest)) == len(nearest):
        lines = heads["idx"]["slice"][calibration]
        heads["idx"]["slice"][calibration] = ours[nearest][np.searchsorted(theirs, lines)]
        return ["The slices of the reference lines are counted otherwise: matched by position."]
    off = own.max() if len(own) else distance.min()
    return [
        f"The reference lines lie up to {off:.1f} mm beside the image's slices of the same number: "
        "maps may be wrong."
    ]
