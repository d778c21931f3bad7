"""The base of formats that store non-Cartesian k-space as an array, with a trajectory beside it.

Places are the file's own, those of another file, or made by the name that a user gives them. A
Sample has the axes ``coil h w``: samples of a readout along ``h``, readouts along ``w``.
"""

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.raw.content import content_notes
from mrirecon.raw.frame_calibration import LARGEST, READOUTS, TOLD, averaged_center, dense_center
from mrirecon.raw.gradient_delays import Delays, delay_words, delayed, delays_of
from mrirecon.raw.trajectory_names import is_name
from mrirecon.raw.trajectory_signal import measured_samples, misplaced
from mrirecon.raw.trajectory_units import Extent, image_size, placed_by_extent, uneven
from mrirecon.read_options import ReadOptions
from mrirecon.readers.arrays.array_words import Stored, axis_words
from mrirecon.readers.arrays.kspace_array import KSpaceArray
from mrirecon.readers.arrays.named_trajectory import Laid, made_by_name
from mrirecon.readers.arrays.plain_arrays import ArrayContent
from mrirecon.readers.arrays.trajectory_file import (
    is_array,
    read_places,
    stored_name,
    stored_places,
)
from mrirecon.readers.arrays.trajectory_layout import coordinates, laid_out
from mrirecon.readers.base import FileScan, blaming
from mrirecon.sampling.trajectory_shape import TrajectoryShape, shape_of
from mrirecon.scan import Frame, ScanHeader
from mrirecon.types import Sample


class TrajectoryScan(FileScan):
    """Non-Cartesian k-space in an array, read plane by plane.

    Attributes:
        array: Layout of the k-space array.
        trajectory: Places in cycles per field of view, of all frames together or of each.
        shape: Shape of the trajectory.
        delays: Gradient delays in samples that were corrected; None without any.
        variable: Name of the k-space array.
        parts_of_frame: Number of frames into which the readouts of a stored one are divided.
    """

    choices: ClassVar[tuple[str, ...]] = (
        "axes", "variable", "trajectory", "trajectory_unit", "matrix", "gradient_delays",
        "spokes_per_frame",
    )  # fmt: skip
    array: KSpaceArray
    trajectory: Float32[Tensor, "frame h w 2"]
    shape: TrajectoryShape
    delays: Delays | None
    parts_of_frame: int
    variable: str = "kspace"
    _held: Mapping[str, np.ndarray] | None = None  # arrays of a format that is read as a whole

    def __init__(self, path: Path, reading: ReadOptions | None = None) -> None:
        super().__init__(path, reading)
        self._centers: dict[int, Complex64[Tensor, "coil hc wc"] | None] = {}
        if (told := self.reading.trajectory) is not None and Path(told).is_file():
            self.watch([Path(told)])
        with blaming(path), self.open() as file:
            stored = self.values(file)
            laid = self._laid(file, stored)
            self.array = laid.array
            if self.array.averages > 1:
                raise RawDataError(
                    f"'{self.array.name}' has {self.array.averages} averages, expected none; "
                    "average them first, or call that axis repetition in reading.axes"
                )
            grid, matrix, notes = self._placed(laid)
            notes += self._looked_at(stored)
        frames, more = self._divided()
        notes, name = [*notes, *more, *([TOLD] if len(frames) > 1 else [])], path.name
        self.header = ScanHeader(
            name=name, format=self.format, slices=self.array.slices, coils=self.array.coils,
            grid=(grid, grid), canvas=(matrix, matrix), matrix=(matrix, matrix), frames=frames,
            notes=(*laid.notes, *notes, "The file has no header: voxel sizes are unknown."),
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
        radius, step = self.shape.radius, self.shape.step
        told = f"reaches to {radius:.4g} cycles per field of view, a sample every {step:.3g}"
        return (("trajectory", told), ("gradient delays", delay_words(self.delays)))

    def _read(self, index: int) -> Sample:
        self.check(index)
        sample = self._plane(index)
        if len(self.header.frames) > 1 and dense_center(sample) < LARGEST:
            sample = sample.replace(calibration=self._calibration(index % self.array.slices))
        return sample.replace(key=(self.header.name, index))

    def _plane(self, index: int, parts: int | None = None) -> Sample:
        """Read the readouts of a plane; ``parts`` of a stored frame are frames of their own."""
        whole, slice_ = divmod(index, self.array.slices)
        parts = self.parts_of_frame if parts is None else parts
        frame, part = divmod(whole, parts)
        size = self.array.grid[1]
        if parts == self.parts_of_frame and self.reading.spokes_per_frame is not None:
            size = self.reading.spokes_per_frame
        mine = slice(part * size, (part + 1) * size)
        with blaming(self.path), self.open() as file:
            values = self.array.read(self.values(file), frame * self.array.slices + slice_)
        kspace = torch.from_numpy(values)[:, :, mine].contiguous()
        return Sample(
            kspace=kspace,
            mask=measured_samples(kspace),
            trajectory=self.trajectory[frame if len(self.trajectory) > 1 else 0][:, mine],
            image_grid=self.header.grid,
        )

    def _calibration(self, slice_: int) -> Complex64[Tensor, "coil hc wc"] | None:
        """Return the centre of k-space of all frames of a slice together."""
        if slice_ not in self._centers:
            frames, (_, readouts) = len(self.array.frames), self.array.grid
            count = min(frames, -(-READOUTS // readouts))
            chosen = np.linspace(0, frames - 1, count).round().astype(np.int64).tolist()
            planes = [self._plane(frame * self.array.slices + slice_, 1) for frame in chosen]
            masks = [one.mask.expand(one.kspace.shape[-2:]) for one in planes]
            places = [one.trajectory for one in planes if one.trajectory is not None]
            average = planes[0].replace(
                kspace=torch.cat([one.kspace for one in planes], -1),
                mask=torch.cat(masks, -1),
                trajectory=torch.cat(places, 1),
            )
            self._centers[slice_] = averaged_center(average)
        return self._centers[slice_]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_centers": {}, "_held": None}

    def _laid(self, file: Mapping[str, Any], stored: Stored) -> Laid:
        """Find places, and the axes of k-space and of them."""
        told, axes = self.reading.trajectory, self.axes(stored)
        if told is not None and is_name(told):
            return made_by_name(stored, axes, told, self.named(), self.reading.matrix)
        own = self.own_places(file, told)
        if own is None:
            own = read_places(told or "")
        places, notes = coordinates(*own)
        words, place_words = laid_out(stored, places, axes, own[1])
        array = KSpaceArray.of(stored, words, self.named())
        order = [place_words.index(word) for word in ("h", "w")]
        leading = [n for n in range(len(place_words)) if n not in order]
        sorted_ = places.transpose(*leading, *order, len(place_words))
        whole = np.ascontiguousarray(sorted_.reshape(-1, *sorted_.shape[-3:]))
        if len(whole) not in (1, len(array.frames)):
            raise RawDataError(
                f"'{own[1]}' has places for {len(whole)} frames, k-space has {len(array.frames)}; "
                "expected as many, or one trajectory for all"
            )
        note = (
            f"The axes of '{self.named()}' {array.shape} were taken as ({', '.join(words)}): "
            f"{array.grid[1]} readouts (w) of {array.grid[0]} samples (h)"
            f"{'' if axes is not None else '; reading.axes says otherwise'}."
        )
        return Laid(array, torch.from_numpy(whole), None, (*array.notes, note, *notes))

    def _placed(self, laid: Laid) -> tuple[int, int, list[str]]:
        """Bring places into cycles per field of view; returns grid, matrix and notes."""
        self.shape = shape_of(laid.places[0])
        notes: list[str] = []
        if laid.cycles is not None:
            factor, matrix = laid.cycles
        else:
            extent = Extent(
                float(laid.places.abs().max()), self.shape.step, "radial" in self.shape.kind
            )
            placed = placed_by_extent(extent, self.reading.trajectory_unit, self.reading.matrix)
            factor, matrix = placed.factor, placed.matrix
            notes += placed.notes
        self.trajectory = laid.places * factor
        self.shape = replace(
            self.shape, radius=self.shape.radius * factor, step=self.shape.step * factor
        )
        notes += uneven(self.trajectory.abs().amax((0, 1, 2)).tolist())
        grid = image_size(matrix, float(self.trajectory.abs().max()))
        if grid != matrix:
            notes.append(
                f"The trajectory reaches beyond the k-space of {matrix} pixels: images are "
                f"computed with {grid}."
            )
        return grid, matrix, notes

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

    def _looked_at(self, stored: Stored) -> list[str]:
        """Name empty slices and dead coils; refuse places that do not belong to k-space."""
        radius = self.trajectory[0].norm(dim=-1)
        h, _ = divmod(int(radius.argmin()), radius.shape[1])
        where = dict.fromkeys(self.array.axes, 0) | {"h": h}
        notes, plane = content_notes(ArrayContent(self.array, stored, where, False))
        frame, slice_ = divmod(plane, self.array.slices)
        at = {**where, **self.array.counters(frame), "slice": slice_}
        values = self.array.plane_at(stored, at)
        if not values.any():
            raise RawDataError(
                f"'{self.array.name}' is zero everywhere, expected k-space; the scan was never "
                "written or is empty"
            )
        trajectory = self.trajectory[frame if len(self.trajectory) > 1 else 0]
        if problem := misplaced(values, trajectory):
            if self.reading.axes is None:
                raise RawDataError(
                    f"{problem}. Say with reading.axes what the axes of '{self.array.name}' "
                    f"{self.array.shape} mean, w for readouts and h for samples (taken as "
                    f"'{' '.join(self.array.axes)}'), or with reading.trajectory=FILE where its "
                    "places are"
                )
            notes.append(f"{problem}.")
        self.delays, note = delays_of(self.reading.gradient_delays, values, trajectory)
        if self.delays is not None:
            moved = [delayed(one, self.delays) for one in self.trajectory]
            self.trajectory = torch.stack(moved)
        return [*notes, note] if note else notes
