"""ISMRMRD / MRD version 1: acquisitions in HDF5, as scanner converters write them.

Headers are read once; the samples of a slice are read together when the slice is asked for, and
nothing but the headers and the noise covariance stays in memory. Rows are taken from the file's
bytes (:mod:`mrirecon.readers.hdf5.vlen`), and through the HDF5 library only when they are
compressed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.acquired_scan import Measurement
from mrirecon.raw.header import parse_header
from mrirecon.raw.mrd_records import ACQUISITION_HEADER, NOT_IMAGE_MASK
from mrirecon.raw.readouts import Heads, Index, Readouts, classify, unpack
from mrirecon.raw.whitening import NoiseScan, noise_scan
from mrirecon.readers.acquisitions import AcquisitionScan
from mrirecon.readers.expansion import refuse_expansion
from mrirecon.readers.hdf5.held import HeldFile
from mrirecon.readers.hdf5.opening import contents, hdf5_holds, open_hdf5, read, text
from mrirecon.readers.hdf5.unwritten import refuse_unwritten
from mrirecon.readers.hdf5.vlen import REFERENCE, read_rows, read_values, row_places, stored_dtype


class IsmrmrdScan(AcquisitionScan):
    """Cartesian acquisitions of any vendor, converted to ISMRMRD.

    Raises:
        RawDataError: When the file is damaged, or holds something that is not supported.
    """

    format = "ISMRMRD"
    layout = "a group with 'xml' (the header) and 'data' (acquisitions)"
    _rows: "_Rows"

    @classmethod
    def detect(cls, path: Path) -> bool:
        return hdf5_holds(path, lambda file: bool(_groups(file)))

    def measurement(self) -> Measurement:
        with open_hdf5(self.path) as file:
            groups = _groups(file)
            if not groups:
                raise RawDataError(f"expected {self.layout}; found {contents(file)}")
            name, self._rows, notes = _choose(self.path, file, groups, self.reading.measurement)
            xml = _xml(self.path, file[name])
            header = parse_header(xml)
            kinds = classify(self._rows.heads, None)
            noise = None
            if not len(kinds.noise):
                noise = _noise_elsewhere(self.path, file, [g for g in groups if g != name])
        return Measurement(name, header, self._rows.heads, noise, notes, xml)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_rows": None}  # read again where they are needed

    def fetch(self, measurement: Measurement, numbers: Index) -> Readouts:
        return _fetch(self.path, measurement.name, self._rows, numbers)

    @classmethod
    def noise_scan(cls, path: Path) -> NoiseScan | None:
        """Return the last noise scan in a file, or None when there is none."""
        with open_hdf5(path) as file:
            return _noise_elsewhere(path, file, _groups(file))


DEEPEST = 4
"""Levels of groups in which acquisitions are looked for."""


@dataclass(frozen=True)
class _Rows:
    """The headers of all readouts, and where their samples are; None when rows are compressed."""

    heads: Heads
    samples: np.ndarray | None
    places: np.ndarray | None = None


def _groups(file: HeldFile) -> list[str]:
    """Return the groups that hold acquisitions, the file's root and groups in groups included."""
    found: list[str] = []
    level: list[tuple[str, Any, int]] = [("/", file, 0)]
    while level:
        name, group, depth = level.pop(0)
        if not isinstance(group, h5py.Group):
            continue
        if "xml" in group and "data" in group:
            found.append(name)
        elif depth < DEEPEST:
            inside = ((item, value) for item, value in group.held() if isinstance(item, str))
            level += [(f"{name.rstrip('/')}/{item}", v, depth + 1) for item, v in inside]
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
    path: Path, file: HeldFile, groups: list[str], wanted: str | int | None
) -> tuple[str, _Rows, tuple[str, ...]]:
    """Return the wanted group; else the only one, or of several the last one with imaging lines."""
    if wanted is not None:
        name = _named(groups, wanted)
        return name, _load(path, file[name]), ()
    chosen, rows = groups[-1], None
    for name in reversed(groups):
        rows = _load(path, file[name])
        chosen = name
        if ((rows.heads["flags"] & np.uint64(NOT_IMAGE_MASK)) == 0).any():
            break
    assert rows is not None
    if len(groups) == 1:
        return chosen, rows, ()
    note = (
        f"Of the measurements {', '.join(groups)} the last one with imaging lines was read: "
        f"{chosen}; reading.measurement chooses another."
    )
    return chosen, rows, (note,)


def _noise_elsewhere(path: Path, file: HeldFile, groups: list[str]) -> NoiseScan | None:
    for name in reversed(groups):
        rows = _load(path, file[name])
        numbers = classify(rows.heads, None).noise
        if len(numbers):
            labels = parse_header(_xml(path, file[name])).coil_labels
            readouts = _fetch(path, name, rows, numbers)
            return noise_scan(readouts, labels, f"measurement {name} of {path.name}")
    return None


def _xml(path: Path, group: h5py.Group) -> str:
    xml = group["xml"]
    vlen = isinstance(xml, h5py.Dataset) and h5py.check_vlen_dtype(xml.dtype) is bytes
    place = xml.id.get_offset() if vlen and len(xml.shape) == 1 and xml.chunks is None else None
    if place is None or not len(xml) or xml.file.userblock_size:
        return _xml_text(xml)
    reference = read_rows(path, np.array([place]), REFERENCE)
    stored = read_values(path, reference, np.dtype("u1"))[0].tobytes()
    return stored.decode("utf-8", "replace")


def _xml_text(xml: object) -> str:
    """Read the XML header, which some writers store as its bytes, one number each."""
    if isinstance(xml, h5py.Dataset) and xml.dtype in ("uint8", "int8"):
        return bytes(np.asarray(read(xml)).astype("uint8")).rstrip(b"\0").decode("utf-8", "replace")
    return text(read(xml))


def _load(path: Path, group: h5py.Group) -> _Rows:
    """Read the headers of all readouts, and where their samples are."""
    data = group["data"]
    names = data.dtype.names if isinstance(data, h5py.Dataset) else None
    if names is None or not {"head", "data"} <= set(names) or data.ndim != 1:
        raise RawDataError(
            f"'{group.name}/data' is {getattr(data, 'dtype', 'a group')}, expected a list of "
            "acquisitions with the fields head, traj, data"
        )
    if not len(data):
        raise RawDataError(f"'{data.name}' has no readouts; the acquisition was empty or aborted")
    places = row_places(data)
    if places is None or h5py.check_vlen_dtype(data.dtype["data"]) != np.dtype("<f4"):
        refuse_unwritten(data)
        heads = len(data) * data.dtype["head"].itemsize
        refuse_expansion(f"'{data.name}'", int(data.id.get_storage_size()), heads)
        return _Rows(_by_name(read(data.fields("head")), ACQUISITION_HEADER), None)
    rows = read_rows(path, places, stored_dtype(data))
    trajectories = rows["traj"].copy() if _has_places(data) else None
    return _Rows(_by_name(rows["head"], ACQUISITION_HEADER), rows["data"].copy(), trajectories)


def _has_places(data: h5py.Dataset) -> bool:
    """Tell whether rows have trajectories as they should be stored."""
    names = data.dtype.names or ()
    return "traj" in names and h5py.check_vlen_dtype(data.dtype["traj"]) == np.dtype("<f4")


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


def _fetch(path: Path, group: str, rows: _Rows, numbers: Index) -> Readouts:
    heads, places = rows.heads[numbers], []
    along = bool(heads["trajectory_dimensions"].any())
    if rows.samples is not None:
        data = read_values(path, rows.samples[numbers], np.dtype("<f4"))
        if along and rows.places is not None:
            places = read_values(path, rows.places[numbers], np.dtype("<f4"))
        return unpack(heads, data, numbers, places)
    with open_hdf5(path) as file:
        stored = file[group]["data"]
        if along and _has_places(stored):
            places = list(_field(stored, "traj", numbers))
        return unpack(heads, list(_field(stored, "data", numbers)), numbers, places)


def _field(stored: h5py.Dataset, name: str, numbers: Index) -> np.ndarray:
    """Read one field of some rows."""
    field = stored.fields(name)
    first, last = int(numbers.min()), int(numbers.max())
    if last - first < 2 * len(numbers):  # a slice is many times faster than a list of rows
        found: np.ndarray = read(field, slice(first, last + 1))[numbers - first]
        return found
    order = np.argsort(numbers)  # a list of rows has to ascend
    result = np.empty(len(numbers), object)
    result[order] = read(field, numbers[order])
    return result
