"""The image that readouts along a trajectory make: the header against how far they reach."""

from dataclasses import dataclass

from mrirecon.errors import RawDataError
from mrirecon.raw.header import Encoding
from mrirecon.raw.kspace_grid import Axis, refuse_absurd
from mrirecon.raw.readouts import Heads
from mrirecon.raw.trajectory_grid import TrajectoryGrid
from mrirecon.raw.trajectory_units import (
    Extent,
    Placed,
    image_size,
    placed_by_extent,
    placed_by_matrix,
)
from mrirecon.read_options import ReadOptions


@dataclass(frozen=True)
class Imaged:
    """The image of a trajectory.

    Attributes:
        grid: Image that readouts make.
        factor: Cycles per field of view in one of the units of the stored places.
        pixels: Pixels that the field of view has in the resolution of k-space.
    """

    grid: TrajectoryGrid
    factor: float
    pixels: float


@dataclass(frozen=True)
class _Told:
    """What the header tells of the image.

    Attributes:
        size: Pixels along x and y, as long as wide.
        pixels: Pixels that the larger of the fields of view has in the resolution of k-space.
        view: The larger of the fields of view in mm; None when unknown.
    """

    size: tuple[int, int]
    pixels: float
    view: float | None


def image_of(
    encoding: Encoding,
    imaging: Heads,
    reading: ReadOptions,
    extent: Extent | None,
    axis: Axis | None,
) -> tuple[Imaged, list[str]]:
    """Decide which image readouts make, and the unit of their places.

    Args:
        encoding: Encoding of the readouts, as the header tells it.
        imaging: Headers of the readouts.
        reading: Read options, which override the header.
        extent: Extent of the stored trajectory; None when it is made by a name.
        axis: Partitions of a slab, else None.

    Returns:
        The image, and notes about what was found.

    Raises:
        RawDataError: When the unit of the trajectory is not clear.
    """
    told, notes = _told(encoding, imaging, reading, extent)
    if told is None:
        assert extent is not None
        placed = placed_by_extent(extent, reading.trajectory_unit, reading.matrix)
        told = _Told((placed.matrix, placed.matrix), placed.matrix, None)
    elif extent is None:
        placed = Placed(1.0, max(told.size), ())
    else:
        placed = placed_by_matrix(
            extent, max(told.size), told.pixels, told.view, reading.trajectory_unit
        )
    size = max(told.size) if reading.matrix is None else reading.matrix
    matrix = told.size if reading.matrix is None else (size, size)
    reach = told.pixels / 2 if extent is None else extent.reach * placed.factor
    grid = image_size(size, reach)
    refuse_absurd("image", size, grid + int(2 * reach))
    notes += placed.notes
    if grid != size:
        notes.append(
            f"The trajectory reaches beyond the k-space of {size} pixels: images are computed with "
            f"{grid}."
        )
    thickness = encoding.recon.field_of_view[2] or encoding.encoded.field_of_view[2]
    spacing = None if told.view is None else told.view / size
    if spacing is None:
        notes.append("The header has no field of view: voxel sizes are unknown.")
    image = TrajectoryGrid((grid, grid), (size, size), matrix, spacing, thickness, axis)
    return Imaged(image, placed.factor, told.pixels), notes


def _told(
    encoding: Encoding, imaging: Heads, reading: ReadOptions, extent: Extent | None
) -> tuple[_Told | None, list[str]]:
    """Return what the header tells of the image; None when that is to be found by the extent.

    Raises:
        RawDataError: When neither tells.
    """
    encoded, recon = encoding.encoded, encoding.recon
    x, y = recon.matrix[0] or recon.matrix[1], recon.matrix[1] or recon.matrix[0]
    view = recon.field_of_view[0] or recon.field_of_view[1]
    note = "The header has no reconstruction matrix: "
    if x is None or y is None:
        if extent is not None and view is None:
            return None, [f"{note}the image is that of the trajectory."]
        size = reading.matrix or encoded.matrix[0]
        if size is None:
            size = int(imaging["number_of_samples"].max())
        return _Told((size, size), size, view or encoded.field_of_view[0]), [
            f"{note}{size} x {size} pixels are taken."
        ]
    notes = []
    spacing = None if view is None else view / x
    if spacing is not None and recon.field_of_view[1] is not None:
        whole = max(1, round(recon.field_of_view[1] / spacing))
        if whole != y:
            notes.append(
                f"The header's pixels are longer than wide: the image of a trajectory has square "
                f"ones, {x} x {whole} of them."
            )
            y = whole
    largest = max(x, y)
    pixels = float(largest)
    if encoded.matrix[0] and encoded.field_of_view[0] and view:
        pixels = min(pixels, encoded.matrix[0] * view / encoded.field_of_view[0] * largest / x)
    if pixels < 2:
        raise RawDataError(
            f"the header's matrices and fields of view leave {pixels:.2g} pixels; correct the "
            "file's XML"
        )
    return _Told((x, y), pixels, None if spacing is None else spacing * largest), notes
