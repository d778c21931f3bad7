"""ISMRMRD / MRD version 1: acquisitions in HDF5, as scanner converters write them.

The dataset ``data`` has one chunk per readout, so reading readouts one by one is about fifty times
slower than a selection of many. Headers are read once; the samples of a slice are read together
when the slice is asked for, and nothing but the noise covariance stays in memory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition import CartesianAcquisition, understand
from mrirecon.raw.header import MeasurementHeader, parse_header
from mrirecon.raw.mrd import ACQUISITION_HEADER, NOT_IMAGE_MASK
from mrirecon.raw.readouts import Heads, Index, Readouts, unpack
from mrirecon.readers.base import FileScan, blaming
from mrirecon.readers.hdf5 import contents, looks_like_hdf5, open_hdf5, read, text
from mrirecon.scan import ScanHeader
from mrirecon.types import Sample


@dataclass(frozen=True)
class _Source:
    group: str
    header: MeasurementHeader
    heads: Heads
    notes: tuple[str, ...]


class IsmrmrdScan(FileScan):
    """Cartesian 2-D multi-slice acquisitions of any vendor.

    Raises:
        RawDataError: When the file is damaged, or holds something that is not supported.
    """

    format = "ISMRMRD"
    layout = "a group with 'xml' (the header) and 'data' (acquisitions)"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._loaded: tuple[str, CartesianAcquisition] | None = None
        with blaming(path):
            source = _load(path)
            acquisition = self._understand(source)
            self.header = _scan_header(path.name, source, acquisition)

    @classmethod
    def detect(cls, path: Path) -> bool:
        if not looks_like_hdf5(path):
            return False
        with open_hdf5(path) as file:
            return bool(_groups(file))

    def __getitem__(self, index: int) -> Sample:
        self.check(index)
        with blaming(self.path):
            group, acquisition = self._loaded or self._reload()

            def fetch(numbers: Index) -> Readouts:
                return _fetch(self.path, group, acquisition.heads, numbers)

            sample = acquisition.sample(index, fetch)
        return sample.replace(key=(self.header.name, index))

    def content(self) -> tuple[tuple[str, str], ...]:
        """Count the readouts by what they are for, and give the ranges of their counters."""
        _, acquisition = self._loaded or self._reload()
        kinds, heads = acquisition.kinds, acquisition.heads
        counts = {
            "imaging": len(kinds.imaging),
            "of these embedded calibration": kinds.merged,
            "separate calibration": len(kinds.calibration),
            "noise": len(kinds.noise),
            **kinds.dropped,
        }
        readouts = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        counters = heads["idx"][kinds.imaging]
        ranges = {
            name: (int(counters[name].min()), int(counters[name].max()))
            for name in counters.dtype.names
            if name != "user"
        }
        varying = ", ".join(f"{n} {a}..{b}" for n, (a, b) in ranges.items() if a != b)
        dwell = sorted({float(t) for t in heads["sample_time_us"][kinds.imaging]})
        return (
            ("readouts", readouts),
            ("counters", varying or "none varies"),
            ("dwell time", ", ".join(f"{t:g} us" for t in dwell)),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    def _reload(self) -> tuple[str, CartesianAcquisition]:
        source = _load(self.path)
        return source.group, self._understand(source)

    def _understand(self, source: _Source) -> CartesianAcquisition:
        def fetch(numbers: Index) -> Readouts:
            return _fetch(self.path, source.group, source.heads, numbers)

        acquisition = understand(source.header, source.heads, fetch)
        self._loaded = (source.group, acquisition)
        return acquisition


def _groups(file: h5py.File) -> list[str]:
    """Return the groups that hold acquisitions, the file's root included."""
    names = ["/", *(f"/{name}" for name in file)]
    found = []
    for name in names:
        group = file.get(name)
        if isinstance(group, h5py.Group) and "xml" in group and "data" in group:
            found.append(name)
    return found


def _load(path: Path) -> _Source:
    """Read the header and the heads of the only group, or of the last one with imaging lines."""
    with open_hdf5(path) as file:
        groups = _groups(file)
        if not groups:
            raise RawDataError(f"expected {IsmrmrdScan.layout}; found {contents(file)}")
        chosen, heads = groups[-1], None
        for name in reversed(groups):
            heads = _heads(file[name])
            chosen = name
            if ((heads["flags"] & np.uint64(NOT_IMAGE_MASK)) == 0).any():
                break
        notes: tuple[str, ...] = ()
        if len(groups) > 1:
            notes = (
                f"Of the measurements {', '.join(groups)} the last one with imaging lines was "
                f"read: {chosen}.",
            )
        header = parse_header(text(read(file[chosen]["xml"])))
        assert heads is not None
        return _Source(chosen, header, heads, notes)


def _heads(group: h5py.Group) -> Heads:
    data = group["data"]
    names = data.dtype.names if isinstance(data, h5py.Dataset) else None
    if names is None or not {"head", "data"} <= set(names) or data.ndim != 1:
        raise RawDataError(
            f"'{group.name}/data' is {getattr(data, 'dtype', 'a group')}, expected a list of "
            "acquisitions with the fields head, traj, data"
        )
    stored = data.dtype["head"].names or ()
    missing = [name for name in ACQUISITION_HEADER.names or () if name not in stored]
    if missing:
        raise RawDataError(
            f"the acquisition headers lack {', '.join(missing)}; expected ISMRMRD version 1"
        )
    if not len(data):
        raise RawDataError(f"'{data.name}' has no readouts; the acquisition was empty or aborted")
    return _by_name(read(data.fields("head")), ACQUISITION_HEADER)


def _by_name(records: np.ndarray, wanted: np.dtype) -> np.ndarray:
    """Convert a structured array field by field; numpy's ``astype`` would go by position."""
    if records.dtype == wanted:
        return records
    result = np.zeros(records.shape, wanted)
    for name in wanted.names or ():
        if wanted[name].names:
            result[name] = _by_name(records[name], wanted[name])
        else:
            result[name] = records[name]
    return result


def _fetch(path: Path, group: str, heads: Heads, numbers: Index) -> Readouts:
    with open_hdf5(path) as file:
        data = read(file[group]["data"].fields("data"), numbers)
    return unpack(heads[numbers], list(data), numbers)


def _scan_header(name: str, source: _Source, acquisition: CartesianAcquisition) -> ScanHeader:
    header, grid = source.header, acquisition.grid
    return ScanHeader(
        name=name,
        format=IsmrmrdScan.format,
        slices=len(acquisition.stack.order),
        coils=acquisition.coils,
        grid=grid.shape,
        canvas=grid.canvas,
        matrix=grid.matrix,
        voxel=grid.voxel,
        geometry=acquisition.stack.geometry,
        subject=header.subject,
        acquisition=header.protocol or "",
        sequence=header.sequence,
        whitened=acquisition.whitening is not None,
        notes=(*source.notes, *acquisition.notes),
    )
