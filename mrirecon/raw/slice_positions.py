"""Positions of slices, from the headers of their readouts."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from mrirecon.geometry import Geometry, Vector
from mrirecon.raw.kspace_grid import Axis, Grid
from mrirecon.raw.readouts import Heads
from mrirecon.raw.stacks import TURNED, divide

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
        order: Value of the slice counter of each slice, stack by stack, sorted by position.
        geometry: Positions in that order; None when the headers do not tell, or ``stacks`` does.
        stacks: The same of each stack when the slices are several, else empty.
        notes: Notes about what was noticed, one sentence each.
    """

    order: tuple[int, ...]
    geometry: Geometry | None
    stacks: tuple[Geometry, ...] = ()
    notes: tuple[str, ...] = ()

    def numbered(
        self, frame: Int64[np.ndarray, "_"], slice_: np.ndarray
    ) -> tuple[Int64[np.ndarray, "_"], int]:
        """Return the number of each readout's plane, ``frame * slices + slice``, and the slices.

        Args:
            frame: Number of the frame of each readout.
            slice_: Value of the slice counter of each readout.
        """
        rank = np.zeros(max(self.order) + 1, np.int64)
        rank[list(self.order)] = np.arange(len(self.order))
        return frame * len(self.order) + rank[slice_], len(self.order)


def slice_stack(heads: Heads) -> SliceStack:
    """Order slices along ``slice_dir``, which undoes any interleave, and keep their positions.

    Slices of several orientations, or in groups apart from one another, are several stacks.
    ``position`` is the centre of the slice: with centred transforms the point of pixel
    ``(y // 2, x // 2)``. ``patient_table_position`` is not added: vendors disagree on its unit.
    """
    counters, first = np.unique(heads["idx"]["slice"], return_index=True)
    order = tuple(int(counter) for counter in counters)
    one = heads[first]
    directions = np.stack(
        [one[name].astype(np.float64) for name in ("read_dir", "phase_dir", "slice_dir")], axis=1
    )
    positions = one["position"].astype(np.float64)
    problem = _problem(directions, positions)
    if problem:
        return SliceStack(order, None, notes=(UNKNOWN.format(problem),))
    groups = divide(directions, positions)
    if groups is None:
        problem = "Several slices have the same position"
        return SliceStack(order, None, notes=(UNKNOWN.format(problem),))
    sequence = np.concatenate(groups)
    notes = _moved(heads, one["position"], counters)
    if (sequence != np.arange(len(order))).any():
        notes.append("Slices were not stored in the order of their positions and were sorted.")
    stacks = tuple(_geometry(directions[group], positions[group]) for group in groups)
    for stack in stacks:
        notes += _irregular(stack)
    order = tuple(order[i] for i in sequence)
    if len(stacks) == 1:
        return SliceStack(order, stacks[0], notes=tuple(notes))
    turned = any(
        np.abs(directions[a[0]] - directions[b[0]]).max() > TURNED for a, b in pairwise(groups)
    )
    notes.append(
        f"The slices are {len(stacks)} stacks of {' + '.join(str(len(g)) for g in groups)} slices, "
        f"{'of several orientations' if turned else 'apart from one another'}: each becomes a "
        "series of its own (_stack-1, …)."
    )
    return SliceStack(order, None, stacks, tuple(notes))


def _moved(heads: Heads, positions: np.ndarray, counters: np.ndarray) -> list[str]:
    rank = np.searchsorted(counters, heads["idx"]["slice"])
    moved = np.abs(heads["position"] - positions[rank]).max()
    if not moved > MOVED:
        return []
    return [
        f"The position of a slice changes by up to {moved:.1f} mm between its readouts "
        "(motion correction?): the first is used."
    ]


def _irregular(stack: Geometry) -> list[str]:
    if stack.regular:
        return []
    gaps = np.linalg.norm(np.diff(np.asarray(stack.positions), axis=0), axis=1)
    return [
        f"Slice distances differ ({gaps.min():.2f} to {gaps.max():.2f} mm), or the slices are not "
        "stacked along their normal: no affine matrix tells where they lie. NIfTI and HDF5 do not "
        "claim to know it (code 0); DICOM and MRD images keep the position of each slice."
    ]


def _geometry(
    directions: Float64[np.ndarray, "slice axis 3"], positions: Float64[np.ndarray, "slice 3"]
) -> Geometry:
    left, _, right = np.linalg.svd(directions[0])  # the nearest orthonormal axes: float32 is not
    row, column, normal = (_vector(axis) for axis in left @ right)
    return Geometry(tuple(_vector(position) for position in positions), row, column, normal)


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
    return SliceStack(slab.order, geometry, notes=slab.notes)


def partition_stack(heads: Heads, axis: Axis) -> SliceStack:
    """Return the slices of a slab whose partitions were Fourier transformed.

    ``position`` is the centre of the slab; the slices follow one another along ``slice_dir``.
    """
    slab = slice_stack(heads)
    order = slab.order[:1]
    if slab.geometry is None or axis.spacing is None or len(slab.geometry.positions) != 1:
        return SliceStack(order, None, notes=slab.notes)
    whole = slab.geometry
    center, step = np.asarray(whole.positions[0]), np.asarray(whole.slice_direction)
    offsets = (np.arange(axis.matrix) - axis.matrix // 2) * axis.spacing
    geometry = replace(whole, positions=tuple(_vector(center + z * step) for z in offsets))
    return SliceStack(order, geometry, notes=slab.notes)


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
    return None


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
