"""Measured samples of a stored k-space array, told from those filled up with zeros.

Measured noise is never exactly zero in all coils of a line. So columns and rows that are entirely
zero are unmeasured. Zeros scattered over the rest are a 2-D pattern when there are many of them, at
the same places in all planes, or in the corners; others are rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Complex64

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_words import Stored
from mrirecon.readers.arrays.kspace_array import KSpaceArray
from mrirecon.readers.hdf5.opening import read
from mrirecon.readers.hdf5.unwritten import refuse_unwritten

PROBED_PLANES = 4
"""Planes in which zeros are looked for when a file is opened, spread over the scan."""
SCATTERED = 0.05
"""Exact zeros outside zero lines and rows mean undersampling when they are more than this."""
FEWEST = 4
"""So many zeros at the same places, or in the corners, mean undersampling too."""
ReadPlane = Callable[[int, int | None, int], np.ndarray]
"""Reads ``(plane, coil or all, average)`` as ``(coil, h, w)``."""


@dataclass(frozen=True)
class MeasuredSamples:
    """How to find the measured samples of each plane; planes may differ, the shape does not.

    Attributes:
        told: Samples that are measured by mask and header, for all frames together or for each.
        zeros: Place of the unmeasured zeros that were seen: in whole columns (``lines``), also in
            whole rows (``rectangle``), or scattered (``points``).
    """

    told: Bool[np.ndarray, "frame #h w"]
    zeros: Literal["lines", "rectangle", "points"] = "lines"

    def told_of(self, frame: int) -> Bool[np.ndarray, "#h w"]:
        """Return what is told about one frame."""
        return self.told[frame if len(self.told) > 1 else 0]

    def find(
        self, kspace: Complex64[np.ndarray, "coil h w"], frame: int
    ) -> Bool[np.ndarray, "#h w"]:
        """Return the measured samples of a plane; none at all when it is zero."""
        told = self.told_of(frame)
        if self.zeros == "lines" and len(told) == 1:
            return _sampled_columns(kspace, told[0])[None]
        known = np.broadcast_to(told, kspace.shape[-2:])
        found = np.any(kspace != 0, axis=0) & known
        if not found.any():
            return np.zeros(self._shape(kspace), bool)
        if self.zeros == "points":
            return found
        rows, columns = _lines(found, known)
        if self.zeros == "rectangle":
            return rows[:, None] & columns[None, :] & known
        return columns[None, :] & told

    def of(self, kspace: Complex64[np.ndarray, "coil h w"], frame: int) -> Bool[np.ndarray, "#h w"]:
        """Return the measured samples of a plane; what is told when all of it is zero."""
        found = self.find(kspace, frame)
        return (
            found
            if found.any()
            else np.broadcast_to(self.told_of(frame), self._shape(kspace)).copy()
        )

    def _shape(self, kspace: np.ndarray) -> tuple[int, int]:
        rows = self.told.shape[1] if self.zeros == "lines" else kspace.shape[1]
        return rows, kspace.shape[2]


def everything(array: KSpaceArray) -> Bool[np.ndarray, "1 1 w"]:
    """Return what is told when nothing is."""
    return np.ones((1, 1, array.grid[1]), bool)


def stored_mask(
    stored: object, array: KSpaceArray, name: str = "mask", transposed: bool = False
) -> Bool[np.ndarray, "frame #h w"]:
    """Read a mask of shape (w), (h, w) or (frame, h, w); every positive value means sampled.

    Args:
        stored: The mask as it is stored.
        array: The k-space it belongs to.
        name: Name of the mask, for messages.
        transposed: Whether the last two axes are ``w h``.

    Raises:
        RawDataError: When it has another shape, or values that may mean either.
    """
    (h, w), frames = array.grid, len(array.frames)
    plain = isinstance(stored, Stored) and stored.dtype.kind in "biuf"
    refuse_unwritten(stored)
    values = np.asarray(read(stored)) if plain else np.zeros(0, object)
    shape = values.shape
    if transposed and len(shape) > 1:
        values = values.swapaxes(-1, -2)
    fitting = values.shape[-2:] in ((w,), (1, w), (h, w))
    if not fitting or len(shape) > 3 or not plain or (
        len(shape) == 3 and shape[0] != frames
    ):  # fmt: skip
        order = f"({w}, {h})" if transposed else f"({h}, {w})"
        raise RawDataError(
            f"'{name}' is {getattr(stored, 'shape', '')} {getattr(stored, 'dtype', 'a group')}, "
            f"but k-space is (h, w) = {array.grid}: expected "
            f"a mask of shape ({w},) or {order}, for {frames} frames; correct or delete it"
        )
    unclear = ~(values >= 0) | np.isinf(values)
    if unclear.any():
        raise RawDataError(
            f"'{name}' holds {values[unclear].flat[0]} in {int(unclear.sum())} of {values.size} "
            "places, expected 0 where k-space was not sampled and 1 where it was; correct or "
            "delete it"
        )
    mask = (values > 0).reshape(-1, *np.atleast_2d(values).shape[-2:])
    if "w" in array.corner:  # a mask is stored as its k-space is
        mask = np.fft.fftshift(mask, -1)
    if "h" in array.corner and mask.shape[-2] > 1:
        mask = np.fft.fftshift(mask, -2)
    return np.ascontiguousarray(mask)


def look_for_zeros(
    read_plane: ReadPlane,
    array: KSpaceArray,
    told: Bool[np.ndarray, "frame #h w"],
    notes: list[str],
    planes: tuple[int, ...] | None = None,
) -> MeasuredSamples:
    """Look into some planes, and tell what was seen in ``notes``.

    Nothing is read beyond the first coil of planes that have no zeros.

    Args:
        read_plane: Function that reads a plane.
        array: Layout of the array.
        told: Samples that are measured by mask and header, for all frames together or for each.
        notes: List of notes, which is extended.
        planes: Numbers of the planes to look into; None takes some that are spread over the scan.

    Raises:
        RawDataError: When all that was told to be measured is zero, and the rest is not.
    """
    rule = MeasuredSamples(told)
    seen, outside, nonempty = [], False, False
    for plane in planes or _probed(array):
        frame = plane // array.slices
        known = np.broadcast_to(rule.told_of(frame), array.grid)
        for average in range(array.averages):
            sampled = np.any(read_plane(plane, 0, average) != 0, axis=0)
            if not sampled[known].all() or not known.any():
                sampled = np.any(read_plane(plane, None, average) != 0, axis=0)
                _refuse_misplaced(known, sampled)
            nonempty |= bool(sampled.any())
            if (sampled & known).any():
                seen.append((sampled & known, known))
            else:
                outside |= bool(sampled.any())
    if outside and not seen:
        raise RawDataError(
            "'mask' and the header's encoding limits leave only samples that are zero; "
            "check that they belong to this k-space"
        )
    if not nonempty:
        notes.append("k-space is zero everywhere that was looked at.")
        return rule
    lines = [_lines(found, known) for found, known in seen]
    scattered = [
        found[rows[:, None] & columns[None, :] & known].mean() < 1 - SCATTERED
        for (found, known), (rows, columns) in zip(seen, lines, strict=True)
    ]
    left = [
        rows[:, None] & columns[None, :] & known & ~found
        for (found, known), (rows, columns) in zip(seen, lines, strict=True)
    ]
    if any(scattered) or _deliberate(left):
        share = 1 - sum(found.sum() for found, _ in seen) / sum(known.sum() for _, known in seen)
        notes.append(f"{share:.1%} of k-space is exactly zero, scattered: taken as unmeasured.")
        return MeasuredSamples(told, "points")
    rows = np.any([row for row, _ in lines], axis=0)
    columns = np.any([column for _, column in lines], axis=0)
    _tell(rows, columns, notes)
    if len({column.tobytes() for _, column in lines}) > 1 and array.averages == 1:
        notes.append("Not all slices and frames have the same columns: each has its own mask.")
    return MeasuredSamples(told, "lines" if all(row.all() for row, _ in lines) else "rectangle")


def _refuse_misplaced(known: Bool[np.ndarray, "h w"], sampled: Bool[np.ndarray, "h w"]) -> None:
    """Refuse a mask that is stored in another way than its k-space.

    Raises:
        RawDataError: When it does not fit, and exactly fits transposed or shifted.
    """
    others = {
        "transposed: it is along the other axis, or its axes are exchanged": known.T,
        "after fftshift: its centre is in the corner, that of k-space is not, or the other way "
        "round": np.fft.fftshift(known),
        "after ifftshift: its centre is elsewhere than that of k-space": np.fft.ifftshift(known),
    }
    fitting = [how for how, other in others.items() if np.array_equal(other, sampled)]
    if fitting and not np.array_equal(known, sampled):
        raise RawDataError(
            "'mask' leaves out samples that are there and keeps others that are zero; it fits "
            f"exactly {fitting[0]}; save it as k-space is, (h, w), or delete it: zeros tell what "
            "was not sampled"
        )


def _sampled_columns(
    kspace: Complex64[np.ndarray, "coil h w"], known: Bool[np.ndarray, " w"]
) -> Bool[np.ndarray, " w"]:
    """Return the known columns that are not entirely zero; most show it in a single row."""
    found = (kspace[0, kspace.shape[1] // 2] != 0) & known
    for coil in kspace:
        left = np.flatnonzero(known & ~found)
        if not len(left):
            break
        if len(left) > len(known) // 8:  # gathering columns is slower than looking at all
            found |= (coil != 0).any(0) & known
        else:
            found[left] = (coil[:, left] != 0).any(0)
    return found


def _deliberate(zeros: list[np.ndarray]) -> bool:
    """Tell whether zeros were left out on purpose: rounding does not hit the same places twice.

    The zeros of a single plane count when they fill its corners, as those of elliptical scanning.
    """
    most = max(int(plane.sum()) for plane in zeros)
    if most < FEWEST:
        return False
    if len(zeros) > 1:
        common = np.logical_and.reduce(zeros)
        return bool(common.sum() >= max(FEWEST, most / 2))
    (plane,) = zeros
    to_side = _runs_from_edges(plane, 1) & _runs_from_edges(plane, 0)
    corners = plane[[0, 0, -1, -1], [0, -1, 0, -1]]
    return bool(corners.any() and to_side.sum() >= 0.9 * most)


def _runs_from_edges(zeros: np.ndarray, axis: int) -> np.ndarray:
    """Mark zeros with nothing but zeros between them and an end of the axis."""
    forward = np.logical_and.accumulate(zeros, axis)
    backward = np.flip(np.logical_and.accumulate(np.flip(zeros, axis), axis), axis)
    return np.asarray(forward | backward)


def _lines(found: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns that are not entirely zero, or of which nothing is known."""
    rows, columns = found.any(1) | ~known.any(1), found.any(0) | ~known.any(0)
    return np.asarray(rows), np.asarray(columns)


def _tell(rows: np.ndarray, columns: np.ndarray, notes: list[str]) -> None:
    for name, kept in (("columns (phase encoding)", columns), ("rows (readout)", rows)):
        if not kept.all():
            inside = np.flatnonzero(kept)
            edges = len(inside) == inside[-1] - inside[0] + 1
            notes.append(
                f"{int((~kept).sum())} of {len(kept)} {name} are exactly zero, "
                f"{'at the edges' if edges else 'between measured ones'}: taken as unmeasured."
            )


def _probed(array: KSpaceArray) -> tuple[int, ...]:
    """Choose planes spread over the scan, and neighbouring frames of the middle slice."""
    frames, middle = len(array.frames), array.slices // 2
    total = array.slices * frames
    count = min(PROBED_PLANES, total)
    chosen = {round((i + 0.5) * total / count - 0.5) for i in range(count)}
    chosen |= {frame * array.slices + middle for frame in range(min(frames, 2))}
    return tuple(sorted(chosen))
