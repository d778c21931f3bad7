"""Positions of a volume's pixels, as the formats with scanner coordinates want them told."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mrirecon.scan import ScanHeader

OBLIQUE = np.sin(np.deg2rad(15))
"""A direction is named by every axis of the patient that it leans towards by more than this."""


@dataclass(frozen=True)
class SlicePlace:
    """One slice in patient coordinates, LPS mm; an arbitrary axial stack without geometry.

    Attributes:
        center: Position of the pixel ``(y // 2, x // 2)``.
        corner: Position of the pixel ``(0, 0)``.
        along_x: Unit vector of increasing x.
        along_y: Unit vector of increasing y.
        normal: Unit vector from slice to slice.
    """

    center: Float64[np.ndarray, "3"]
    corner: Float64[np.ndarray, "3"]
    along_x: Float64[np.ndarray, "3"]
    along_y: Float64[np.ndarray, "3"]
    normal: Float64[np.ndarray, "3"]


def slice_place(header: ScanHeader, index: int) -> SlicePlace:
    """Return where slice ``index`` is; each where it was measured, also when spacing varies."""
    dy, dx, _ = header.voxel or (1.0, 1.0, 1.0)
    y, x = header.matrix
    if header.geometry is None:
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ header.affine()
        step_x, step_y, step = (affine[:3, axis] for axis in range(3))
        to_center = step_x * (x // 2) + step_y * (y // 2)
        center = affine[:3, 3] + to_center + index * step
        return SlicePlace(center, center - to_center, *map(_unit, (step_x, step_y, step)))
    along_y, along_x, normal = (
        _unit(np.asarray(direction, float))
        for direction in (
            header.geometry.row_direction,
            header.geometry.column_direction,
            header.geometry.slice_direction,
        )
    )
    center = np.asarray(header.geometry.positions[index], float)
    corner = center - along_x * dx * (x // 2) - along_y * dy * (y // 2)
    return SlicePlace(center, corner, along_x, along_y, normal)


def slice_spacing(header: ScanHeader) -> float | None:
    """Return the distance of neighbouring slices in mm, gaps included; None when it is not one.

    A single slice has none, and slices that are no stack of equal steps. Where the file does not
    tell where slices lie, nothing is invented either.
    """
    step = None if header.geometry is None else header.geometry.step
    return None if step is None else round(abs(step), 6)  # of float32 positions


def edges(header: ScanHeader) -> tuple[str, str, str, str] | None:
    """Name the left, right, top and bottom edge of a slice by R/L, A/P, S/I.

    An oblique edge gets several letters, the nearest axis first. None when geometry is unknown.
    """
    if header.geometry is None:
        return None
    place = slice_place(header, 0)
    right, bottom = place.along_x, place.along_y
    return (_letters(-right), _letters(right), _letters(-bottom), _letters(bottom))


def _letters(direction: Float64[np.ndarray, "3"]) -> str:
    pairs = ("LR", "PA", "SI")  # increasing and decreasing LPS coordinate
    order = np.argsort(-np.abs(direction), kind="stable")
    leaning = (axis for axis in order if abs(direction[axis]) > OBLIQUE)
    return "".join(pairs[axis][int(direction[axis] < 0)] for axis in leaning)


def _unit(vector: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3"]:
    return vector / np.linalg.norm(vector)
