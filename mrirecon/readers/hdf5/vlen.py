"""Variable-length records of an HDF5 file, taken from its bytes.

The library converts them one by one, which is slow, and some damage makes it loop for ever. What
is needed of the file format is small and fixed: a variable-length value is stored as its length,
the address of a global heap collection and an index into it; a collection is a list of objects
(HDF5 File Format Specification 3.0, sections III.E and IV.A.2.i).
"""

import mmap
import struct
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Int64

from mrirecon.errors import RawDataError

REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
"""How a variable-length value is stored in a row."""
LARGEST_FILE = 2**60
Collection = dict[int, tuple[int, int]]
"""Where the objects of a collection are: first byte and size by index."""


def row_places(dataset: h5py.Dataset) -> Int64[np.ndarray, "row"] | None:
    """Return the byte at which each row of a 1-D dataset begins; None when rows are compressed.

    Raises:
        RawDataError: When rows are missing.
    """
    size, count = dataset.id.get_type().get_size(), len(dataset)
    if dataset.id.get_create_plist().get_nfilters() or dataset.file.userblock_size:
        return None
    if dataset.chunks is None:
        start = dataset.id.get_offset()
        if start is not None and size * count > dataset.file.id.get_filesize():
            raise RawDataError(
                f"'{dataset.name}' tells {count} rows, more than the file has room for: it is "
                "damaged; copy it again"
            )
        return None if start is None else start + size * np.arange(count)
    if count > dataset.id.get_storage_size():  # a list of so many places would fill the memory
        raise _missing(dataset, count - int(dataset.id.get_storage_size()) // size)
    places = np.full(count, -1, np.int64)
    step = dataset.chunks[0]

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        first = chunk.chunk_offset[0]
        if chunk.byte_offset > LARGEST_FILE:
            raise RawDataError(f"a row lies at byte {chunk.byte_offset}: the file is damaged")
        rows = places[first : first + step]
        rows[:] = chunk.byte_offset + size * np.arange(len(rows))

    dataset.id.chunk_iter(note)
    if (places < 0).any():
        raise _missing(dataset, int((places < 0).sum()))
    return places


def _missing(dataset: h5py.Dataset, count: int) -> RawDataError:
    return RawDataError(
        f"{count} of the {len(dataset)} rows of '{dataset.name}' are missing; the file is damaged "
        "or was not written to its end: copy or convert it again"
    )


def stored_dtype(dataset: h5py.Dataset) -> np.dtype:
    """Return the layout of a row as it is stored: variable-length fields are references."""
    kind, memory = dataset.id.get_type(), dataset.dtype
    names = memory.names or ()
    formats = [REFERENCE if h5py.check_vlen_dtype(memory[n]) else memory[n] for n in names]
    offsets = [kind.get_member_offset(kind.get_member_index(n.encode())) for n in names]
    return np.dtype(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": kind.get_size()}
    )


def read_rows(path: Path, places: Int64[np.ndarray, "row"], dtype: np.dtype) -> np.ndarray:
    """Read the rows that begin at these bytes.

    Raises:
        RawDataError: When they lie outside the file.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if len(places) and (places.min() < 0 or places.max() + dtype.itemsize > len(content)):
            raise RawDataError(f"rows lie outside the {len(content)} bytes of the file: truncated")
        step = dtype.itemsize
        if (np.diff(places) == step).all():
            rows = content[int(places[0]) : int(places[0]) + step * len(places)]
        else:
            rows = b"".join(content[place : place + step] for place in places.tolist())
    return np.frombuffer(rows, dtype)


def read_values(path: Path, references: np.ndarray, dtype: np.dtype) -> list[np.ndarray]:
    """Read the variable-length values that :data:`REFERENCE` records point to.

    Raises:
        RawDataError: When a reference points to nothing, or to less than it says.
    """
    values = []
    collections: dict[int, Collection] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for length, address, index in references.tolist():
            if length == 0:
                values.append(np.zeros(0, dtype))
                continue
            if address not in collections:
                collections[address] = _collection(content, address)
            start, size = collections[address].get(index, (0, 0))
            if size < length * dtype.itemsize:
                raise RawDataError(
                    f"a value of {length} numbers points to {size} bytes (heap at {address}): the "
                    "file is damaged; copy or convert it again"
                )
            raw = content[start : start + length * dtype.itemsize]
            values.append(np.frombuffer(raw, dtype))
    return values


def _collection(content: mmap.mmap, address: int) -> Collection:
    """List the objects of the global heap collection at ``address``."""
    head = content[address : address + 16]
    if len(head) < 16 or head[:4] != b"GCOL":
        raise RawDataError(
            f"there is no heap at byte {address}: the file is damaged; copy it again"
        )
    end = min(address + struct.unpack("<Q", head[8:])[0], len(content))
    found: Collection = {}
    place = address + 16
    while place + 16 <= end:
        index, _, _, size = struct.unpack("<HHIQ", content[place : place + 16])
        if index == 0:  # the free space at the end
            break
        if place + 16 + size > end:
            break
        found[index] = (place + 16, size)
        place += 16 + -(-size // 8) * 8
    return found
