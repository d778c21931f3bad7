"""Scans: what a raw file becomes, a read-only sequence of Samples with a header.

Coordinates are those of DICOM and ISMRMRD: LPS (left, posterior, superior), millimetres.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from jaxtyping import Float64

from mrirecon.geometry import Geometry, Vector
from mrirecon.sampling.sampled_plane import SampledPlane

if TYPE_CHECKING:  # importing torch takes longer than telling what a file holds
    import mrirecon.types


@dataclass(frozen=True)
class SequenceParameters:
    """How the contrast was made; None where the file does not tell.

    Attributes:
        repetition_time: Repetition time in ms.
        echo_time: Echo time in ms.
        inversion_time: Inversion time in ms.
        flip_angle: Flip angle in degrees.
        field_strength: Field strength in T.
        dwell_time: Sampling interval of the readout in µs, oversampling included.
        imaging_frequency: Imaging (Larmor) frequency in MHz.
        echo_train_length: Echoes per excitation.
        acceleration: The protocol's undersampling factor along the phase encoding.
        frame_interval: Seconds from one repetition to the next.
        velocity_encoding: Velocity in cm/s that turns the phase by half a turn (venc).
    """

    repetition_time: float | None = None
    echo_time: float | None = None
    inversion_time: float | None = None
    flip_angle: float | None = None
    field_strength: float | None = None
    dwell_time: float | None = None
    imaging_frequency: float | None = None
    echo_train_length: int | None = None
    acceleration: float | None = None
    frame_interval: float | None = None
    velocity_encoding: float | None = None


@dataclass(frozen=True, order=True)
class Frame:
    """One of the volumes of a scan, by the counters that tell it from the others.

    Attributes:
        contrast: Number of the echo, from 0.
        set: Number of the set, for instance of a flow encoding, from 0.
        phase: Number of the cardiac or respiratory phase, from 0.
        repetition: Number of the repetition, from 0.
    """

    contrast: int = 0
    set: int = 0
    phase: int = 0
    repetition: int = 0

    def __str__(self) -> str:
        counters = ("contrast", "set", "phase", "repetition")
        return ", ".join(f"{name} {getattr(self, name)}" for name in counters)


@dataclass(frozen=True)
class ScanHeader:
    """What a raw file tells without its k-space having to be processed.

    Attributes:
        name: File name with its suffix, after the folders between it and that of its data set, as
            in ``P001/cine_lax.mat``; seeds masks and is the key of Samples.
        format: Format that the file was recognised as, for instance ``ISMRMRD``.
        slices: Number of planes of one frame: slices, or cuts through a 3-D scan.
        coils: Number of receive channels.
        grid: Size ``(h, w)`` of the Samples' k-space, readout oversampling removed.
        canvas: Size to which the image is interpolated before it is cropped; equals ``grid``
            unless the reconstruction voxel differs from the encoded one.
        matrix: Size ``(y, x)`` of the reconstructed image, cut out of the canvas.
        voxel: Pixel spacing along y and x, and slice thickness, in mm; None when unknown.
        geometry: Position and orientation; None when the file does not tell, or ``stacks`` does.
        stacks: Geometry of each stack when the slices are several (groups apart from one another,
            orientations), in the order of the slices; empty for a single one. Each becomes a series
            of its own.
        subject: Pseudonym of the patient, else the first of those folders; splits never share one.
        acquisition: Name of the protocol or contrast, as the file gives it.
        sequence: Sequence parameters; the echo time is that of the first contrast.
        echo_times: Echo time in ms of each contrast, as far as the file tells.
        vendor: Manufacturer of the scanner.
        model: Model of the scanner.
        patient_position: How the patient lay, for instance ``HFS``.
        frames: The volumes of the scan, in the order in which its Samples come.
        volumetric: The planes are cuts perpendicular to the readout of a 3-D scan, their axes
            ``h w`` its two phase encodings; :meth:`as_slices` turns such volumes around.
        whitened: Whether the coils' noise is white with unit variance per real component.
        notes: Notes for the user about how this file was read, one sentence each.
    """

    name: str
    format: str
    slices: int
    coils: int
    grid: tuple[int, int]
    canvas: tuple[int, int]
    matrix: tuple[int, int]
    voxel: Vector | None = None
    geometry: Geometry | None = None
    stacks: tuple[Geometry, ...] = ()
    subject: str | None = None
    acquisition: str = ""
    sequence: SequenceParameters = SequenceParameters()
    echo_times: tuple[float, ...] = ()
    vendor: str = ""
    model: str = ""
    patient_position: str | None = None
    frames: tuple[Frame, ...] = (Frame(),)
    volumetric: bool = False
    whitened: bool = False
    notes: tuple[str, ...] = ()

    @property
    def located(self) -> bool:
        """Whether :meth:`affine` tells where the slices lie in the patient."""
        return self.geometry is not None and self.geometry.regular

    def parts(self) -> tuple[range, ...]:
        """Return the slices of each stack."""
        parts, start = [], 0
        for stack in self.stacks:
            parts.append(range(start, start + len(stack.positions)))
            start = parts[-1].stop
        return tuple(parts) or (range(self.slices),)

    def as_slices(self) -> "ScanHeader":
        """Describe a 3-D scan as slices along its second phase encoding, not along the readout.

        A volume ``(x, y, z)`` of planes becomes ``(z, x, y)``: rows go along the readout, as in a
        2-D scan.
        """
        y, z = self.matrix
        voxel, geometry = None, None
        if self.voxel is not None:
            dy, dz, dx = self.voxel
            voxel = (dx, dy, dz)
        if self.geometry is not None:
            geometry = self.geometry.across(z, 1.0 if voxel is None else voxel[2])
        matrix = (self.slices, y)
        return replace(
            self, slices=z, grid=matrix, canvas=matrix, matrix=matrix,
            voxel=voxel, geometry=geometry, volumetric=False,
        )  # fmt: skip

    def affine(self) -> Float64[np.ndarray, "4 4"]:
        """Return the NIfTI affine (RAS mm) of a volume indexed ``(x, y, slice)``.

        The third column is the step between neighbouring slice *positions*, so gaps count. When the
        slices are not :attr:`located`, voxel sizes stand on the diagonal.
        """
        dy, dx, dz = self.voxel or (1.0, 1.0, 1.0)
        y, x = self.matrix
        affine = np.eye(4)
        if self.geometry is None or not self.geometry.regular:
            affine[:3, :3] = np.diag([dx, dy, dz])
            affine[:3, 3] = [-dx * (x // 2), -dy * (y // 2), -dz * ((self.slices - 1) / 2)]
            return affine
        row, column, normal = (
            np.asarray(direction, float)
            for direction in (
                self.geometry.row_direction,
                self.geometry.column_direction,
                self.geometry.slice_direction,
            )
        )
        first, step = np.asarray(self.geometry.positions[0], float), self.geometry.step
        affine[:3, 0], affine[:3, 1] = column * dx, row * dy
        affine[:3, 2] = normal * (dz if step is None else step)
        affine[:3, 3] = first - column * dx * (x // 2) - row * dy * (y // 2)
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


class Scan(ABC):
    """A read-only, lazy, picklable sequence of slices; ``scan[i]`` is a complete Sample.

    The slices of the first frame come first, then those of the second, and so on. What the header
    tells about a slice (level of the noise, protocol, field of view) is part of its Sample.

    A Scan keeps no file open between calls, so that DataLoader workers may share it. A format
    implements :meth:`_read`.

    Attributes:
        header: What is known of the whole scan.
        redrawn: Whether its slices are others in each epoch of a training.
    """

    header: ScanHeader
    redrawn: bool = False

    @final
    def __getitem__(self, index: int) -> "mrirecon.types.Sample":
        """Return slice ``index`` as it was acquired.

        Raises:
            IndexError: When ``index`` is outside ``range(len(self))``.
        """
        return self._read(index).completed(**_told(self.header, index))

    @final
    def stored(self, index: int) -> "mrirecon.types.Sample":
        """Return a slice for :func:`~mrirecon.half_precision.widened`: k-space may be complex32."""
        return self._read_stored(index).completed(**_told(self.header, index))

    @abstractmethod
    def _read(self, index: int) -> "mrirecon.types.Sample":
        """Return what the file holds of slice ``index``; the header's part may be left out."""

    def _read_stored(self, index: int) -> "mrirecon.types.Sample":
        return self._read(index)

    def sampled(self, index: int) -> SampledPlane:
        """Tell how slice ``index`` was sampled, as its Sample does.

        A format that knows it from headers and masks spares its users the Sample.
        """
        from mrirecon.sampling.sampled_readouts import sampled_plane_of  # torch, as Samples are

        return sampled_plane_of(self[index])

    def noise_correlation(self) -> Float64[np.ndarray, "coil coil"] | None:
        """Return the magnitude of the coils' noise correlation; None when it is not known."""
        return None

    def __len__(self) -> int:
        return self.header.slices * len(self.header.frames)

    def __iter__(self) -> "Iterator[mrirecon.types.Sample]":
        return (self[index] for index in range(len(self)))


def _told(header: ScanHeader, index: int) -> dict[str, Any]:
    """Return what the header tells about a plane, for :meth:`mrirecon.types.Sample.completed`."""
    sizes = zip(header.grid, header.canvas, header.matrix, strict=True)
    frame = index // header.slices
    return {
        "key": (header.name, index),
        "region": [min(n, round(n * kept / canvas)) for n, canvas, kept in sizes],
        "frame": frame,
        "protocol": vars(protocol_of(header, frame)),
        "white": header.whitened,
    }


def protocol_of(header: ScanHeader, frame: int = 0) -> SequenceParameters:
    """Return how the contrast of a frame was made: each echo has its own echo time."""
    contrast = header.frames[frame].contrast
    if contrast < len(header.echo_times):
        return replace(header.sequence, echo_time=header.echo_times[contrast])
    return header.sequence
