"""Words for the axes and the numbers of an array, and for what helps if they are not known."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import h5py
import numpy as np

from mrirecon.errors import RawDataError

Stored: TypeAlias = h5py.Dataset | np.ndarray
"""An array on disk: an HDF5 dataset, or a NumPy array that is usually memory-mapped."""
Kind = Literal["complex", "pairs", "fields", "interleaved"]
COUNTERS = ("contrast", "set", "phase", "repetition")
"""Axes that tell frames from one another, the slowest first; as in :class:`mrirecon.scan.Frame`."""
WORDS = ("slice", "coil", "h", "w", *COUNTERS, "average")
DEFAULTS = {3: ("slice", "h", "w"), 4: ("slice", "coil", "h", "w")}
"""What the axes mean when nobody tells."""
PARTS = (("real", "imag"), ("r", "i"), ("re", "im"))
"""Fields in which real and imaginary parts are kept."""


def axis_words(axes: str | Sequence[str], name: str, stored: Stored) -> tuple[str, ...]:
    """Check what the user said about the axes."""
    words = tuple(axes.replace(",", " ").split() if isinstance(axes, str) else axes)
    unknown = [word for word in words if word not in WORDS]
    twice = [word for word in WORDS if words.count(word) > 1]
    missing = [word for word in ("h", "w") if word not in words]
    problem = (
        f"'{unknown[0]}' is not known" if unknown
        else f"'{twice[0]}' is there twice" if twice
        else f"'{missing[0]}' is missing" if missing
        else f"there are {len(words)} words" if len(stored.shape) - len(words) not in (0, 1)
        else ""
    )  # fmt: skip
    if problem:
        raise RawDataError(
            f"reading.axes '{' '.join(words)}' does not describe '{name}', which is "
            f"{stored.shape} {stored.dtype}: {problem}; give one word per axis, in order, "
            f"of {', '.join(WORDS)}"
        )
    return words


def refuse_empty(stored: Stored, name: str) -> None:
    """Refuse a dataset without even an empty shape, as HDF5 knows them.

    Raises:
        RawDataError: When it is one.
    """
    if stored.shape is None:
        raise RawDataError(f"'{name}' is an empty dataset, expected complex k-space")


def kind_of(stored: Stored, axes: int | None, interleaved: bool) -> Kind | None:
    """Tell how the numbers are kept; None when they are no complex numbers."""
    shape, dtype = stored.shape, stored.dtype
    if dtype.names:
        numbers = all(dtype[name].kind in "fiu" for name in dtype.names)
        return "fields" if numbers and tuple(dtype.names) in PARTS else None
    if dtype.kind == "c":
        return "complex"
    if dtype.kind not in "fiu":
        return None
    if interleaved:
        return "interleaved"
    return "pairs" if len(shape) > 1 and shape[-1] == 2 and axes in (None, len(shape) - 1) else None


def remedy(kind: Kind | None, stored: Stored) -> str:
    """Say what can be done about an array that is not understood."""
    if 0 in stored.shape:
        return "it is empty: export the scan again"
    if kind == "pairs" and stored.dtype.kind == "f":
        return (
            "if the last axis holds real and imaginary part, say with reading.axes what the others "
            f"mean, in order ({', '.join(WORDS)}); if these are magnitudes, they cannot be "
            "reconstructed: give the raw file"
        )
    if kind is not None:
        return f"say with reading.axes what each axis means, in order ({', '.join(WORDS)})"
    if stored.dtype.kind in "fiu":
        halves = [axis for axis, n in enumerate(stored.shape) if n == 2]
        if halves:
            return (
                f"these are real numbers: if axis {halves[0]} holds real and imaginary part, move "
                "it to the end and save the array again; magnitude images cannot be reconstructed"
            )
        return (
            "these are real numbers, and the phase of k-space is lost: images of magnitudes cannot "
            "be reconstructed. Save k-space as one complex array, or choose another array of the "
            "file with reading.variable"
        )
    return "these are no numbers that k-space can be made of: save one complex array"


def expected(words: tuple[str, ...] | None) -> str:
    """Write the axes that were expected."""
    choices = [words] if words else [DEFAULTS[4], DEFAULTS[3]]
    return " or ".join(f"({', '.join(choice)})" for choice in choices)
