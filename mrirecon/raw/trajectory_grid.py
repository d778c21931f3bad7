"""The image that readouts along a trajectory make."""

from dataclasses import dataclass

from mrirecon.geometry import Vector
from mrirecon.raw.kspace_grid import Axis, Shape


@dataclass(frozen=True)
class TrajectoryGrid:
    """The image that readouts along a trajectory make.

    Attributes:
        shape: Size ``(h, w)`` of the image that is computed.
        canvas: Size to which it is interpolated before it is cropped.
        matrix: Size ``(y, x)`` of the image that is written.
        spacing: Distance of the pixels in mm; None when unknown.
        thickness: Thickness of the slices in mm; None when unknown.
        partition: The partitions of a slab, else None.
    """

    shape: Shape
    canvas: Shape
    matrix: Shape
    spacing: float | None
    thickness: float | None
    partition: Axis | None = None

    @property
    def voxel(self) -> Vector | None:
        """Pixel spacing along y and x and distance of the slices in mm, or None."""
        depth = self.thickness if self.partition is None else self.partition.spacing
        if self.spacing is None or depth is None:
            return None
        return self.spacing, self.spacing, depth
