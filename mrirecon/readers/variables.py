"""Files of arrays by other names than those of a known layout: which reader takes the chosen one.

``reading.variable`` means the same in HDF5, MAT and ``.npz`` files.
"""

import re
from pathlib import Path

import h5py

from mrirecon.readers.arrays.cmrxrecon import CmrxReconScan
from mrirecon.readers.arrays.matlab import from_matlab, is_old_mat, load_old_mat
from mrirecon.readers.base import FileScan
from mrirecon.readers.fastmri.scan import FastMriScan
from mrirecon.readers.hdf5.opening import contents, looks_like_hdf5, open_hdf5

_MADE = re.compile(r"(^|/)(reconstruction(_\w+)?|image_\d+/data|maps)$")
"""Datasets of results: of fastMRI and of our own, MRD images, coil sensitivities."""


def reader_of(path: Path, variable: str) -> type[FileScan] | None:
    """Return the reader of an array in a file that no reader recognises; None without arrays."""
    if is_old_mat(path):
        return CmrxReconScan  # axes as MATLAB has them
    if not looks_like_hdf5(path):
        return None
    with open_hdf5(path) as file:
        item = file.get(variable)
        matlab = isinstance(item, h5py.Dataset) and from_matlab(file, variable)
    return CmrxReconScan if matlab else FastMriScan


def found_in(path: Path) -> tuple[str, str]:
    """Say what is in a file that no reader recognises, and what helps.

    Raises:
        RawDataError: When the file is damaged.
    """
    choose = "; reading.variable=NAME reads one of these arrays as k-space"
    if is_old_mat(path):
        found = load_old_mat(path)
        names = ", ".join(f"{name} {a.shape} {a.dtype}" for name, a in found.items())
        return f"a MATLAB file with {names or 'no array of numbers'}", choose if found else ""
    if looks_like_hdf5(path):
        with open_hdf5(path) as file:
            arrays = _datasets(file)
            remedy = choose if any(_readable(item) for item in arrays) else ""
            if made := next((item.name for item in arrays if _MADE.search(str(item.name))), ""):
                remedy = (
                    f"; '{made.strip('/')}' was made of k-space: give the raw file that it was "
                    "made from, or images to mrirecon evaluate"
                )
            elif not remedy and any(_like_images(item) for item in arrays):
                remedy = (
                    "; real numbers are images, or k-space without its phase, from which nothing "
                    "can be reconstructed: give the raw file, or the images to mrirecon evaluate"
                )
            return f"an HDF5 file with {contents(file)}", remedy
    with path.open("rb") as stream:
        return f"no HDF5 file, it starts with {stream.read(32)!r}", ""


def _datasets(file: h5py.File) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


def _readable(item: h5py.Dataset) -> bool:
    return len(item.shape or ()) >= 3 and (item.dtype.kind == "c" or item.shape[-1] == 2)


def _like_images(item: h5py.Dataset) -> bool:
    return len(item.shape or ()) >= 2 and item.dtype.kind in "fiu"
