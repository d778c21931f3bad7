"""MAT files: those of version 7.3 are HDF5; the numeric arrays of older ones are read here.

MATLAB stores the first index fastest. HDF5 therefore shows its arrays with all axes reversed; those
of older files are reversed here, so that both look the same. The layout is that of "MAT-File
Format", The MathWorks; ``scipy.io.loadmat`` is not used because it crashes on damaged files.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

import h5py
import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.readers.damage import DAMAGE
from mrirecon.readers.expansion import refuse_expansion

SIGNATURE, ORDERS = b"MATLAB", {b"IM": "<", b"MI": ">"}
HEADER, NAME, TAG = 128, 1024, 8
"""Bytes of the file's header, more than a variable's header has, and of a type with its size."""
MATRIX, COMPRESSED = 14, 15
NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
SINGLE, CLASSES = 7, range(6, 16)
"""Class of single precision, and all numeric classes."""
COMPLEX = 0x0800


@dataclass(frozen=True)
class _Variable:
    """A variable as it is stored: perhaps compressed, of any class."""

    kind: int
    content: memoryview
    order: str

    def parts(self, limit: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield number type and bytes of its parts: flags, dimensions, name, real, imaginary."""
        if self.kind == COMPRESSED:
            told = limit or TAG + self.size()
            content = zlib.decompressobj().decompress(self.content[: limit or None], told)[TAG:]
        else:
            content = bytes(self.content[: limit or None])
        while len(content) >= 8:
            kind, size = struct.unpack(f"{self.order}II", content[:8])
            start, end = 8, 8 + size + -size % 8
            if kind >> 16:  # up to four bytes are stored within the tag
                kind, size, start, end = kind & 0xFFFF, kind >> 16, 4, 8
            if len(content) < start + size:
                raise ValueError(f"{size} bytes expected, {len(content) - start} found")
            yield kind, content[start : start + size]
            content = content[end:]

    def size(self) -> int:
        """Return the number of bytes that it takes when it is not compressed."""
        if self.kind != COMPRESSED:
            return len(self.content)
        tag = zlib.decompressobj().decompress(self.content[:NAME], TAG)
        return int(struct.unpack(f"{self.order}II", tag)[1])

    def name(self) -> str:
        *_, (_, name) = islice(self.parts(NAME), 3)
        return name.decode("ascii", errors="replace")

    def array(self) -> np.ndarray | None:
        """Return its numbers with all axes reversed; None when it holds something else."""
        (_, flags), (_, sizes), _, *values = self.parts()
        flag = struct.unpack(f"{self.order}I", flags[:4])[0]
        if flag & 0xFF not in CLASSES:
            return None
        shape = tuple(int(n) for n in np.frombuffer(sizes, f"{self.order}i4")[::-1])
        real, *imaginary = (
            np.frombuffer(data, self.order + NUMBERS[kind]).reshape(shape) for kind, data in values
        )
        if not flag & COMPLEX:
            return real
        kind = np.complex64 if flag & 0xFF == SINGLE else np.complex128
        array = np.empty(shape, kind)
        array.real, array.imag = real, imaginary[0]
        return array


def is_old_mat(path: Path) -> bool:
    """Tell whether the file is a MAT file that is not HDF5."""
    with path.open("rb") as stream:
        start = stream.read(HEADER)
    return start.startswith(SIGNATURE) and start[126:] in ORDERS and not h5py.is_hdf5(path)


def from_matlab(file: h5py.File, name: str) -> bool:
    """Tell whether MATLAB wrote a dataset of an HDF5 file."""
    return "MATLAB_class" in file[name].attrs


def old_mat_names(path: Path) -> tuple[str, ...]:
    """Return the names of the variables of an old MAT file, as far as it is not damaged."""
    names = []
    with suppress(*DAMAGE):  # reading the variable that is damaged will say so
        for variable in _variables(path):
            names.append(variable.name())
    return tuple(names)


def load_old_mat(path: Path) -> dict[str, np.ndarray]:
    """Read all numeric arrays of an old MAT file, by name; axes are reversed.

    Raises:
        RawDataError: When it is damaged.
    """
    try:
        _refuse_large(path)
        arrays = {variable.name(): variable.array() for variable in _variables(path)}
    except RawDataError:
        raise
    except DAMAGE as error:
        raise RawDataError(
            f"{path}: the MAT file is damaged ({error}); copy or download it again"
        ) from error
    return {name: array for name, array in arrays.items() if array is not None}


def _refuse_large(path: Path) -> None:
    stored = expanded = 0
    for variable in _variables(path):
        size = variable.size()
        refuse_expansion(f"the variable '{variable.name()}'", len(variable.content), size)
        stored, expanded = stored + len(variable.content), expanded + size
    refuse_expansion("all variables together", stored, expanded)


def _variables(path: Path) -> Iterator[_Variable]:
    with path.open("rb") as stream:
        content = memoryview(mmap(stream.fileno(), 0, access=ACCESS_READ))
    order, position = ORDERS[bytes(content[126:HEADER])], HEADER
    while position < len(content):
        kind, size = struct.unpack(f"{order}II", content[position : position + 8])
        start, position = position + 8, position + 8 + size
        if position > len(content):
            raise ValueError(f"it ends after {len(content)} of at least {position} bytes")
        if kind in (MATRIX, COMPRESSED):
            yield _Variable(kind, content[start:position], order)
