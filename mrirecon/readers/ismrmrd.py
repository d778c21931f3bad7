"""ISMRMRD / MRD version 1: acquisitions in HDF5, as scanner converters write them.

The dataset ``data`` has one chunk per readout, so reading readouts one by one is about fifty times
slower than a selection of many. Headers are read once; the samples of a slice are read together
when the slice is asked for, and nothing but the noise covariance stays in memory.
"""

from pathlib import Path

import h5py
import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.header import MeasurementHeader, parse_header
from mrirecon.raw.mrd import ACQUISITION_HEADER, NOT_IMAGE_MASK
from mrirecon.raw.noise import NoiseScan, noise_scan
from mrirecon.raw.readouts import Heads, Index, Readouts, classify, unpack
from mrirecon.readers.acquisitions import AcquisitionScan, Measurement
from mrirecon.readers.hdf5 import contents, looks_like_hdf5, open_hdf5, read, text


class IsmrmrdScan(AcquisitionScan):
    """Cartesian acquisitions of any vendor, converted to ISMRMRD.

    Raises:
        RawDataError: When the file is damaged, or holds something that is not supported.
    """

    format = "ISMRMRD"
    layout = "a group with 'xml' (the header) and 'data' (acquisitions)"

    @classmethod
    def detect(cls, path: Path) -> bool:
        if not looks_like_hdf5(path):
            return False
        with open_hdf5(path) as file:
            return bool(_groups(file))

    def measurement(self) -> Measurement:
        with open_hdf5(self.path) as file:
            groups = _groups(file)
            if not groups:
                raise RawDataError(f"expected {self.layout}; found {contents(file)}")
            name, heads, notes = _choose(file, groups, self.reading.measurement)
            header = _header(file[name])
            kinds = classify(heads, None)
            noise = None
            if not len(kinds.noise):
                noise = _noise_elsewhere(self.path, file, [g for g in groups if g != name])
        return Measurement(name, header, heads, noise, notes)

    def fetch(self, measurement: Measurement, numbers: Index) -> Readouts:
        return _fetch(self.path, measurement.name, measurement.heads, numbers)

    @classmethod
    def noise_scan(cls, path: Path) -> NoiseScan | None:
        """Return the last noise scan in a file, or None when there is none."""
        with open_hdf5(path) as file:
            return _noise_elsewhere(path, file, _groups(file))


def _groups(file: h5py.File) -> list[str]:
    """Return the groups that hold acquisitions, the file's root included."""
    names = ["/", *(f"/{name}" for name in file)]
    found = []
    for name in names:
        group = file.get(name)
        if isinstance(group, h5py.Group) and "xml" in group and "data" in group:
            found.append(name)
    return found


def _named(groups: list[str], chosen: str | int) -> str:
    try:
        return groups[int(chosen)]
    except (ValueError, IndexError):
        name = f"/{str(chosen).strip('/')}"
        if name in groups:
            return name
    raise RawDataError(
        f"there is no measurement {chosen!r}; expected a number or one of {', '.join(groups)} "
        "for reading.measurement"
    )


def _choose(
    file: h5py.File, groups: list[str], wanted: str | int | None
) -> tuple[str, Heads, tuple[str, ...]]:
    """Return the wanted group; else the only one, or of several the last one with imaging lines."""
    if wanted is not None:
        name = _named(groups, wanted)
        return name, _heads(file[name]), ()
    chosen, heads = groups[-1], None
    for name in reversed(groups):
        heads = _heads(file[name])
        chosen = name
        if ((heads["flags"] & np.uint64(NOT_IMAGE_MASK)) == 0).any():
            break
    assert heads is not None
    if len(groups) == 1:
        return chosen, heads, ()
    note = (
        f"Of the measurements {', '.join(groups)} the last one with imaging lines was read: "
        f"{chosen}; reading.measurement chooses another."
    )
    return chosen, heads, (note,)


def _noise_elsewhere(path: Path, file: h5py.File, groups: list[str]) -> NoiseScan | None:
    for name in reversed(groups):
        heads = _heads(file[name])
        numbers = classify(heads, None).noise
        if len(numbers):
            labels = _header(file[name]).coil_labels
            readouts = _fetch(path, name, heads, numbers)
            return noise_scan(readouts, labels, f"measurement {name} of {path.name}")
    return None


def _header(group: h5py.Group) -> MeasurementHeader:
    return parse_header(text(read(group["xml"])))


def _heads(group: h5py.Group) -> Heads:
    data = group["data"]
    names = data.dtype.names if isinstance(data, h5py.Dataset) else None
    if names is None or not {"head", "data"} <= set(names) or data.ndim != 1:
        raise RawDataError(
            f"'{group.name}/data' is {getattr(data, 'dtype', 'a group')}, expected a list of "
            "acquisitions with the fields head, traj, data"
        )
    if not len(data):
        raise RawDataError(f"'{data.name}' has no readouts; the acquisition was empty or aborted")
    return _by_name(read(data.fields("head")), ACQUISITION_HEADER)


def _by_name(records: np.ndarray, wanted: np.dtype) -> np.ndarray:
    """Convert a structured array field by field; numpy's ``astype`` would go by position."""
    if records.dtype == wanted:
        return records
    missing = sorted(set(wanted.names or ()) - set(records.dtype.names or ()))
    if missing:
        raise RawDataError(
            f"the acquisition headers lack {', '.join(missing)}; expected ISMRMRD version 1"
        )
    result = np.zeros(records.shape, wanted)
    for name in wanted.names or ():
        if wanted[name].names:
            result[name] = _by_name(records[name], wanted[name])
        elif records[name].shape != result[name].shape or records[name].dtype.kind not in "iuf":
            raise RawDataError(
                f"the field '{name}' of the acquisition headers is {records.dtype[name]}, expected "
                f"{wanted[name]}"
            )
        else:
            result[name] = records[name]
    return result


def _fetch(path: Path, group: str, heads: Heads, numbers: Index) -> Readouts:
    with open_hdf5(path) as file:
        rows = file[group]["data"].fields("data")
        first, last = int(numbers.min()), int(numbers.max())
        if last - first < 2 * len(numbers):  # a slice is many times faster than a list of rows
            data = read(rows, slice(first, last + 1))[numbers - first]
        else:
            data = read(rows, numbers)
    return unpack(heads[numbers], list(data), numbers)
