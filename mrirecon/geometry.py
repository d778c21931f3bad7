"""Where slices lie in the patient: LPS (left, posterior, superior), millimetres."""

from dataclasses import dataclass

import numpy as np

Vector = tuple[float, float, float]
STRAIGHT = 0.1
"""mm by which a slice may miss its place in a stack of equal steps along the normal."""


@dataclass(frozen=True)
class Geometry:
    """Where a stack of parallel slices lies in the patient.

    Attributes:
        positions: Centre of each slice in LPS mm: the point that pixel ``(y // 2, x // 2)`` shows.
        row_direction: Unit vector along increasing ``y`` (readout).
        column_direction: Unit vector along increasing ``x`` (phase encoding).
        slice_direction: Unit vector normal to the slices.
    """

    positions: tuple[Vector, ...]
    row_direction: Vector
    column_direction: Vector
    slice_direction: Vector

    @property
    def step(self) -> float | None:
        """The distance of neighbouring slices along the normal in mm, with its sign.

        None for a single slice, and when the slices are no straight stack of equal steps.
        """
        places = np.asarray(self.positions, float) - self.positions[0]
        count, normal = len(places), np.asarray(self.slice_direction, float)
        if count < 2:
            return None
        step = float(places[-1] @ normal) / (count - 1)
        off = np.linalg.norm(places - np.arange(count)[:, None] * step * normal, axis=1)
        return step if off.max() <= STRAIGHT and abs(step) > off.max() else None

    @property
    def regular(self) -> bool:
        """Whether one affine matrix tells where all slices lie."""
        return len(self.positions) == 1 or self.step is not None

    def across(self, count: int, step: float) -> "Geometry":
        """Return slices perpendicular to these, one after the other along their columns.

        Args:
            count: Number of slices.
            step: Distance of neighbouring ones in mm.
        """
        center = np.asarray(self.positions[len(self.positions) // 2])
        along = np.asarray(self.column_direction) * step
        return Geometry(
            positions=tuple(_vector(center + along * (i - count // 2)) for i in range(count)),
            row_direction=self.slice_direction,
            column_direction=self.row_direction,
            slice_direction=self.column_direction,
        )


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
