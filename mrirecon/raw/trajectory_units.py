"""The unit of a trajectory, found by how far it reaches; and the image that it is the k-space of.

k-space of an image of N pixels reaches from -N/2 to N/2 cycles per field of view, whatever unit its
places were written in. So the unit is the one in which that is so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mrirecon.errors import RawDataError
from mrirecon.read_options import LARGEST, TRAJECTORY_UNITS as UNITS

BY_LENGTH = {"1/m": 1e-3, "1/cm": 1e-1, "rad/m": 1e-3 / (2 * math.pi)}
"""Units that need the field of view, as cycles per millimetre."""
NEAR = 1.6
"""A unit fits when the trajectory reaches the edge of k-space within this factor."""
APART = 1.15
"""The next unit has to fit worse by this factor, or else they cannot be told apart."""
SLACK = 1.02
"""Trajectories may reach beyond the image's k-space by this factor."""
UNEVEN = 1.25
"""A trajectory that reaches so many times farther along one axis is told; few spokes do not."""
WIDEST_STEP = 1.5
"""Larger steps between samples of a readout, in cycles per field of view, would alias."""
ASK = "say so with reading.trajectory_unit=" + "|".join(UNITS)


@dataclass(frozen=True)
class Extent:
    """How far a trajectory reaches, in the unit that it was written in.

    Attributes:
        reach: Largest distance from k = 0 along an axis.
        step: Distance of neighbouring samples of a readout.
        straight: Whether readouts are straight, with even steps.
    """

    reach: float
    step: float
    straight: bool


@dataclass(frozen=True)
class Placed:
    """How a trajectory becomes one in cycles per field of view.

    Attributes:
        factor: Cycles per field of view in one of its units.
        matrix: Pixels of the image along each axis.
        notes: Notes about what was found, one sentence each.
    """

    factor: float
    matrix: int
    notes: tuple[str, ...]


def placed_by_matrix(
    extent: Extent, matrix: int, pixels: float, view: float | None, unit: str | None
) -> Placed:
    """Find the unit of a trajectory whose image is known.

    Args:
        extent: Extent of the trajectory.
        matrix: Pixels of the image.
        pixels: Pixels that the field of view has in the resolution of k-space.
        view: Field of view of the image in mm; None when unknown.
        unit: Unit that a user told; None looks for it.

    Raises:
        RawDataError: When no unit fits, or several do.
    """
    if unit is not None:
        return Placed(_factor(unit, pixels, view), matrix, (_told(unit, extent, "as told"),))
    fits: list[tuple[float, str, float]] = []
    for name in UNITS:
        if name in BY_LENGTH and view is None:
            continue
        factor = _factor(name, pixels, view)
        ratio = extent.reach * factor / (pixels / 2)
        fits.append((max(ratio, 1 / ratio), name, factor))
    best, *others = sorted(fits)
    rival = next((o for o in others if o[0] < APART * best[0] and not _same(o[2], best[2])), None)
    if best[0] > NEAR or rival is not None:
        found = f"it reaches to {extent.reach:.4g}"
        why = "no unit explains that"
        if best[0] <= NEAR and rival is not None:
            why = f"{UNITS[best[1]]} and {UNITS[rival[1]]} both explain that"
        raise RawDataError(
            f"the unit of the trajectory is not clear: {found}, expected about "
            f"{pixels / 2:g} cycles per field of view for an image of {pixels:g} pixels"
            f"{'' if view is None else f' and {view:g} mm'}, and {why}; {ASK}"
        )
    return Placed(best[2], matrix, (_told(best[1], extent, "found by its extent"),))


def placed_by_extent(extent: Extent, unit: str | None, matrix: int | None) -> Placed:
    """Find the unit, and the image, of a trajectory of which nothing else is known.

    Args:
        extent: Extent of the trajectory.
        unit: Unit that a user told; None looks for it.
        matrix: Pixels of the image that a user told; None derives them.

    Raises:
        RawDataError: When either cannot be told.
    """
    how = "found by its extent" if unit is None else "as told"
    unit = _by_range(extent) if unit is None else unit
    if unit in BY_LENGTH:
        raise RawDataError(
            f"a trajectory in {UNITS[unit]} needs the field of view, which these files do not "
            "tell; multiply it by the field of view and save it again: cycles per field of view"
        )
    note = _told(unit, extent, how)
    if unit == "cycles":
        size = matrix or 2 * math.ceil(extent.reach - 0.01)
        why = "as told" if matrix else "the extent of the trajectory in cycles"
        return Placed(1.0, size, (note, _sized(size, why)))
    per_pixel = _factor(unit, 1.0, None)
    if matrix is None and not extent.straight:
        raise RawDataError(
            f"the trajectory is in {UNITS[unit]} and its readouts are curved, so that nothing "
            "tells the field of view; say reading.matrix=N, the pixels of the image"
        )
    whole = 2 * math.ceil((1 / (extent.step * per_pixel) - 0.01) / 2)
    size = matrix or whole
    why = "as told" if matrix else f"{whole} samples per diameter, so that nothing is cut off"
    return Placed(per_pixel * size, size, (note, _sized(size, why)))


def image_size(matrix: int, reach: float) -> int:
    """Return the pixels that an image needs to hold all of a trajectory.

    Args:
        matrix: Pixels of the image that is wanted.
        reach: Largest distance from k = 0 along an axis, in cycles per field of view.

    Raises:
        RawDataError: When the image would have far more pixels than any has.
    """
    size = matrix if reach <= SLACK * matrix / 2 + 0.5 else 2 * math.ceil(reach)
    if size > LARGEST:
        raise RawDataError(
            f"the trajectory reaches to {reach:.4g} cycles per field of view, which makes an image "
            f"of {size} pixels, expected at most {LARGEST}: it is damaged, or of another unit; "
            f"{ASK}"
        )
    return size


def uneven(reach: Sequence[float]) -> list[str]:
    """Say where a trajectory without a header reaches farther along one axis than along the other.

    Args:
        reach: Largest distances from k = 0 along h and w, in cycles per field of view.
    """
    h, w = reach
    if max(reach) < UNEVEN * min(reach):
        return []
    return [
        f"The trajectory reaches to {h:.4g} cycles along h and {w:.4g} along w, but the image has "
        "as many pixels along both: where the fields of view differ, its pixels are oblong and it "
        f"looks stretched; where they do not, it is blurred along {'h' if h < w else 'w'}."
    ]


def _factor(unit: str, pixels: float, view: float | None) -> float:
    if unit in BY_LENGTH:
        if view is None:
            raise RawDataError(
                f"a trajectory in {UNITS[unit]} needs the field of view, which the header does not "
                "tell; correct fieldOfView_mm in the file's XML"
            )
        return BY_LENGTH[unit] * view
    return {"cycles": 1.0, "pixel": pixels, "radians": pixels / (2 * math.pi)}[unit]


def _same(one: float, other: float) -> bool:
    return abs(one - other) < 0.05 * one


def _by_range(extent: Extent) -> str:
    """Tell the unit of a trajectory by its extent alone.

    Raises:
        RawDataError: When it is none of the usual ones.
    """
    if 0.4 <= extent.reach <= 0.55:
        return "pixel"
    if 0.8 * math.pi <= extent.reach <= 1.1 * math.pi:
        return "radians"
    if extent.reach >= 4 and extent.step <= WIDEST_STEP:
        return "cycles"
    raise RawDataError(
        f"the unit of the trajectory is not clear: it reaches to {extent.reach:.4g} in steps of "
        f"{extent.step:.3g}, expected 0.5 (cycles per pixel), 3.14 (radians per pixel), or 4 and "
        f"more in steps of at most {WIDEST_STEP:g} (cycles per field of view); {ASK}"
    )


def _told(unit: str, extent: Extent, how: str) -> str:
    return f"The trajectory reaches to {extent.reach:.4g}: {UNITS[unit]}, {how}."


def _sized(size: int, why: str) -> str:
    return f"The image has {size} x {size} pixels: {why} (reading.matrix says otherwise)."
