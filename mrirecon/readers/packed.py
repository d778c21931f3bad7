"""Scans that mrirecon has packed for training: each field of the Samples is one array in HDF5.

=============================  ===================================================================
``sample/FIELD``               values of that field of :class:`~mrirecon.types.Sample`, (plane, ...)
``checksums``                  CRC-32 of all fields of each plane, in the order of their names
attribute ``header``           the :class:`~mrirecon.scan.ScanHeader` as JSON
attribute ``header_checksum``  CRC-32 of that text
attribute ``packed``           version of this layout
=============================  ===================================================================

The arrays are contiguous and not compressed, so the file is mapped into memory and a slice is a
view of it. k-space and maps may be in half precision (see :mod:`mrirecon.half_precision`),
real and imaginary part along a last axis.
:mod:`mrirecon.data.packing` writes such files.
"""

import json
import zlib
from collections.abc import Iterable
from dataclasses import fields as fields_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.header_json import header_from_json
from mrirecon.read_options import ReadOptions
from mrirecon.readers.base import FileScan, blaming
from mrirecon.readers.hdf5.mapped import StoredArray, check_size, map_arrays
from mrirecon.readers.hdf5.opening import hdf5_holds, open_hdf5, text
from mrirecon.scan import ScanHeader

if TYPE_CHECKING:
    import mrirecon.types

VERSION = 2
AXES = {"kspace": 3, "mask": 2}
"""Fields that every packed Sample has, with their number of axes."""
DTYPES = ("complex64", "float16", "float32", "int64", "bool")
COMPLEX = ("kspace", "maps")
"""Fields that may be in half precision."""
ADVICE = "the file is damaged; pack the source again"


class PackedScan(FileScan):
    """What ``mrirecon pack`` has written.

    Raises:
        RawDataError: When the file is damaged, or of another version.
    """

    format = "packed"
    layout = "written by mrirecon pack"
    small = True

    def __init__(self, path: Path, reading: ReadOptions | None = None) -> None:
        super().__init__(path, reading)
        with blaming(path), open_hdf5(path) as file:
            self.header = _header(file)
            self._fields = _fields(file, self.header)
        self._values: dict[str, Any] | None = None
        with blaming(path):
            check_size(path, self._fields)

    @classmethod
    def detect(cls, path: Path) -> bool:
        return hdf5_holds(path, lambda file: {"packed", "header"} <= file.attrs.keys())

    def _read(self, index: int) -> "mrirecon.types.Sample":
        from mrirecon.half_precision import physical  # torch, as Samples are

        return physical(self._read_stored(index))

    def _read_stored(self, index: int) -> "mrirecon.types.Sample":
        # imports torch, which the header needs not
        from mrirecon.readers.packed_samples import as_tensor
        from mrirecon.types import Sample

        self.check(index)
        with blaming(self.path):
            if self._values is None:
                arrays = map_arrays(self.path, self._fields)
                self._values = {name: as_tensor(array) for name, array in arrays.items()}
        values: dict[str, Any] = {name: field[index] for name, field in self._values.items()}
        grid = self.header.grid if "trajectory" in values else None
        return Sample(**values, image_grid=grid, key=(self.header.name, index))

    def content(self) -> tuple[tuple[str, str], ...]:
        return (("packed", ", ".join(sorted(self._fields))),)

    def verify(self) -> None:
        from mrirecon.readers.packed_samples import checksum  # torch, as Samples are

        with blaming(self.path), open_hdf5(self.path) as file:
            told = np.asarray(file["checksums"])
        for index in range(len(self)):
            if checksum(self._read_stored(index)) != told[index]:
                raise RawDataError(
                    f"{self.path}: the checksum of slice {index} is not that of its data: {ADVICE}"
                )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": None}


def header_checksum(header: str) -> int:
    """Return the CRC-32 of a header's text."""
    return zlib.crc32(header.encode("utf-8", "backslashreplace"))


def _header(file: h5py.File) -> ScanHeader:
    version = file.attrs["packed"]
    if np.ndim(version) or version != VERSION:
        raise RawDataError(
            f"packed in version {version} of the layout, expected {VERSION}: pack the source again "
            "with this version of mrirecon"
        )
    header = text(file.attrs["header"])
    if not np.array_equal(file.attrs.get("header_checksum"), header_checksum(header)):
        raise RawDataError(f"the checksum of the header is not that of its text: {ADVICE}")
    try:
        return header_from_json(json.loads(header))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise RawDataError(f"the header cannot be read ({error!r}): {ADVICE}") from error


def _fields(file: h5py.File, header: ScanHeader) -> dict[str, StoredArray]:
    from mrirecon.types import Sample  # torch, as Samples are

    group = file.get("sample")
    known = {field.name for field in fields_of(Sample)} - {"key", "seed", "neighbors"}
    found = dict(group.items()) if isinstance(group, h5py.Group) else {}
    if not set(AXES) <= set(found) <= known:
        raise RawDataError(f"the fields are {_listed(found)}, expected {_listed(AXES)}: {ADVICE}")
    planes = header.slices * len(header.frames)
    stored = {name: _field(name, item, planes) for name, item in found.items()}
    size, places = tuple(header.grid), stored.get("trajectory")
    if places is not None:  # the grid is the image's
        if places.shape[3:] != (2,) or places.dtype != "float32":
            raise RawDataError(f"'trajectory' is {places.shape} {places.dtype}: {ADVICE}")
        size = places.shape[1:3]
    shape, kspace = (planes, header.coils, *size), stored["kspace"]
    if (kspace.shape, kspace.dtype) not in ((shape, "complex64"), ((*shape, 2), "float16")):
        raise RawDataError(
            f"'kspace' is {kspace.shape} {kspace.dtype}, but the header tells {shape} complex64 or "
            f"{(*shape, 2)} float16: {ADVICE}"
        )
    halves = {name for name, field in stored.items() if field.dtype == "float16"}
    if not halves <= set(COMPLEX) or any(stored[name].shape[-1] != 2 for name in halves):
        raise RawDataError(f"{_listed(halves)} are in half precision, expected k-space: {ADVICE}")
    if halves and "scale" not in stored:
        raise RawDataError(f"'kspace' is in half precision, but 'scale' is missing: {ADVICE}")
    for name, axes in AXES.items():
        if len(stored[name].shape) != axes + 1 + (name in halves):
            raise RawDataError(f"'{name}' is {stored[name].shape}: {ADVICE}")
    checksums = file.get("checksums")
    if not isinstance(checksums, h5py.Dataset) or checksums.shape != (planes,):
        raise RawDataError(f"there is no checksum for each of {planes} planes: {ADVICE}")
    return stored


def _field(name: str, item: Any, planes: int) -> StoredArray:
    stored = StoredArray.of(item)
    if stored is None or str(stored.dtype) not in DTYPES or stored.shape[0] != planes:
        raise RawDataError(
            f"'{name}' is {item}, expected a contiguous, aligned array of {planes} planes: {ADVICE}"
        )
    return stored


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
