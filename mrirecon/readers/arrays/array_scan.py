"""The base of all formats that store k-space as an array on its grid.

A format only says how its file is opened, which array is k-space and what its axes mean, and what
else belongs to a Sample.
"""

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Complex64, Float32

from mrirecon.read_options import ReadOptions
from mrirecon.readers.arrays.kspace_array import KSpaceArray, Shape
from mrirecon.readers.arrays.measured_samples import MeasuredSamples, everything, look_for_zeros
from mrirecon.readers.arrays.plain_arrays import check_array
from mrirecon.readers.base import FileScan, blaming
from mrirecon.readers.hdf5.held import HeldFile
from mrirecon.readers.hdf5.mapped import StoredArray, locate
from mrirecon.sampling.calibration import central_block
from mrirecon.sampling.sampled_plane import CartesianPlane, SampledPlane
from mrirecon.scan import ScanHeader

if TYPE_CHECKING:
    import mrirecon.types

Contents = Mapping[str, Any]
"""An open file: arrays, and in HDF5 groups, by name."""


class ArrayScan(FileScan):
    """k-space on its grid, one array in a file, read plane by plane.

    Attributes:
        array: Layout of the k-space array.
        measured: How the measured samples of a plane are found.
        weighted: Whether some samples were averaged more often than others.
        located: Places of the arrays in the file when it can be mapped into memory, else None.
        kept: What is expensive to read or compute and kept between calls, but never pickled.
    """

    choices: ClassVar[tuple[str, ...]] = ("centered",)
    array: KSpaceArray
    measured: MeasuredSamples
    weighted: bool
    located: dict[str, StoredArray] | None
    kept: Any = None

    def __init__(self, path: Path, reading: ReadOptions | None = None) -> None:
        super().__init__(path, reading)
        with blaming(path), self.open() as file:
            self.array = self.recognize(file)
            stored, choosable = self.values(file), "axes" in self.choices
            self.array = check_array(
                self.array, stored, self.reading, self.kspace_axes(), self.known(file), choosable
            )
            notes = list(self.array.notes)
            facts = self.describe(file, notes)
            told = self.told(file, notes)
            self.measured = look_for_zeros(
                lambda index, coil, average: self.plane(file, index, coil, average),
                self.array, told, notes, self.probed(),
            )  # fmt: skip
            self.weighted = self._counts_differ(file, notes)
            self.located = self.locate(file)
            if isinstance(file, HeldFile) and file.sources:
                self.watch(sorted(file.sources))
                parts = ", ".join(sorted(part.name for part in file.sources))
                notes.append(f"The data were put together from the files {parts}.")
        grid = self.array.grid
        known = {
            "format": self.format, "slices": self.array.slices, "coils": self.array.coils,
            "grid": grid, "canvas": grid, "matrix": grid, "frames": self.array.frames,
        }  # fmt: skip
        self.header = ScanHeader(name=path.name, **{**known, **facts}, notes=tuple(notes))

    @abstractmethod
    def open(self) -> AbstractContextManager[Contents]:
        """Open the file read-only.

        Raises:
            RawDataError: When it is damaged.
        """

    @abstractmethod
    def recognize(self, file: Contents) -> KSpaceArray:
        """Find the k-space array and what its axes mean.

        Raises:
            RawDataError: When there is none that is supported.
        """

    def describe(self, file: Contents, notes: list[str]) -> dict[str, Any]:  # noqa: ARG002
        """Return what the file tells, as fields of ScanHeader; extends ``notes``."""
        return {}

    def told(self, file: Contents, notes: list[str]) -> Bool[np.ndarray, "frame #h w"]:  # noqa: ARG002
        """Return what mask and header tell to be measured; extends ``notes``."""
        return everything(self.array)

    def values(self, file: Contents) -> Any:
        """Return the stored array that ``self.array`` describes."""
        return file[self.array.name]

    def locate(self, file: Contents) -> dict[str, StoredArray] | None:
        """Locate the arrays in the file; None when they cannot be mapped into memory."""
        return locate(file)

    def known(self, file: Contents) -> bool:  # noqa: ARG002
        """Tell whether the layout is that of a public data set, and not just an array."""
        return True

    def kspace_axes(self) -> tuple[str, ...]:
        """Return the axes along which the stored array is k-space."""
        return ("h", "w")

    def probed(self) -> tuple[int, ...] | None:
        """Return the planes in which zeros are looked for when not all over the scan."""
        return None

    def plane(
        self, file: Contents, index: int, coil: int | None, average: int
    ) -> Complex64[np.ndarray, "coil h w"]:
        """Read one average of a plane, or one coil of it, in mrirecon's Fourier convention."""
        return self.array.read(self.values(file), index, coil, average)

    def extras(self, file: Contents, index: int) -> dict[str, Any]:  # noqa: ARG002
        """Return further fields of the Sample, as arrays."""
        return {}

    def acs(self, mask: Bool[np.ndarray, "#h w"]) -> Shape:
        """Return the size of the fully sampled centre."""
        return central_block(mask, self.array.grid)

    def told_measured(self, index: int) -> Bool[np.ndarray, "#h w"]:
        return self.measured.told_of(index // self.array.slices)

    def sampled(self, index: int) -> SampledPlane:
        self.check(index)
        with blaming(self.path), self.open() as file:
            kspace, mask, _ = self.combined(file, index)
            separate = self.extras(file, index).get("calibration")
        return CartesianPlane(
            shape=self.array.grid,
            signal=bool((kspace.any(axis=0) & mask).any()),
            reference=None if separate is None else separate.shape[-2:],
            number=index,
            mask=mask,
            acs=self.acs(mask),
        )

    def _read(self, index: int) -> "mrirecon.types.Sample":
        # imports torch, which nothing else of a scan needs
        from mrirecon.readers.arrays.array_filling import filled

        self.check(index)
        with blaming(self.path):
            return filled(self, index)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": None}

    def combined(
        self, file: Contents, index: int
    ) -> tuple[
        Complex64[np.ndarray, "coil h w"],
        Bool[np.ndarray, "#h w"],
        Float32[np.ndarray, "#h w"] | None,
    ]:
        """Read a plane; averages are added where measured and divided by their number.

        Returns:
            k-space, zeros and more where nothing was measured; what was measured; and how often
            relative to the most, None without averages.
        """
        frame = index // self.array.slices
        if self.array.averages == 1:
            values = self.plane(file, index, None, 0)
            return values, self.measured.of(values, frame), None
        total, count = np.zeros((), np.complex64), np.zeros((), np.float32)
        for average in range(self.array.averages):  # one after the other, not to hold them all
            values = self.plane(file, index, None, average)
            mask = self.measured.find(values, frame)
            total, count = total + values * mask, count + mask.astype(np.float32)
        if not count.any():
            return total, self.measured.of(values, frame), np.ones_like(count)
        return total / np.maximum(count, 1), np.asarray(count > 0), count / count.max()

    def _counts_differ(self, file: Contents, notes: list[str]) -> bool:
        """Tell whether some samples were averaged more often than others."""
        if self.array.averages == 1:
            return False
        _, mask, weights = self.combined(file, self.array.slices // 2)
        differ = weights is not None and bool((weights[mask] != 1).any())
        notes.append(
            f"The {self.array.averages} averages were added as complex numbers, where measured"
            f"{'; samples count as often as they were averaged' if differ else ''}."
        )
        return differ
