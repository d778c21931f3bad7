"""The base of formats that store non-Cartesian k-space as an array, with a trajectory beside it.

Places are the file's own, those of another file, or made by the name that a user gives them. A
Sample has the axes ``coil h w``: samples of a readout along ``h``, readouts along ``w``.
"""

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.read_options import ReadOptions
from mrirecon.readers.arrays.array_words import Stored, axis_words
from mrirecon.readers.arrays.kspace_array import KSpaceArray
from mrirecon.readers.arrays.trajectory_file import (
    is_array,
    stored_name,
    stored_places,
)
from mrirecon.readers.base import FileScan, blaming
from mrirecon.scan import Frame, ScanHeader

if TYPE_CHECKING:
    import mrirecon.readers.arrays.placed_trajectory
    import mrirecon.types


class TrajectoryScan(FileScan):
    """Non-Cartesian k-space in an array, read plane by plane.

    Attributes:
        array: Layout of the k-space array.
        placed: Places of the samples.
        centers: Centre of k-space of all frames of each slice together, as far as it was needed.
        variable: Name of the k-space array.
        parts_of_frame: Number of frames into which the readouts of a stored one are divided.
    """

    choices: ClassVar[tuple[str, ...]] = (
        "axes", "variable", "trajectory", "trajectory_unit", "matrix", "gradient_delays",
        "spokes_per_frame",
    )  # fmt: skip
    array: KSpaceArray
    placed: "mrirecon.readers.arrays.placed_trajectory.PlacedTrajectory"
    parts_of_frame: int
    variable: str = "kspace"
    _held: Mapping[str, np.ndarray] | None = None  # arrays of a format that is read as a whole

    def __init__(self, path: Path, reading: ReadOptions | None = None) -> None:
        super().__init__(path, reading)
        # imports torch, by which trajectories are understood
        from mrirecon.raw.frame_calibration import TOLD
        from mrirecon.readers.arrays.placed_trajectory import placed

        self.centers: dict[int, Any] = {}
        if (told := self.reading.trajectory) is not None and Path(told).is_file():
            self.watch([Path(told)])
        with blaming(path), self.open() as file:
            self.placed = placed(self, file)
        self.array, grid, matrix = self.placed.array, self.placed.grid, self.placed.matrix
        frames, more = self._divided()
        notes, name = [*more, *([TOLD] if len(frames) > 1 else [])], path.name
        self.header = ScanHeader(
            name=name, format=self.format, slices=self.array.slices, coils=self.array.coils,
            grid=(grid, grid), canvas=(matrix, matrix), matrix=(matrix, matrix), frames=frames,
            notes=(*self.placed.notes, *notes, "The file has no header: voxel sizes are unknown."),
        )  # fmt: skip

    @abstractmethod
    def open(self) -> AbstractContextManager[Mapping[str, Any]]:
        """Open the file read-only.

        Raises:
            RawDataError: When it is damaged.
        """

    @abstractmethod
    def values(self, file: Mapping[str, Any]) -> Stored:
        """Return the stored array of k-space.

        Raises:
            RawDataError: When there is none.
        """

    def own_places(
        self, file: Mapping[str, Any], name: str | None
    ) -> tuple[np.ndarray, str] | None:
        """Return a trajectory that the file holds, and its name; None when it has none.

        Args:
            file: The open file.
            name: Name of the trajectory; None takes the one that is called so.
        """
        name = name or stored_name(file)
        if name is None or not is_array(file.get(name)):
            return None
        return stored_places(file, name)

    def named(self) -> str:
        """Return the name of the k-space array, for messages."""
        return self.variable

    def axes(self, stored: Stored) -> tuple[str, ...] | None:
        """Return what the axes of k-space mean as far as the format or the user tells."""
        told = self.reading.axes
        return None if told is None else axis_words(told, self.named(), stored)

    def content(self) -> tuple[tuple[str, str], ...]:
        return self.placed.content()

    def _read(self, index: int) -> "mrirecon.types.Sample":
        from mrirecon.readers.arrays.trajectory_filling import filled  # torch, see above

        self.check(index)
        return filled(self, index)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "centers": {}, "_held": None}

    def _divided(self) -> tuple[tuple[Frame, ...], list[str]]:
        """Divide readouts into frames, as a user told; also says so."""
        frames, size, count = self.array.frames, self.reading.spokes_per_frame, self.array.grid[1]
        self.parts_of_frame = 1
        if size is None:
            return frames, []
        if size > count:
            raise RawDataError(
                f"{self.path}: reading.spokes_per_frame={size}, but there are only {count} "
                "readouts; expected at least one frame of them, choose fewer"
            )
        self.parts_of_frame = parts = max(1, count // size)
        divided = [
            replace(frame, repetition=frame.repetition * parts + part)
            for frame in frames
            for part in range(parts)
        ]
        left = count - parts * size
        rest = f" {left} readouts at the end make no whole frame and were left out." if left else ""
        note = f"Each frame has {size} successive readouts: {len(divided)} frames.{rest}"
        return tuple(divided), [note]
