"""Where the samples of non-Cartesian k-space in an array lie: its places, understood."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.raw.content import content_notes
from mrirecon.raw.gradient_delays import Delays, delay_words, delayed, delays_of
from mrirecon.raw.trajectory_names import is_name
from mrirecon.raw.trajectory_signal import misplaced
from mrirecon.raw.trajectory_units import Extent, image_size, placed_by_extent, uneven
from mrirecon.read_options import ReadOptions
from mrirecon.readers.arrays.array_words import Stored, refuse_empty
from mrirecon.readers.arrays.kspace_array import KSpaceArray
from mrirecon.readers.arrays.named_trajectory import Laid, made_by_name
from mrirecon.readers.arrays.plain_arrays import ArrayContent
from mrirecon.readers.arrays.trajectory_file import read_places
from mrirecon.readers.arrays.trajectory_layout import coordinates, laid_out
from mrirecon.readers.arrays.trajectory_scan import TrajectoryScan
from mrirecon.sampling.trajectory_shape import TrajectoryShape, shape_of


@dataclass(frozen=True)
class PlacedTrajectory:
    """An array of k-space and the places of its samples, understood.

    Attributes:
        array: Layout of the k-space array.
        trajectory: Places in cycles per field of view, of all frames together or of each.
        shape: Shape of the trajectory.
        grid: Pixels along each side of the image that is computed.
        matrix: Pixels along each side of the image that is written.
        notes: Notes about what was found, one sentence each.
        delays: Gradient delays in samples that were corrected; None without any.
    """

    array: KSpaceArray
    trajectory: Float32[Tensor, "frame h w 2"]
    shape: TrajectoryShape
    grid: int
    matrix: int
    notes: tuple[str, ...]
    delays: Delays | None = None

    def of_frame(self, frame: int) -> Float32[Tensor, "h w 2"]:
        """Return the places of a stored frame."""
        return self.trajectory[frame if len(self.trajectory) > 1 else 0]

    def content(self) -> tuple[tuple[str, str], ...]:
        """Tell what the places are, as ``(what, value)``."""
        radius, step = self.shape.radius, self.shape.step
        told = f"reaches to {radius:.4g} cycles per field of view, a sample every {step:.3g}"
        return (("trajectory", told), ("gradient delays", delay_words(self.delays)))


def placed(scan: TrajectoryScan, file: Mapping[str, Any]) -> PlacedTrajectory:
    """Find the places of samples, and bring them into cycles per field of view.

    Args:
        scan: Scan whose read options say what the file does not.
        file: The open file.

    Raises:
        RawDataError: When they are not there, or do not fit k-space.
    """
    stored = scan.values(file)
    refuse_empty(stored, scan.named())
    laid = _laid(scan, file, stored)
    if laid.array.averages > 1:
        raise RawDataError(
            f"'{laid.array.name}' has {laid.array.averages} averages, expected none; "
            "average them first, or call that axis repetition in reading.axes"
        )
    return _looked_at(_placed(laid, scan.reading), stored, scan.reading)


def _laid(scan: TrajectoryScan, file: Mapping[str, Any], stored: Stored) -> Laid:
    """Find places, and the axes of k-space and of them."""
    told, axes = scan.reading.trajectory, scan.axes(stored)
    if told is not None and is_name(told):
        return made_by_name(stored, axes, told, scan.named(), scan.reading.matrix)
    own = scan.own_places(file, told)
    if own is None:
        own = read_places(told or "")
    places, notes = coordinates(*own)
    words, place_words = laid_out(stored, places, axes, own[1])
    array = KSpaceArray.of(stored, words, scan.named())
    order = [place_words.index(word) for word in ("h", "w")]
    leading = [n for n in range(len(place_words)) if n not in order]
    sorted_ = places.transpose(*leading, *order, len(place_words))
    whole = np.ascontiguousarray(sorted_.reshape(-1, *sorted_.shape[-3:]))
    if len(whole) not in (1, len(array.frames)):
        raise RawDataError(
            f"'{own[1]}' has places for {len(whole)} frames, k-space has {len(array.frames)}; "
            "expected as many, or one trajectory for all"
        )
    note = (
        f"The axes of '{scan.named()}' {array.shape} were taken as ({', '.join(words)}): "
        f"{array.grid[1]} readouts (w) of {array.grid[0]} samples (h)"
        f"{'' if axes is not None else '; reading.axes says otherwise'}."
    )
    return Laid(array, torch.from_numpy(whole), None, (*array.notes, note, *notes))


def _placed(laid: Laid, reading: ReadOptions) -> PlacedTrajectory:
    """Bring places into cycles per field of view."""
    shape = shape_of(laid.places[0])
    notes: list[str] = []
    if laid.cycles is not None:
        factor, matrix = laid.cycles
    else:
        extent = Extent(float(laid.places.abs().max()), shape.step, "radial" in shape.kind)
        placed = placed_by_extent(extent, reading.trajectory_unit, reading.matrix)
        factor, matrix = placed.factor, placed.matrix
        notes += placed.notes
    trajectory = laid.places * factor
    shape = replace(shape, radius=shape.radius * factor, step=shape.step * factor)
    notes += uneven(trajectory.abs().amax((0, 1, 2)).tolist())
    grid = image_size(matrix, float(trajectory.abs().max()))
    if grid != matrix:
        notes.append(
            f"The trajectory reaches beyond the k-space of {matrix} pixels: images are "
            f"computed with {grid}."
        )
    return PlacedTrajectory(laid.array, trajectory, shape, grid, matrix, (*laid.notes, *notes))


def _looked_at(found: PlacedTrajectory, stored: Stored, reading: ReadOptions) -> PlacedTrajectory:
    """Name empty slices and dead coils; refuse places that do not belong to k-space."""
    array = found.array
    radius = found.trajectory[0].norm(dim=-1)
    h, _ = divmod(int(radius.argmin()), radius.shape[1])
    where = dict.fromkeys(array.axes, 0) | {"h": h}
    notes, plane = content_notes(ArrayContent(array, stored, where, False))
    frame, slice_ = divmod(plane, array.slices)
    at = {**where, **array.counters(frame), "slice": slice_}
    values = array.plane_at(stored, at)
    if not values.any():
        raise RawDataError(
            f"'{array.name}' is zero everywhere, expected k-space; the scan was never "
            "written or is empty"
        )
    trajectory = found.of_frame(frame)
    if problem := misplaced(values, trajectory):
        if reading.axes is None:
            raise RawDataError(
                f"{problem}. Say with reading.axes what the axes of '{array.name}' "
                f"{array.shape} mean, w for readouts and h for samples (taken as "
                f"'{' '.join(array.axes)}'), or with reading.trajectory=FILE where its "
                "places are"
            )
        notes.append(f"{problem}.")
    delays, note = delays_of(reading.gradient_delays, values, trajectory)
    if delays is not None:
        moved = torch.stack([delayed(one, delays) for one in found.trajectory])
        found = replace(found, trajectory=moved, delays=delays)
    return replace(found, notes=(*found.notes, *notes, *([note] if note else [])))
