"""The base of all formats of single readouts: from their headers to a Scan.

A format of this kind only says where the header, the readouts' heads and their samples are; what
they mean is understood in :mod:`mrirecon.raw`.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition_plan import plan_acquisition
from mrirecon.raw.cartesian_acquisition import CartesianAcquisition, Planes
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.readouts import Heads, Index, Readouts
from mrirecon.raw.summary import summary
from mrirecon.raw.whitening import NoiseScan
from mrirecon.read_options import ReadOptions
from mrirecon.readers.base import FileScan, blaming
from mrirecon.scan import ScanHeader, SequenceParameters
from mrirecon.types import Sample


@dataclass(frozen=True)
class Measurement:
    """One measurement of a file, of which only headers have been read.

    Attributes:
        name: Place of the measurement in the file, for instance an HDF5 group.
        header: Header of the measurement as a whole.
        heads: Headers of all readouts.
        noise: Noise scan that was found elsewhere in the file; used when the measurement has none.
        notes: Notes for the user about the choice of this measurement, one sentence each.
    """

    name: str
    header: MeasurementHeader
    heads: Heads
    noise: NoiseScan | None = None
    notes: tuple[str, ...] = ()


class AcquisitionScan(FileScan):
    """A Cartesian acquisition made of single readouts.

    A slice of a 2-D scan is read when it is asked for. Of a 3-D scan the whole frame is read and
    kept, because its planes lie across all readouts.
    """

    choices: ClassVar[tuple[str, ...]] = ("measurement", "noise", "center", "fourier_sign")
    formats: ClassVar[list[type["AcquisitionScan"]]] = []
    """All that are known: a noise scan may be in a file of another format than the images."""

    def __init_subclass__(cls) -> None:
        AcquisitionScan.formats.append(cls)

    def __init__(self, path: Path, reading: ReadOptions | None = None) -> None:
        super().__init__(path, reading)
        self._loaded: tuple[Measurement, CartesianAcquisition] | None = None
        self._planes: tuple[int, Planes] | None = None
        self.watch(p for p in map(Path, filter(None, [self.reading.noise])) if p.is_file())
        with blaming(path):
            measurement, acquisition = self._load()
            self.header = _scan_header(path.name, self.format, measurement, acquisition)

    @abstractmethod
    def measurement(self) -> Measurement:
        """Read the headers of the measurement that ``reading`` chooses.

        Raises:
            RawDataError: When the file is damaged or has no such measurement.
        """

    @abstractmethod
    def fetch(self, measurement: Measurement, numbers: Index) -> Readouts:
        """Read the readouts with the given numbers, in that order.

        Raises:
            RawDataError: When they cannot be read.
        """

    @classmethod
    @abstractmethod
    def noise_scan(cls, path: Path) -> NoiseScan | None:
        """Return the last noise scan in a file of this format, or None when there is none."""

    def _read(self, index: int) -> Sample:
        self.check(index)
        with blaming(self.path):
            measurement, acquisition = self._loaded or self._load()

            def fetch(numbers: Index) -> Readouts:
                return self.fetch(measurement, numbers)

            frame, place = divmod(index, self.header.slices)
            if not self.header.volumetric:
                sample = acquisition.slice(frame, place, fetch)
            else:
                if self._planes is None or self._planes[0] != frame:
                    self._planes = None  # frees the memory before more is taken
                    self._planes = (frame, acquisition.volume(frame, fetch))
                sample = acquisition.plane(self._planes[1], place)
        return sample.replace(key=(self.header.name, index))

    def content(self) -> tuple[tuple[str, str], ...]:
        """Tell what the readouts are for, and what was observed against the header."""
        measurement, acquisition = self._loaded or self._load()
        return summary(measurement.header, acquisition)

    def noise_correlation(self) -> Float64[np.ndarray, "coil coil"] | None:
        """Return the correlation that whitening removed; None without a noise scan."""
        _, acquisition = self._loaded or self._load()
        if acquisition.whitening is None:
            return None
        root = np.linalg.pinv(acquisition.whitening.astype(np.complex128))
        covariance = np.abs(root @ root.conj().T)
        deviation = np.sqrt(np.diag(covariance))
        deviation = np.where(deviation > 0, deviation, 1.0)  # a channel that was switched off
        return covariance / np.outer(deviation, deviation)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None, "_planes": None}

    def _load(self) -> tuple[Measurement, CartesianAcquisition]:
        self.refuse_changed()
        measurement = self.measurement()
        told = _noise_of(Path(self.reading.noise)) if self.reading.noise else None
        acquisition = plan_acquisition(
            measurement.header,
            measurement.heads,
            lambda numbers: self.fetch(measurement, numbers),
            noise=told or measurement.noise,
            center=self.reading.center,
            fourier_sign=self.reading.fourier_sign,
        )
        if told and acquisition.whitening is None:
            reason = next(note for note in acquisition.notes if "not whitened" in note)
            raise RawDataError(f"reading.noise={self.reading.noise} cannot be used. {reason}")
        self._loaded = (measurement, acquisition)
        return self._loaded


def _noise_of(path: Path) -> NoiseScan:
    """Return the noise scan of another file, of any format that has some."""
    if not path.is_file():
        raise RawDataError(f"reading.noise={path}: no such file (working folder: {Path.cwd()})")
    for reader in AcquisitionScan.formats:
        if reader.detect(path):
            with blaming(path):
                found = reader.noise_scan(path)
            if found is not None:
                return found
            raise RawDataError(f"{path}: holds no readouts flagged as noise; expected a noise scan")
    raise RawDataError(f"{path}: is no file of acquisitions; expected one with a noise scan")


def _scan_header(
    name: str, format_: str, measurement: Measurement, acquisition: CartesianAcquisition
) -> ScanHeader:
    header, grid = measurement.header, acquisition.grid
    return ScanHeader(
        name=name,
        format=format_,
        slices=acquisition.slices,
        coils=acquisition.coils,
        grid=grid.shape,
        canvas=grid.canvas,
        matrix=grid.matrix,
        voxel=grid.voxel,
        geometry=acquisition.stack.geometry,
        stacks=acquisition.stack.stacks,
        subject=header.subject,
        acquisition=header.protocol or "",
        sequence=_sequence(header, acquisition),
        echo_times=header.echo_times,
        vendor=header.vendor or "",
        model=header.model or "",
        patient_position=header.patient_position,
        frames=acquisition.frames,
        volumetric=grid.partition is not None,
        whitened=acquisition.white,
        notes=(*measurement.notes, *acquisition.notes),
    )


def _sequence(header: MeasurementHeader, acquisition: CartesianAcquisition) -> SequenceParameters:
    """Add what only the readouts, or the encoding that they use, tell."""
    lines = acquisition.heads[acquisition.kinds.imaging]
    encoding = header.encodings[int(lines["encoding_space_ref"][0])]
    dwell = float(np.median(lines["sample_time_us"]))
    return replace(
        header.sequence,
        dwell_time=dwell if dwell > 0 else None,
        echo_train_length=encoding.echo_train_length,
        acceleration=encoding.acceleration[0],
        frame_interval=acquisition.frame_interval(header.vendor),
    )
