"""Scans that mrirecon has packed for training: each field of the Samples is one array in HDF5.

====================  ============================================================================
``sample/FIELD``      values of that field of :class:`~mrirecon.types.Sample`, (plane, ...)
``checksums``         CRC-32 of all fields of each plane, in the order of their names
attribute ``header``  the :class:`~mrirecon.scan.ScanHeader` as JSON
attribute ``packed``  version of this layout
====================  ============================================================================

The arrays are contiguous and not compressed, so the file is mapped into memory and a slice is a
view of it: nothing is copied, and the processes of a machine share one copy in its page cache.
:mod:`mrirecon.data.packing` writes such files.
"""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.readers.base import FileScan, blaming
from mrirecon.readers.hdf5 import looks_like_hdf5, open_hdf5, text
from mrirecon.reading import Reading
from mrirecon.scan import ScanHeader, header_from_json
from mrirecon.types import Sample

VERSION = 1
AXES = {"kspace": 3, "mask": 2}
"""Fields that every packed Sample has, with their number of axes."""
DTYPES = ("complex64", "float32", "int64", "bool")
ADVICE = "the file is damaged; pack the source again"


@dataclass(frozen=True)
class StoredField:
    """Where in the file the values of a field lie.

    Attributes:
        offset: Of the first byte.
        shape: Of the values, planes first.
        dtype: Of the values.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def end(self) -> int:
        """The byte after the last one."""
        return self.offset + int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


class PackedScan(FileScan):
    """What ``data_scripts/pack_dataset.py`` has written.

    Raises:
        RawDataError: When the file is damaged, or of another version.
    """

    format = "packed"
    layout = "written by data_scripts/pack_dataset.py"
    small = True

    def __init__(self, path: Path, reading: Reading | None = None) -> None:
        super().__init__(path, reading)
        with blaming(path), open_hdf5(path) as file:
            self.header = _header(file)
            self._fields = _fields(file, self.header)
        self._end = max(field.end for field in self._fields.values())
        self._values: dict[str, Tensor] | None = None
        with blaming(path):
            self._check_size()

    @classmethod
    def detect(cls, path: Path) -> bool:
        if not looks_like_hdf5(path):
            return False
        with open_hdf5(path) as file:
            return "packed" in file.attrs and "header" in file.attrs

    def __getitem__(self, index: int) -> Sample:
        self.check(index)
        with blaming(self.path):
            self._check_size()  # to look beyond the end of a mapped file kills the process
        if self._values is None:
            self._values = self._map()
        values: dict[str, Any] = {name: field[index] for name, field in self._values.items()}
        return Sample(**values, key=(self.header.name, index))

    def content(self) -> tuple[tuple[str, str], ...]:
        return (("packed", ", ".join(sorted(self._fields))),)

    def verify(self) -> None:
        with blaming(self.path), open_hdf5(self.path) as file:
            told = np.asarray(file["checksums"])
        for index, sample in enumerate(self):
            if checksum(sample) != told[index]:
                raise RawDataError(
                    f"{self.path}: the checksum of slice {index} is not that of its data: {ADVICE}"
                )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": None}

    def _check_size(self) -> None:
        size = self.path.stat().st_size
        if size < self._end:
            raise RawDataError(f"there are {size} bytes, expected {self._end}: {ADVICE}")

    def _map(self) -> dict[str, Tensor]:
        # a private mapping, so that writing to it by mistake does not change the file; of torch,
        # because Python's keeps a file descriptor open, and data sets have thousands of files
        size = self.path.stat().st_size
        mapped = torch.from_file(str(self.path), shared=False, size=size, dtype=torch.uint8)
        buffer = mapped.numpy()
        return {
            name: torch.from_numpy(
                np.ndarray(field.shape, np.dtype(field.dtype), buffer, field.offset)
            )
            for name, field in self._fields.items()
        }


def checksum(sample: Sample) -> int:
    """Return the CRC-32 of all fields of a Sample, in the order of their names."""
    total = 0
    for _, values in sorted(sample.tensors().items()):
        total = zlib.crc32(np.ascontiguousarray(values.numpy()).tobytes(), total)
    return total


def _header(file: h5py.File) -> ScanHeader:
    version = file.attrs["packed"]
    if np.ndim(version) or version != VERSION:
        raise RawDataError(
            f"packed in version {version} of the layout, expected {VERSION}: pack the source again "
            "with this version of mrirecon"
        )
    try:
        return header_from_json(json.loads(text(file.attrs["header"])))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RawDataError(f"the header cannot be read ({error!r}): {ADVICE}") from error


def _fields(file: h5py.File, header: ScanHeader) -> dict[str, StoredField]:
    group = file.get("sample")
    known = {field.name for field in fields_of(Sample)} - {"key", "seed", "neighbors"}
    found = dict(group.items()) if isinstance(group, h5py.Group) else {}
    if not set(AXES) <= set(found) <= known:
        raise RawDataError(f"the fields are {_listed(found)}, expected {_listed(AXES)}: {ADVICE}")
    planes = header.slices * len(header.frames)
    stored = {name: _field(name, item, planes) for name, item in found.items()}
    shape = (planes, header.coils, *header.grid)
    if stored["kspace"].shape != shape or stored["kspace"].dtype != "complex64":
        raise RawDataError(
            f"'kspace' is {stored['kspace'].shape} {stored['kspace'].dtype}, but the header tells "
            f"{shape} complex64: {ADVICE}"
        )
    for name, axes in AXES.items():
        if len(stored[name].shape) != axes + 1:
            raise RawDataError(f"'{name}' is {stored[name].shape}: {ADVICE}")
    checksums = file.get("checksums")
    if not isinstance(checksums, h5py.Dataset) or checksums.shape != (planes,):
        raise RawDataError(f"there is no checksum for each of {planes} planes: {ADVICE}")
    return stored


def _field(name: str, item: Any, planes: int) -> StoredField:
    is_array = isinstance(item, h5py.Dataset) and item.shape is not None
    offset = item.id.get_offset() if is_array and item.chunks is None else None
    dtype = str(item.dtype) if is_array else ""
    if offset is None or dtype not in DTYPES or item.shape[0] != planes:
        raise RawDataError(
            f"'{name}' is {item}, expected a contiguous array of {planes} planes: {ADVICE}"
        )
    if offset % np.dtype(dtype).itemsize:
        raise RawDataError(f"'{name}' lies at byte {offset}, which is not aligned: {ADVICE}")
    return StoredField(int(offset), tuple(item.shape), dtype)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
