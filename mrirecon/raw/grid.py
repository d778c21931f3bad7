"""The k-space grid, the image matrix and the encoding centre: header against readouts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.header import Encoding, Limits
from mrirecon.raw.oversampling import center_recorded, required_size, windows
from mrirecon.raw.readouts import Heads

Shape = tuple[int, int]
CENTER_LINE = 5
"""``idx.user[5]`` is Siemens' KSpaceCentreLineNo."""


@dataclass(frozen=True)
class Grid:
    """Where readouts go and what image they make.

    Attributes:
        full: Samples along the oversampled readout.
        shape: k-space ``(h, w)`` without readout oversampling.
        center: Value of ``kspace_encode_step_1`` that encodes k = 0.
        recorded: Whether ``center_sample`` can be believed.
        canvas: Size to which the image is interpolated before it is cropped.
        matrix: Size ``(y, x)`` of the image.
        voxel: Pixel spacing along y and x and slice thickness in mm, or None.
        notes: What was noticed, one sentence each.
    """

    full: int
    shape: Shape
    center: int
    recorded: bool
    canvas: Shape
    matrix: Shape
    voxel: tuple[float, float, float] | None
    notes: tuple[str, ...] = ()

    def rows(self, heads: Heads) -> Int64[np.ndarray, "readout"]:
        """Return the phase-encoding index of each line.

        Raises:
            RawDataError: When a line lies outside the grid.
        """
        steps = heads["idx"]["kspace_encode_step_1"].astype(np.int64)
        lines = steps - self.center + self.shape[1] // 2
        outside = (lines < 0) | (lines >= self.shape[1])
        if outside.any():
            raise RawDataError(
                f"{int(outside.sum())} of {len(heads)} lines lie outside k-space: "
                f"kspace_encode_step_1 spans {steps.min()}..{steps.max()}, which with the encoding "
                f"centre {self.center} is {lines.min()}..{lines.max()} of 0..{self.shape[1] - 1} "
                "encoded lines. The header's matrix or centre is wrong; correct the file's XML"
            )
        return lines


def plan_grid(
    encoding: Encoding, heads: Heads, vendor: str | None, center: int | None = None
) -> Grid:
    """Derive the grid of imaging lines from the header and from the readouts themselves.

    A ``center`` that is given replaces whatever the file says.
    """
    notes: list[str] = []
    recorded = center_recorded(heads, encoding.encoded.matrix[0])
    if not recorded:
        notes.append("center_sample is 0 in every readout: the middle is taken as the echo centre.")
    full, h, view_h = _readout(encoding, required_size(windows(heads, recorded)), notes)
    w = encoding.encoded.matrix[1]
    steps = heads["idx"]["kspace_encode_step_1"]
    if w is None:
        w = int(steps.max()) + 1
        notes.append(f"The header has no encoded matrix: {w} lines are taken from the readouts.")
    if center is None:
        center = _center(encoding.limits.get("kspace_encoding_step_1"), heads, vendor, w, notes)
    canvas, matrix, voxel = _image((h, w), view_h, encoding, notes)
    return Grid(full, (h, w), center, recorded, canvas, matrix, voxel, tuple(notes))


def _readout(encoding: Encoding, required: int, notes: list[str]) -> tuple[int, int, float | None]:
    """Return the oversampled size, the size without oversampling, and its field of view in mm."""
    encoded, recon = encoding.encoded, encoding.recon
    size, view, recon_view = encoded.matrix[0], encoded.field_of_view[0], recon.field_of_view[0]
    if size is None:
        size = required
        notes.append(f"The header has no readout matrix: {size} is taken from the readouts.")
    if view is not None and recon_view is not None:
        factor = max(1.0, view / recon_view)
    else:
        factor = 2.0 if size == 2 * (recon.matrix[0] or 0) else 1.0
    base = max(1, round(size / factor))
    pixel = view / size if view is not None else None  # the same with and without oversampling
    if required > 1.5 * size:
        full = 2 * -(-required // 2)
        notes.append(
            f"The readouts need {full} samples, the header's matrix is {size}: they are taken as "
            f"oversampled {full / base:g} times."
        )
    elif factor >= 1.5 and 0.8 * base < required <= 1.02 * base:
        full = max(base, required)
        base = full
        notes.append(
            f"The readouts span {required} samples, the header's oversampled matrix is {size}: "
            "oversampling is taken as removed already."
        )
    else:
        full = max(size, required)
        base = max(1, round(full / factor))
        # the sample spacing is given by the field of view, so more samples make smaller pixels
        pixel = view / full if view is not None else None
        if required > size:
            notes.append(
                f"The readouts need {required} samples, the header's matrix is {size}: the larger "
                "is used."
            )
    return full, base, pixel * base if pixel is not None else None


def _center(
    limits: Limits | None, heads: Heads, vendor: str | None, w: int, notes: list[str]
) -> int:
    told = limits.center if limits else None
    if vendor and "siemens" in vendor.lower():
        # the converter's header centre is half the lines, wrong with partial Fourier
        counted = np.unique(heads["idx"]["user"][:, CENTER_LINE])
        if len(counted) == 1 and 0 < counted[0] < w:
            if told is not None and told != counted[0]:
                notes.append(
                    f"The header says that line {told} is the k-space centre, the readouts say "
                    f"{counted[0]}: the readouts are believed."
                )
            return int(counted[0])
    if told is None:
        notes.append(f"The header has no encoding centre: line {w // 2} of {w} is taken.")
        return w // 2
    return told


def _image(
    grid: Shape, view_h: float | None, encoding: Encoding, notes: list[str]
) -> tuple[Shape, Shape, tuple[float, float, float] | None]:
    """Return canvas, matrix and voxel size: interpolate to the recon voxel, crop to its matrix."""
    recon = encoding.recon
    views = (view_h, encoding.encoded.field_of_view[1])
    canvas, matrix, spacing = list(grid), list(grid), [0.0, 0.0]
    for axis, view in enumerate(views):
        wanted, wanted_view = recon.matrix[axis], recon.field_of_view[axis]
        if view is not None and wanted is not None and wanted_view is not None:
            canvas[axis] = _pixels(view * wanted / wanted_view)
        if wanted is not None:
            matrix[axis] = min(wanted, canvas[axis])
        if wanted is not None and wanted > canvas[axis]:
            notes.append(
                f"The reconstruction matrix along {'yx'[axis]} is {wanted}, the encoded field of "
                f"view holds {canvas[axis]} such pixels: the image has {canvas[axis]}."
            )
        if view is not None:
            spacing[axis] = view / canvas[axis]
    thickness = recon.field_of_view[2] or encoding.encoded.field_of_view[2]
    if recon.matrix[0] is None or recon.matrix[1] is None:
        notes.append("The header has no reconstruction matrix: the image keeps the k-space grid.")
    voxel = None
    if all(spacing) and thickness is not None:
        voxel = (spacing[0], spacing[1], thickness)
    else:
        notes.append("The header has no field of view: voxel sizes are unknown.")
    return (canvas[0], canvas[1]), (matrix[0], matrix[1]), voxel


def _pixels(exact: float) -> int:
    """Return how many reconstruction pixels the encoded field of view holds.

    An odd number stands when the fields of view fit exactly; otherwise the nearest even one
    (Gadgetron's rule), which keeps the centre where it is.
    """
    nearest = round(exact)
    return nearest if nearest and abs(exact - nearest) < 0.01 else max(2, 2 * round(exact / 2))
