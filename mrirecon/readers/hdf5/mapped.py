"""Arrays of HDF5 files that lie there in one piece, mapped into memory instead of read.

A slice is then a view of the file: nothing is copied, HDF5 need not be opened again, and the
processes of a machine share one copy in its page cache.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.readers.hdf5.held import HeldFile


@dataclass(frozen=True)
class StoredArray:
    """Where in a file the values of an array lie.

    Attributes:
        offset: Place of the first byte in the file.
        shape: Length of each axis.
        dtype: Type of the values; in HDF5 files as the processor takes them.
        order: Order of the values: ``C``, or ``F`` when the first index is the fastest.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    order: Literal["C", "F"] = "C"

    @classmethod
    def of(cls, item: object) -> "StoredArray | None":
        """Locate a dataset; None for what is not in one piece, or no numbers as they are."""
        if not isinstance(item, h5py.Dataset) or not item.shape:
            return None
        plain = item.dtype.kind in "fciub" and item.dtype.isnative and not item.dtype.names
        made = item.id.get_create_plist()
        if not plain or made.get_layout() != h5py.h5d.CONTIGUOUS or made.get_external_count():
            return None
        offset = item.id.get_offset()
        stored = item.id.get_storage_size() == item.dtype.itemsize * prod(item.shape)
        if offset is None or not stored or offset % item.dtype.itemsize:
            return None  # never written, or not aligned
        return cls(int(offset), tuple(item.shape), np.dtype(item.dtype))

    @property
    def end(self) -> int:
        """The byte after the last one."""
        return self.offset + prod(self.shape) * self.dtype.itemsize


def locate(file: object) -> dict[str, StoredArray] | None:
    """Locate the arrays of numbers at the top of an HDF5 file; None when one has to be read."""
    if not isinstance(file, HeldFile) or file.userblock_size:
        return None
    arrays = {
        name: StoredArray.of(item)
        for name, item in file.held()
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "OSUV" or item.dtype.names
    }
    located = {name: array for name, array in arrays.items() if array is not None}
    return located if located and len(located) == len(arrays) else None


def check_size(path: Path, arrays: Mapping[str, StoredArray]) -> None:
    """Refuse a file that is shorter than its arrays: to look beyond its end kills the process.

    Raises:
        RawDataError: When it is.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise RawDataError(f"cannot be read any more ({error.strerror}); copy it there") from error
    expected = max(array.end for array in arrays.values())
    if size < expected:
        raise RawDataError(
            f"there are {size} bytes, expected {expected}: the file is damaged; copy or pack it "
            "again"
        )


def map_arrays(path: Path, arrays: Mapping[str, StoredArray]) -> dict[str, np.ndarray]:
    """Map a file into memory and return its arrays, which nothing is read of before it is used.

    Raises:
        RawDataError: When the file is too short.
    """
    import torch  # takes longer than reading a header, which is all that some want

    check_size(path, arrays)
    # a private mapping, so that writing to it by mistake does not change the file; of torch,
    # because Python's keeps a file descriptor open, and data sets have thousands of files
    mapped = torch.from_file(
        str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8
    ).numpy()
    return {
        name: np.ndarray(array.shape, array.dtype, mapped, array.offset, order=array.order)
        for name, array in arrays.items()
    }
