"""k-space that was saved with NumPy: ``.npy``, or ``.npz`` with an array ``kspace``.

The k-space is taken as centred and orthonormal. An ``.npy`` file is memory-mapped; an ``.npz`` file
cannot be read in parts.
"""

import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal
from zipfile import ZipFile

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_scan import ArrayScan, Contents
from mrirecon.readers.arrays.kspace_array import KSpaceArray
from mrirecon.readers.arrays.measured_samples import everything, stored_mask
from mrirecon.readers.damage import DAMAGE
from mrirecon.readers.expansion import refuse_expansion
from mrirecon.readers.hdf5.mapped import StoredArray, map_arrays

NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"
ARRAYS = ("kspace", "mask")


class NumpyScan(ArrayScan):
    """k-space (slice, coil, h, w) or (slice, h, w), or as ``reading.axes`` says.

    Used when present in an ``.npz``: ``mask`` (w), (h, w) or (frame, h, w).

    Raises:
        RawDataError: When the file is damaged or its arrays do not fit together.
    """

    format = "NumPy"
    layout = "a .npy array (slice, coil, h, w) or (slice, h, w), or a .npz with such a 'kspace'"
    choices = ("axes", "variable", "centered", "image_centered")

    @classmethod
    def detect(cls, path: Path) -> bool:
        with path.open("rb") as stream:
            start = stream.read(len(NPY))
        if start.startswith(ZIP):
            return any(name.endswith(".npy") for name in _members(path))
        return start == NPY

    def open(self) -> AbstractContextManager[Contents]:
        if self.kept is None:
            self.kept = _load(self.path, self.reading.variable or ARRAYS[0])
        return nullcontext(self.kept)

    def recognize(self, file: Contents) -> KSpaceArray:
        name = self.reading.variable or ARRAYS[0]
        if name not in file:
            found = ", ".join(sorted(_members(self.path))) or "one array without a name"
            raise RawDataError(
                f"found {found}, expected an array '{name}'; save it by this name, or choose one "
                "with reading.variable=NAME"
            )
        return KSpaceArray.of(file[name], self.reading.axes, name)

    def describe(self, file: Contents, notes: list[str]) -> dict[str, Any]:  # noqa: ARG002
        notes.append("The file has no header: voxel sizes are unknown.")
        return {}

    def known(self, file: Contents) -> bool:  # noqa: ARG002
        return False

    def told(self, file: Contents, notes: list[str]) -> Bool[Tensor, "frame #h w"]:  # noqa: ARG002
        mask = file.get("mask")
        return everything(self.array) if mask is None else stored_mask(mask, self.array)


def _members(path: Path) -> tuple[str, ...]:
    """Return the names in a ZIP archive; none when it is damaged."""
    try:
        with ZipFile(path) as archive:
            return tuple(archive.namelist())
    except DAMAGE:
        return ()


def _load(path: Path, kspace: str) -> dict[str, np.ndarray]:
    names = (kspace, ARRAYS[1])
    _refuse_large(path, names)
    stored = None
    try:
        with warnings.catch_warnings():  # of headers that look as if Python 2 had written them
            warnings.simplefilter("ignore")
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            if isinstance(found, np.memmap):
                order: Literal["C", "F"] = "C" if found.flags.c_contiguous else "F"
                stored = StoredArray(found.offset, found.shape, found.dtype, order)
            elif isinstance(found, np.ndarray):  # of no values
                return {"kspace": found}
            else:
                with found:
                    return {name: np.asarray(found[name]) for name in names if name in found}
    except DAMAGE as error:
        raise RawDataError(
            f"{path}: the NumPy file is damaged ({error}), or holds Python objects; save a complex "
            "array again"
        ) from error
    del found  # it keeps the file open, and data sets have thousands
    return map_arrays(path, {"kspace": stored})


def _refuse_large(path: Path, names: tuple[str, ...]) -> None:
    """Refuse a ZIP archive whose arrays would take too much memory, by its table of contents."""
    try:
        with ZipFile(path) as archive:
            members = [archive.getinfo(f"{n}.npy") for n in names if f"{n}.npy" in _members(path)]
    except DAMAGE:
        return  # no archive, or found out when it is read
    for member in members:
        refuse_expansion(f"'{member.filename}'", member.compress_size, member.file_size)
