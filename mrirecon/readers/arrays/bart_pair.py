"""Pairs of files of BART: ``.hdr`` (dimensions as text) and ``.cfl`` (complex64)."""

from math import prod
from pathlib import Path

import numpy as np

from mrirecon.errors import RawDataError

SIGNATURE = b"# Dimensions"
LONGEST_HEADER = 2**20
DIMENSIONS = (
    "READ", "PHS1", "PHS2", "COIL", "MAPS", "TE", "COEFF", "COEFF2", "ITER", "CSHIFT", "TIME",
    "TIME2", "LEVEL", "SLICE", "AVG", "BATCH",
)  # fmt: skip

MEANING = {
    "COIL": "coil", "TE": "contrast", "TIME": "phase", "TIME2": "repetition", "SLICE": "slice",
    "AVG": "average",
}  # fmt: skip
"""Meanings of dimensions that count something."""


def is_pair(path: Path) -> bool:
    """Tell whether a file is one of such a pair."""
    if path.suffix == ".cfl":
        path = path.with_suffix(".hdr")
        if not path.is_file():
            return False
    with path.open("rb") as stream:
        return stream.read(len(SIGNATURE)) == SIGNATURE


def pair_of(path: Path) -> tuple[Path, ...]:
    """Return those of the two files that are there."""
    both = (path.with_suffix(".hdr"), path.with_suffix(".cfl"))
    return tuple(part for part in both if part.is_file())


def open_pair(path: Path) -> np.memmap:
    """Map the array of a pair, of either of whose files the path is given.

    Raises:
        RawDataError: When one of the pair is missing, or they contradict each other.
    """
    data = path.with_suffix(".cfl")
    shape = _dimensions(path.with_suffix(".hdr"))
    if not data.is_file():
        raise RawDataError(f"the file {data.name} is missing beside it; copy it there")
    if data.stat().st_size != 8 * prod(shape):
        raise RawDataError(
            f"{data.name} has {data.stat().st_size} bytes, expected {8 * prod(shape)} for the "
            f"dimensions {shape} of its .hdr; copy both files again"
        )
    return np.memmap(data, np.dtype("<c8"), "c", shape=shape, order="F")


def _dimensions(path: Path) -> tuple[int, ...]:
    """Read the dimensions of a ``.hdr`` file, sixteen of them.

    Raises:
        RawDataError: When it is missing or something else is in it.
    """
    if not path.is_file():
        raise RawDataError(f"the file {path.name} is missing beside it; copy it there")
    with path.open("rb") as stream:
        lines = stream.read(LONGEST_HEADER).decode("utf-8", errors="replace").splitlines()
    words = lines[1].split() if len(lines) > 1 and lines[0].strip() == SIGNATURE.decode() else []
    sizes = [int(word) if word.isascii() and word.isdigit() else 0 for word in words]
    sizes += [1] * (len(DIMENSIONS) - len(sizes))
    if not words or len(sizes) > len(DIMENSIONS) or 0 in sizes:
        raise RawDataError(
            f"{path.name} says {' '.join(lines[:2])[:80]!r}, expected '# Dimensions' and a line of "
            f"up to {len(DIMENSIONS)} positive numbers; copy or write it again"
        )
    return tuple(sizes)
