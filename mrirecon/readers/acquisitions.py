"""The base of all formats of single readouts: from their headers to a Scan.

A format of this kind only says where the header, the readouts' heads and their samples are; what
they mean is understood in :mod:`mrirecon.raw`.
"""

from abc import abstractmethod
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float64

from mrirecon.errors import RawDataError
from mrirecon.raw.acquired_scan import AcquiredScan, Measurement
from mrirecon.raw.cartesian_acquisition import CartesianAcquisition
from mrirecon.raw.planning import NO_NOISE
from mrirecon.raw.readouts import Index, Readouts
from mrirecon.raw.summary import summary
from mrirecon.raw.whitening import NoiseScan
from mrirecon.read_options import ALONG_TRAJECTORY, ReadOptions
from mrirecon.readers.base import FileScan, blaming
from mrirecon.sampling.sampled_plane import SampledPlane

if TYPE_CHECKING:
    import mrirecon.types

ELSEWHERE = "With reading.noise=FILE one is taken from another file."


class AcquisitionScan(FileScan):
    """An acquisition made of single readouts, on a Cartesian grid or along a trajectory.

    A slice of a 2-D scan is read when it is asked for. Of a 3-D scan the whole frame is read and
    kept, because its planes lie across all readouts.
    """

    choices: ClassVar[tuple[str, ...]] = (
        "measurement", "noise", "center", "fourier_sign", "trajectory", *ALONG_TRAJECTORY,
    )  # fmt: skip
    formats: ClassVar[list[type["AcquisitionScan"]]] = []
    """All that are known: a noise scan may be in a file of another format than the images."""

    def __init_subclass__(cls) -> None:
        AcquisitionScan.formats.append(cls)

    def __init__(self, path: Path, reading: ReadOptions | None = None) -> None:
        super().__init__(path, reading)
        self._loaded: AcquiredScan | None = None
        beside = [self.reading.noise, self.reading.trajectory]
        self.watch(p for p in map(Path, filter(None, beside)) if p.is_file())
        with blaming(path):
            header = self._load().header
        notes = (f"{one} {ELSEWHERE}" if one.startswith(NO_NOISE) else one for one in header.notes)
        self.header = replace(header, notes=tuple(notes))

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

    def told_to_read(self, measurement: str | int) -> "AcquisitionScan":
        """Return a copy that reads another measurement of the file, even one without an image."""
        other = copy(self)
        other.reading, other._loaded = ReadOptions(measurement=measurement), None
        return other

    def _read(self, index: int) -> "mrirecon.types.Sample":
        self.check(index)
        with blaming(self.path):
            return (self._loaded or self._load())[index]

    def sampled(self, index: int) -> SampledPlane:
        self.check(index)
        with blaming(self.path):
            return (self._loaded or self._load()).sampled(index)

    def content(self) -> tuple[tuple[str, str], ...]:
        """Tell what the readouts are for, and what was observed against the header."""
        loaded = self._loaded or self._load()
        return summary(loaded.measurement.header, loaded.acquisition)

    @property
    def cartesian(self) -> bool:
        """Whether readouts are lines on a Cartesian grid."""
        loaded = self._loaded or self._load()
        return isinstance(loaded.acquisition, CartesianAcquisition)

    def noise_correlation(self) -> Float64[np.ndarray, "coil coil"] | None:
        return (self._loaded or self._load()).noise_correlation()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    def _load(self) -> AcquiredScan:
        self.refuse_changed()
        measurement = self.measurement()
        told = _noise_of(Path(self.reading.noise)) if self.reading.noise else None
        loaded = AcquiredScan(
            self.path.name,
            self.format,
            measurement,
            lambda numbers: self.fetch(measurement, numbers),
            noise=told,
            reading=self.reading,
        )
        if told and loaded.acquisition.whitening is None:
            reason = next(note for note in loaded.header.notes if "not whitened" in note)
            raise RawDataError(f"reading.noise={self.reading.noise} cannot be used. {reason}")
        self._loaded = loaded
        return loaded


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
