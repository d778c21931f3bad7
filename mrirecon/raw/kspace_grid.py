"""The k-space grid, the image matrix and the encoding centres: header against readouts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.header import Encoding, Limits
from mrirecon.raw.oversampling import center_recorded, readout_ranges, required_size
from mrirecon.raw.pixels import wanted_pixels
from mrirecon.raw.readouts import Heads

Shape = tuple[int, int]
STEPS = ("kspace_encode_step_1", "kspace_encode_step_2")
"""Counters of the phase encodings; the header's limits call them ``kspace_encoding_step_n``."""
CENTER_COUNTERS = (5, 6)
"""``idx.user[5]`` and ``[6]`` are Siemens' KSpaceCentreLineNo and KSpaceCentrePartitionNo."""
LARGEST_RATIO = 8
"""A header whose matrix is more times larger than what was measured is taken to be wrong."""
NEVER_TOO_LARGE = 256


@dataclass(frozen=True)
class Axis:
    """One encoded axis.

    Attributes:
        size: Number of k-space samples, readout oversampling removed.
        canvas: Number of pixels to which the image is interpolated before it is cropped.
        matrix: Number of pixels of the image.
        spacing: Distance of the pixels in mm; None when unknown.
        center: Value of the counter that encodes k = 0; of no meaning along the readout.
    """

    size: int
    canvas: int
    matrix: int
    spacing: float | None
    center: int = 0

    def places(self, steps: Int64[np.ndarray, "readout"], counter: str) -> np.ndarray:
        """Return the index on the k-space grid of each value of the counter.

        Raises:
            RawDataError: When one lies outside the grid.
        """
        places = steps - self.center + self.size // 2
        outside = (places < 0) | (places >= self.size)
        if outside.any():
            raise RawDataError(
                f"{int(outside.sum())} of {len(steps)} lines lie outside k-space: "
                f"{counter} spans {steps.min()}..{steps.max()}, which with the encoding centre "
                f"{self.center} is {places.min()}..{places.max()} of 0..{self.size - 1} encoded "
                "lines. The header's matrix or centre is wrong; correct the file's XML, or the "
                "centre with reading.center"
            )
        return places


@dataclass(frozen=True)
class Grid:
    """Where readouts go and what image they make.

    In a 2-D scan a Sample's axes ``h w`` are readout and phase encoding. A 3-D scan is cut into
    planes perpendicular to the readout, so ``h w`` are its two phase encodings.

    Attributes:
        full: Number of samples along the oversampled readout.
        recorded: Whether ``center_sample`` can be believed.
        readout, phase: The axes of a 2-D scan.
        partition: The second phase encoding of a 3-D scan, else None.
        thickness: Thickness of a 2-D scan's slices in mm; None when unknown.
        notes: Notes about what was noticed, one sentence each.
    """

    full: int
    recorded: bool
    readout: Axis
    phase: Axis
    partition: Axis | None = None
    thickness: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def plane(self) -> tuple[Axis, Axis]:
        """The axes ``h w`` of a Sample."""
        return (self.readout, self.phase) if not self.partition else (self.phase, self.partition)

    @property
    def shape(self) -> Shape:
        """Size ``(h, w)`` of a Sample."""
        h, w = self.plane
        return h.size, w.size

    @property
    def canvas(self) -> Shape:
        """Size ``(h, w)`` to which a plane is interpolated before it is cropped."""
        h, w = self.plane
        return h.canvas, w.canvas

    @property
    def matrix(self) -> Shape:
        """Size ``(y, x)`` of a plane's image."""
        h, w = self.plane
        return h.matrix, w.matrix

    @property
    def voxel(self) -> tuple[float, float, float] | None:
        """Pixel spacing along y and x and distance of a volume's planes in mm, or None."""
        h, w = self.plane
        depth = self.thickness if not self.partition else self.readout.spacing
        if h.spacing is None or w.spacing is None or depth is None:
            return None
        return h.spacing, w.spacing, depth

    def places(self, heads: Heads) -> tuple[np.ndarray, np.ndarray]:
        """Return the grid indices of each line along the phase encoding and the partitions.

        Raises:
            RawDataError: When a line lies outside the grid.
        """
        lines = self.phase.places(heads["idx"][STEPS[0]].astype(np.int64), STEPS[0])
        if self.partition is None:
            return lines, np.zeros_like(lines)
        return lines, self.partition.places(heads["idx"][STEPS[1]].astype(np.int64), STEPS[1])


def plan_grid(
    encoding: Encoding, heads: Heads, vendor: str | None, center: int | None = None
) -> Grid:
    """Derive the grid of imaging lines from the header and from the readouts themselves.

    A ``center`` that is given replaces whatever the file says.

    Raises:
        RawDataError: When the header's matrix is absurdly larger than what was measured.
    """
    notes: list[str] = []
    recorded = center_recorded(heads, encoding.encoded.matrix[0])
    if not recorded:
        notes.append("center_sample is 0 in every readout: the middle is taken as the echo centre.")
    required = required_size(readout_ranges(heads, recorded))
    if encoding.encoded.matrix[0] == required - 1:  # an even readout reaches as far either way
        required -= 1  # the one sample beyond the grid is left out
    full, base, view = _readout(encoding, required, notes)
    refuse_absurd("readout", full, required)
    readout = _image_axis(encoding, 0, base, view, 0, notes)
    volumetric = len(np.unique(heads["idx"][STEPS[1]])) > 1
    phase = phase_axis(encoding, 1, heads, vendor, center, notes)
    partition = phase_axis(encoding, 2, heads, vendor, None, notes) if volumetric else None
    thickness = encoding.recon.field_of_view[2] or encoding.encoded.field_of_view[2]
    if encoding.recon.matrix[0] is None or encoding.recon.matrix[1] is None:
        notes.append("The header has no reconstruction matrix: the image keeps the k-space grid.")
    grid = Grid(full, recorded, readout, phase, partition, thickness)
    if grid.voxel is None:
        notes.append("The header has no field of view: voxel sizes are unknown.")
    return Grid(full, recorded, readout, phase, partition, thickness, tuple(notes))


def refuse_absurd(what: str, size: int, measured: int) -> None:
    """Refuse a size that would only waste memory.

    Raises:
        RawDataError: When ``size`` is many times what was measured.
    """
    if size > max(NEVER_TOO_LARGE, LARGEST_RATIO * measured):
        raise RawDataError(
            f"the header's matrix along the {what} has {size} samples, the readouts span "
            f"{measured}: that cannot be right; correct the file's XML header"
        )


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
        if factor >= 1.5:  # the matrix is the base resolution, the field of view is not
            base = max(1, round(full / factor))
            pixel = view / full if view is not None else None
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


def phase_axis(
    encoding: Encoding,
    axis: int,
    heads: Heads,
    vendor: str | None,
    center: int | None,
    notes: list[str],
) -> Axis:
    """Return phase encoding 1, or 2 for the partitions, as header and readouts tell it."""
    steps = heads["idx"][STEPS[axis - 1]]
    low, high = int(steps.min()), int(steps.max())
    span = high - low + 1
    size = encoding.encoded.matrix[axis]
    what = ("lines", "partitions")[axis - 1]
    if size is None:
        limits = encoding.limits.get(f"kspace_encoding_step_{axis}", Limits())
        size = max(high + 1, min((limits.maximum or 0) + 1, 2 * span), 2 * (limits.center or 0))
        notes.append(f"The header has no encoded matrix: {size} {what} are taken from the data.")
    refuse_absurd(("phase encoding", "partitions")[axis - 1], size, span)
    if center is None:
        center = center_line(encoding, axis, heads, vendor, max(size, span), notes)
    needed = max(2 * (center - low), 2 * (high - center) + 1)
    if size < span:
        # a centre that would double the grid is wrong, which is told where lines are placed
        grown = max(span, needed) if needed <= 1.5 * span else span
        notes.append(
            f"The header has {size} {what}, the readouts span {span}: the grid has {grown}, and "
            "the field of view is believed."
        )
        size = grown
    elif size < needed <= (pixels := wanted_pixels(encoding, axis) or 0):
        notes.append(
            f"The header has {size} {what}, as many as were acquired of partial Fourier with k = 0 "
            f"at {center}: the grid has the {pixels} of the image, and the field of view is "
            "believed."
        )
        size = pixels
    return _image_axis(encoding, axis, size, encoding.encoded.field_of_view[axis], center, notes)


def center_line(
    encoding: Encoding, axis: int, heads: Heads, vendor: str | None, size: int, notes: list[str]
) -> int:
    """Return the value of the counter along ``axis`` (1 or 2) that encodes k = 0."""
    limits = encoding.limits.get(f"kspace_encoding_step_{axis}")
    told = limits.center if limits else None
    what = ("line", "partition")[axis - 1]
    if vendor and "siemens" in vendor.lower():
        # the converter's header centre is half the lines, wrong with partial Fourier
        counted = np.unique(heads["idx"]["user"][:, CENTER_COUNTERS[axis - 1]])
        if len(counted) == 1 and 0 < counted[0] < size:
            if told is not None and told != counted[0]:
                notes.append(
                    f"The header says that {what} {told} is the k-space centre, the readouts say "
                    f"{counted[0]}: the readouts are believed."
                )
            return int(counted[0])
    if told is None:
        notes.append(f"The header has no encoding centre: {what} {size // 2} of {size} is taken.")
        return size // 2
    return told


def _image_axis(
    encoding: Encoding, axis: int, size: int, view: float | None, center: int, notes: list[str]
) -> Axis:
    """Interpolate to the reconstruction voxel, crop to its matrix."""
    wanted, canvas = encoding.recon.matrix[axis], size
    if view is not None and (pixels := wanted_pixels(encoding, axis, view)) is not None:
        canvas = pixels
        refuse_absurd(f"image's axis {'xyz'[axis]}", canvas, size)
        refuse_absurd(f"k-space's axis {'xyz'[axis]} for the image's", size, canvas)
    matrix = size if wanted is None else min(wanted, canvas)
    if wanted is not None and wanted > canvas:
        notes.append(
            f"The reconstruction matrix along {'xyz'[axis]} is {wanted}, the encoded field of "
            f"view holds {canvas} such pixels: the image has {canvas}."
        )
    return Axis(size, canvas, matrix, view / canvas if view is not None else None, center)
