"""Files that NumPy has saved: one array (``.npy``) or an archive of them (``.npz``)."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from zipfile import ZipFile

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.readers.damage import DAMAGE
from mrirecon.readers.expansion import refuse_expansion
from mrirecon.readers.hdf5.mapped import StoredArray, map_arrays

NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"


def is_numpy(path: Path) -> bool:
    """Tell whether a file holds one array, or is an archive with some."""
    with path.open("rb") as stream:
        start = stream.read(len(NPY))
    if start.startswith(ZIP):
        return any(name.endswith(".npy") for name in members(path))
    return start == NPY


def members(path: Path) -> tuple[str, ...]:
    """Return the names in a ZIP archive; none when it is damaged."""
    try:
        with ZipFile(path) as archive:
            return tuple(archive.namelist())
    except DAMAGE:
        return ()


def load_numpy(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return arrays of a file as :func:`open_numpy` does, in memory that keeps no file open."""
    found = open_numpy(path, names)
    stored = located(found)
    if stored is None:
        return found
    del found  # which keeps an .npy file open, and data sets have thousands
    return map_arrays(path, stored)


def located(arrays: Mapping[str, np.ndarray]) -> dict[str, StoredArray] | None:
    """Locate the array of an ``.npy`` file; None for those of an archive, read as a whole."""
    array = arrays.get("kspace")
    if not isinstance(array, np.memmap):
        return None
    order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
    return {"kspace": StoredArray(array.offset, array.shape, array.dtype, order)}


def open_numpy(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return arrays of a file by their names; of an ``.npy`` file its array, as ``kspace``.

    That one is mapped into memory, and keeps the file open.

    Args:
        path: Path of the file.
        names: Names of the arrays in an archive; those that it has are returned.

    Raises:
        RawDataError: When the file is damaged, or would take too much memory.
    """
    _refuse_large(path, names)
    try:
        with warnings.catch_warnings():  # of headers that look as if Python 2 had written them
            warnings.simplefilter("ignore")
            found = np.load(path, mmap_mode="c", allow_pickle=False)
            if isinstance(found, np.ndarray):
                return {"kspace": found}
            with found:
                return {name: np.asarray(found[name]) for name in names if name in found}
    except DAMAGE as error:
        raise RawDataError(
            f"{path}: the NumPy file is damaged ({error}), or holds Python objects; save a complex "
            "array again"
        ) from error


def _refuse_large(path: Path, names: tuple[str, ...]) -> None:
    """Refuse a ZIP archive whose arrays would take too much memory, by its table of contents."""
    try:
        with ZipFile(path) as archive:
            there = members(path)
            chosen = [archive.getinfo(f"{n}.npy") for n in names if f"{n}.npy" in there]
    except DAMAGE:
        return  # no archive, or found out when it is read
    for member in chosen:
        refuse_expansion(f"'{member.filename}'", member.compress_size, member.file_size)
