"""Where the slices lie, from the headers of their readouts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mrirecon.raw.grid import Grid
from mrirecon.raw.readouts import Heads
from mrirecon.scan import Geometry, Vector

MOVED = 0.5
"""mm by which the position of one slice may vary before a user is told."""
UNKNOWN = (
    "{}: the orientation of the image is unknown; rely on voxel sizes only, or convert the file "
    "again with a converter that keeps positions."
)


@dataclass(frozen=True)
class SliceStack:
    """The slices in anatomical order.

    Attributes:
        order: Value of the slice counter of each slice, sorted by position.
        geometry: Positions in that order, or None when the headers do not tell.
        notes: What was noticed, one sentence each.
    """

    order: tuple[int, ...]
    geometry: Geometry | None
    notes: tuple[str, ...] = ()


def slice_stack(heads: Heads) -> SliceStack:
    """Order slices along ``slice_dir``, which undoes any interleave, and keep their positions.

    ``position`` is the centre of the slice: with centred transforms the point of pixel
    ``(y // 2, x // 2)``. ``patient_table_position`` is not added: vendors disagree on its unit.
    """
    counters, first = np.unique(heads["idx"]["slice"], return_index=True)
    order = tuple(int(counter) for counter in counters)
    one = heads[first]
    rank = np.searchsorted(counters, heads["idx"]["slice"])
    with np.errstate(invalid="ignore"):  # positions that are not finite are told below
        moved = np.abs(heads["position"] - one["position"][rank])
    directions = np.stack(
        [one[name].astype(np.float64) for name in ("read_dir", "phase_dir", "slice_dir")], axis=1
    )
    positions = one["position"].astype(np.float64)
    problem = _problem(directions, positions)
    if problem:
        return SliceStack(order, None, (UNKNOWN.format(problem),))
    row, column, normal = (_unit(direction) for direction in directions[0])
    along = positions @ np.asarray(normal)
    sequence = np.argsort(along, kind="stable")
    notes = []
    if moved.max() > MOVED:
        notes.append(
            f"The position of a slice changes by up to {moved.max():.1f} mm between its readouts "
            "(motion correction?): the first is used."
        )
    if (sequence != np.arange(len(order))).any():
        notes.append("Slices were not stored in the order of their positions and were sorted.")
    gaps = np.diff(along[sequence])
    if len(gaps) and gaps.min() < 0.01:
        return SliceStack(order, None, (UNKNOWN.format("Several slices have the same position"),))
    if len(gaps) > 1 and np.ptp(gaps) > 0.01 * gaps.mean():
        notes.append(f"Slice distances differ: {gaps.min():.2f} to {gaps.max():.2f} mm.")
    places: list[Vector] = [_vector(positions[i]) for i in sequence]
    geometry = Geometry(tuple(places), row, column, normal)
    return SliceStack(tuple(order[i] for i in sequence), geometry, tuple(notes))


def volume_stack(heads: Heads, grid: Grid) -> SliceStack:
    """Return the planes perpendicular to the readout of a 3-D scan.

    ``position`` is the centre of the slab; the planes' rows go along the phase encoding, their
    columns along the partitions.
    """
    slab = slice_stack(heads)
    if slab.geometry is None or grid.readout.spacing is None:
        return slab
    whole, count = slab.geometry, grid.readout.matrix
    center, step = np.asarray(whole.positions[0]), np.asarray(whole.row_direction)
    offsets = (np.arange(count) - count // 2) * grid.readout.spacing
    geometry = Geometry(
        positions=tuple(_vector(center + offset * step) for offset in offsets),
        row_direction=whole.column_direction,
        column_direction=whole.slice_direction,
        slice_direction=whole.row_direction,
    )
    return SliceStack(slab.order, geometry, slab.notes)


def _problem(
    directions: Float64[np.ndarray, "slice axis 3"], positions: Float64[np.ndarray, "slice 3"]
) -> str | None:
    if not (np.isfinite(directions).all() and np.isfinite(positions).all()):
        return "Slice positions or directions are not finite"
    if not directions.any():
        return "Slice directions are all zero"
    gram = directions @ directions.transpose(0, 2, 1)
    if np.abs(gram - np.eye(3)).max() > 0.02:
        return "Slice directions are not orthogonal unit vectors"
    if np.abs(directions - directions[0]).max() > 1e-3:
        return "Slices are not parallel"
    return None


def _unit(direction: np.ndarray) -> Vector:
    return _vector(direction / np.linalg.norm(direction))


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
