"""A stored k-space array: what its axes mean and how its numbers are kept.

The one place that turns what is on disk, in any order of axes, into planes ``(coil, h, w)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import h5py
import numpy as np
from jaxtyping import Complex64

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_words import (
    COUNTERS,
    DEFAULTS,
    Kind,
    Stored,
    axis_words,
    expected,
    kind_of,
    refuse_empty,
    remedy,
)
from mrirecon.readers.hdf5.opening import all_finite, read, read_whole_axes
from mrirecon.readers.hdf5.unwritten import coverage, numbers
from mrirecon.scan import Frame

Shape = tuple[int, int]
LARGEST_PLANE, LARGEST_COUNT = 2**28, 2**20
"""Samples of a plane and number of planes beyond which a file is damaged rather than large."""


@dataclass(frozen=True)
class KSpaceArray:
    """The layout of a stored array.

    Attributes:
        axes: What each axis means, in stored order; some of ``WORDS``, ``h`` and ``w`` among them.
        shape: Length of each axis; of interleaved coils the number of coils.
        kind: ``complex`` numbers; ``pairs``, a last axis of real and imaginary part; ``fields`` of
            these names; or ``interleaved`` parts along the coil axis, real first.
        name: Name of the array, for messages.
        notes: Notes about what was converted, one sentence each.
        corner: Axes along which k = 0 is stored at index 0.
        plain: Axes whose Fourier transform had its origin in the first pixel of the image.
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    kind: Kind
    name: str = "kspace"
    notes: tuple[str, ...] = ()
    corner: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        stored: Stored,
        axes: str | Sequence[str] | None = None,
        name: str = "kspace",
        interleaved: bool = False,
    ) -> "KSpaceArray":
        """Recognise the layout of ``stored``.

        Args:
            stored: The array as it is stored.
            axes: Meaning of each axis, without the last one of ``pairs``; None takes ``DEFAULTS``.
            name: Name of the array, for messages.
            interleaved: Whether a real array alternates real and imaginary parts along ``coil``.

        Raises:
            RawDataError: When it has other axes, no complex numbers, or no samples.
        """
        refuse_empty(stored, name)
        words = None if axes is None else axis_words(axes, name, stored)
        kind = kind_of(stored, None if words is None else len(words), interleaved)
        shape = stored.shape[:-1] if kind == "pairs" else stored.shape
        words = words or DEFAULTS.get(len(shape))
        if kind is None or words is None or len(words) != len(shape) or 0 in shape:
            raise RawDataError(
                f"'{name}' is {stored.shape} {stored.dtype}, expected complex "
                f"{expected(words)}, or numbers with a last axis of length 2; "
                f"{remedy(kind, stored)}"
            )
        if kind == "interleaved":
            shape = tuple(
                n // 2 if word == "coil" else n for word, n in zip(words, shape, strict=True)
            )
        notes: tuple[str, ...] = ()
        if kind != "complex" or stored.dtype.itemsize != 8:
            notes = (f"k-space is stored as {stored.dtype} and was converted to complex64.",)
        array = cls(words, tuple(shape), kind, name, notes)
        planes = array.slices * prod(array.frame_shape) * array.averages
        if array.coils * prod(array.grid) > LARGEST_PLANE or planes > LARGEST_COUNT:
            raise RawDataError(
                f"'{name}' is {stored.shape} {stored.dtype}, expected at most {LARGEST_PLANE} "
                f"samples in a plane and {LARGEST_COUNT} planes; the file is damaged, or its axes "
                "are in another order: say so with reading.axes"
            )
        return replace(array, notes=(*notes, *array.written(stored)))

    def written(self, stored: Stored) -> tuple[str, ...]:
        """Tell which planes of an HDF5 dataset were never written: they are zero.

        Raises:
            RawDataError: When nothing was written at all.
        """
        found = coverage(stored) if isinstance(stored, h5py.Dataset) else None
        if found is None:
            return ()
        words = ("slice", *COUNTERS, "average")
        axes = [axis for axis, word in enumerate(self.axes) if word in words]
        missing = found.missing(tuple(axes))
        if not missing.any():
            return (f"Parts of '{self.name}' were never written: they are zero.",)
        where = [
            f"{self.axes[axis]} {numbers(np.unique(places))}"
            for axis, places in zip(axes, missing.nonzero(), strict=True)
        ]
        return (
            f"'{self.name}' of {' and '.join(where)} was never written and is zero: the file is "
            "perhaps not complete; copy or convert it again.",
        )

    def count(self, word: str) -> int:
        """Return the length of the axis ``word``; 1 when there is none."""
        return self.shape[self.axes.index(word)] if word in self.axes else 1

    @property
    def slices(self) -> int:
        return self.count("slice")

    @property
    def coils(self) -> int:
        return self.count("coil")

    @property
    def averages(self) -> int:
        return self.count("average")

    @property
    def grid(self) -> Shape:
        return self.count("h"), self.count("w")

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Lengths of the axes in ``COUNTERS``."""
        return tuple(self.count(word) for word in COUNTERS)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames in the order of a Scan."""
        return tuple(Frame(*counters) for counters in product(*map(range, self.frame_shape)))

    def counters(self, frame: int) -> dict[str, int]:
        """Return the position of a frame along each of ``COUNTERS``."""
        values = np.unravel_index(frame, self.frame_shape)
        return {word: int(value) for word, value in zip(COUNTERS, values, strict=True)}

    def read(
        self, stored: Stored, index: int, coil: int | None = None, average: int = 0
    ) -> Complex64[np.ndarray, "coil h w"]:
        """Read one plane, counted as a Scan does, or one coil of it.

        Raises:
            RawDataError: When it cannot be read or is not finite.
        """
        frame, slice_ = divmod(index, self.slices)
        fixed = {**self.counters(frame), "slice": slice_, "average": average}
        if coil is not None:
            return self.take(stored, ("h", "w"), {**fixed, "coil": coil})[None]
        if "coil" not in self.axes:
            return self.take(stored, ("h", "w"), fixed)[None]
        return self.take(stored, ("coil", "h", "w"), fixed)

    def plane_at(
        self, stored: Stored, position: dict[str, int]
    ) -> Complex64[np.ndarray, "coil h w"]:
        """Look at the plane at a position along the other axes, as :meth:`peek` does.

        Raises:
            RawDataError: When it cannot be read.
        """
        if "coil" not in self.axes:
            return self.peek(stored, ("h", "w"), position)[None]
        return self.peek(stored, ("coil", "h", "w"), position)

    def take(
        self, stored: Stored, wanted: Sequence[str], fixed: dict[str, int]
    ) -> Complex64[np.ndarray, "..."]:
        """Read a part of the array with its axes ordered as ``wanted``.

        Args:
            stored: The array as it is stored.
            wanted: Axes that the array has, to be read whole.
            fixed: Position along every other axis; those the array lacks are ignored.

        Raises:
            RawDataError: When it cannot be read or is not finite.
        """
        result = self._taken(stored, wanted, fixed)
        if not all_finite(result.view(np.float32)):
            where = ", ".join(f"{word} {fixed[word]}" for word in self.axes if word in fixed)
            where += " of " if where else ""
            raise RawDataError(
                f"{where}'{self.name}' holds values that are not finite (NaN or infinity)"
                f"{self._beyond(stored)}, expected numbers; copy or export the file again"
            )
        return self._in_the_middle(result, wanted)

    def _beyond(self, stored: Stored) -> str:
        double = self.kind == "fields" or stored.dtype.itemsize > (
            8 if self.kind == "complex" else 4
        )
        return ", or larger than single precision holds, 3e38" if double else ""

    def peek(
        self, stored: Stored, wanted: Sequence[str], fixed: dict[str, int]
    ) -> Complex64[np.ndarray, "..."]:
        """Read as :meth:`take` does, to look for something: zero where a value is not finite.

        Raises:
            RawDataError: When it cannot be read.
        """
        result = self._in_the_middle(self._taken(stored, wanted, fixed), wanted)
        if all_finite(result.view(np.float32)):
            return result
        return np.nan_to_num(result, nan=0.0, posinf=0.0, neginf=0.0)

    def _taken(
        self, stored: Stored, wanted: Sequence[str], fixed: dict[str, int]
    ) -> Complex64[np.ndarray, "..."]:
        """Read a part of the array as it is."""
        one_coil = slice(2 * fixed.get("coil", 0), 2 * fixed.get("coil", 0) + 2)
        selection = tuple(
            slice(None) if word in wanted
            else one_coil if self.kind == "interleaved" and word == "coil"
            else fixed[word]
            for word in self.axes
        )  # fmt: skip
        kept = [
            word for word, part in zip(self.axes, selection, strict=True) if isinstance(part, slice)
        ]
        if self.kind == "complex" and stored.dtype == np.complex64:  # nothing to convert
            result = read_whole_axes(stored, selection)
        else:
            result, kept = self._converted(np.asarray(read(stored, selection)), kept, wanted)
        return np.ascontiguousarray(result.transpose([kept.index(word) for word in wanted]))

    def _in_the_middle(
        self, values: Complex64[np.ndarray, "..."], wanted: Sequence[str]
    ) -> Complex64[np.ndarray, "..."]:
        """Move k = 0 and the origin of the image to index ``n // 2``."""
        for axis, word in enumerate(wanted):
            if word in self.corner:
                values = np.fft.fftshift(values, axis)
            if word in self.plain:
                # imports torch, which few arrays need to be understood
                from mrirecon.readers.arrays.moved_origin import moved_origin

                values = moved_origin(values, axis)
        return np.ascontiguousarray(values) if self.corner or self.plain else values

    def _converted(
        self, values: np.ndarray, kept: list[str], wanted: Sequence[str]
    ) -> tuple[Complex64[np.ndarray, "..."], list[str]]:
        """Turn stored numbers into complex64; returns also what the axes then mean."""
        if self.kind == "interleaved":
            values = np.moveaxis(values, kept.index("coil"), -1)
            real, imaginary = values[..., ::2], values[..., 1::2]
            kept = [word for word in kept if word != "coil"]
            if "coil" in wanted:
                kept.append("coil")
            else:
                real, imaginary = real[..., 0], imaginary[..., 0]
        elif self.kind == "pairs":
            real, imaginary = values[..., 0], values[..., 1]
        elif self.kind == "fields":
            real, imaginary = (values[name] for name in values.dtype.names or ())
        else:
            real, imaginary = values.real, values.imag
        result = np.empty(real.shape, np.complex64)
        with np.errstate(over="ignore", invalid="ignore"):  # found out by the caller
            result.real, result.imag = real, imaginary
        if not result.any() and (np.any(real) or np.any(imaginary)):
            raise RawDataError(
                f"the values of '{self.name}' are smaller than single precision holds, 1e-45; "
                "multiply them by a constant and save them again"
            )
        return result, kept
