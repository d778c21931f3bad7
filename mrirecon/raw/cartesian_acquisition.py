"""A Cartesian acquisition: its readouts understood, and sorted one slice or volume at a time.

Nothing here opens a file. Readouts are asked for by number, so that a file reader fetches just
those of one slice and a scanner server hands out what has arrived.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Complex64, Float32
from torch import Tensor

from mrirecon.raw.acquisition import Acquisition, Fetch
from mrirecon.raw.frames import frames_of
from mrirecon.raw.kspace_grid import Grid
from mrirecon.raw.memory import scratch
from mrirecon.raw.oversampling import center_recorded, readout_ranges, required_size
from mrirecon.raw.readouts import Index, Readouts
from mrirecon.raw.resampling import Reference
from mrirecon.raw.sorting import (
    AveragedLines,
    SortedLines,
    average_lines,
    flat_places,
    sort_lines,
    to_planes,
)
from mrirecon.sampling.calibration import centered_slice, central_block
from mrirecon.types import Sample

CHUNK = 128 * 2**20
"""Bytes of averaged readouts that are held at once while a 3-D scan is sorted."""
LARGEST_REFERENCE = 256
"""Samples along each axis that are kept of a reference scan."""


@dataclass(frozen=True)
class Planes:
    """One frame of a 3-D scan, in image space along the readout.

    Attributes:
        kspace: One plane of phase encodings for each pixel along the readout.
        counts: Number of readouts that went into each place.
        calibration: The fully sampled centre of a separate reference scan, if any.
    """

    kspace: Complex64[np.ndarray, "x coil h w"]
    counts: Float32[Tensor, "h w"]
    calibration: Complex64[Tensor, "x coil hc wc"] | None


@dataclass(frozen=True)
class CartesianAcquisition(Acquisition):
    """What is needed to sort any slice of an acquisition.

    Attributes:
        grid: Grid that the lines are sorted onto.
        line_mask: Whether every readout is complete, so that masks have a single row.
        averages: Largest number of readouts at one place when the numbers differ, else None.
        time_average: Frames have too small a centre of their own, but together a larger one: their
            mean over time is the calibration data.
        reference: The grid of separate reference lines, when it is not the image's.
    """

    grid: Grid
    line_mask: bool
    averages: int | None
    time_average: bool
    reference: Reference | None = None
    _references: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def whole_frames(self) -> bool:
        """Whether the planes of a frame are made together, because they lie across readouts."""
        return self.grid.partition is not None

    @property
    def slices(self) -> int:
        """Planes of one frame."""
        return self.grid.readout.matrix if self.grid.partition else len(self.stack.order)

    def slice(self, frame: int, index: int, fetch: Fetch) -> Sample:
        """Return slice ``index``, in anatomical order, of a 2-D scan.

        A slice that one frame lacks is all zero, with an empty mask.

        Raises:
            RawDataError: When its readouts are damaged.
        """
        counter = self.stack.order[index]
        lines = self.kinds.imaging[self.frame == frame]
        lines = self.of_slice(lines, counter)
        if len(lines):
            found = sort_lines(self._average(lines, self.grid, fetch), self.grid)
        else:
            empty = torch.zeros(self.coils, *self.grid.shape, dtype=torch.complex64)
            found = SortedLines(empty, torch.zeros(self.grid.shape))
        return self._sample(found.kspace, found.counts, self._calibration(frame, counter, fetch))

    def planes_of(self, frame: int, fetch: Fetch) -> Callable[[int], Sample]:
        """Return what gives each plane of a frame of a 3-D scan, by its number.

        Raises:
            RawDataError: When its readouts are damaged.
        """
        planes = self.volume(frame, fetch)
        return lambda index: self.plane(planes, index)

    def volume(self, frame: int, fetch: Fetch) -> Planes:
        """Sort one frame of a 3-D scan; :meth:`plane` takes Samples from it.

        Readouts are fetched in chunks. What does not fit into memory easily is kept on disk.

        Raises:
            RawDataError: When readouts are damaged.
        """
        lines = self.kinds.imaging[self.frame == frame]
        kspace, counts = self._planes(lines, self.grid, fetch)
        index = self._calibration_lines(frame)
        if not len(index):
            return Planes(kspace, counts, None)
        grid = self._calibration_grid(index)
        separate, measured = self._planes(index, grid, fetch)
        calibration = self._block(torch.from_numpy(separate), measured > 0, grid)
        return Planes(kspace, counts, calibration)

    def plane(self, planes: Planes, index: int) -> Sample:
        """Return the plane at position ``index`` of the readout."""
        calibration = None if planes.calibration is None else planes.calibration[index]
        return self._sample(torch.from_numpy(planes.kspace[index].copy()), planes.counts,
                            calibration)  # fmt: skip

    def _sample(
        self,
        kspace: Complex64[Tensor, "coil h w"],
        counts: Float32[Tensor, "h w"],
        calibration: Complex64[Tensor, "coil hc wc"] | None,
    ) -> Sample:
        if self.line_mask:
            counts = counts[:1]
        mask: Bool[Tensor, "#h w"] = counts > 0
        return Sample(
            kspace=kspace,
            mask=mask.clone(),
            weights=None if self.averages is None else counts / self.averages,
            calibration=calibration,
            acs=torch.tensor(central_block(mask, self.grid.shape)),
        )

    def _read(self, lines: Index, fetch: Fetch) -> Readouts:
        """Fetch readouts, with the headers as they were understood."""
        return Readouts(self.heads[lines], fetch(lines).samples)

    def _average(self, lines: Index, grid: Grid, fetch: Fetch) -> AveragedLines:
        return average_lines(self._read(lines, fetch), grid, self.whitening, self.conjugate)

    def _planes(
        self, lines: Index, grid: Grid, fetch: Fetch
    ) -> tuple[Complex64[np.ndarray, "x coil h w"], Float32[Tensor, "h w"]]:
        """Take lines to image space along the readout, a chunk of k-space places at a time."""
        h, w = grid.shape
        result = scratch((grid.readout.matrix, self.coils, h * w))
        counts = torch.zeros(h * w)
        for chunk in self._chunks(lines, grid):
            average = self._average(chunk, grid, fetch)
            image, measured = to_planes(average, grid)
            result[:, :, average.places] = image.numpy()
            counts[average.places] = measured
        return result.reshape(*result.shape[:2], h, w), counts.reshape(h, w)

    def _chunks(self, lines: Index, grid: Grid) -> Iterator[Index]:
        """Divide lines so that the readouts of one place stay together, in the file's order."""
        _, first, slot = np.unique(
            flat_places(grid, self.heads[lines]), return_index=True, return_inverse=True
        )
        arrival = np.argsort(np.argsort(first))[slot.reshape(-1)]
        per_chunk = max(1, CHUNK // (8 * self.coils * grid.full))
        order = np.argsort(arrival // per_chunk, kind="stable")
        ends = np.flatnonzero(np.diff(arrival[order] // per_chunk)) + 1
        yield from np.split(lines[order], ends)

    def _calibration(
        self, frame: int, counter: int, fetch: Fetch
    ) -> Complex64[Tensor, "coil hc wc"] | None:
        """Return the fully sampled centre of a separate reference scan of this slice.

        The last one is kept, because all frames of a slice may share it.
        """
        index = self.of_slice(self._calibration_lines(frame), counter)
        if not len(index):
            return None
        key = (int(index[0]), int(index[-1]), len(index))
        if key not in self._references:
            self._references.clear()
            self._references[key] = self._reference(index, fetch)
        found: Complex64[Tensor, "coil hc wc"] | None = self._references[key]
        return found

    def _reference(self, index: Index, fetch: Fetch) -> Complex64[Tensor, "coil hc wc"] | None:
        grid = self._calibration_grid(index)
        lines = sort_lines(self._average(index, grid, fetch), grid)
        return self._block(lines.kspace, lines.mask, grid)

    def _block(
        self, kspace: Complex64[Tensor, "*b h w"], mask: Bool[Tensor, "h w"], grid: Grid
    ) -> Complex64[Tensor, "*b hc wc"] | None:
        """Cut out the fully sampled centre, at the distances of the image's samples."""
        (h, w), (rows, columns) = grid.shape, _largest(central_block(mask))
        if rows == 0:
            return None
        y, x = centered_slice(h, rows), centered_slice(w, columns)
        block = kspace[..., y, x]
        if self.reference is not None and not self.reference.same:
            first = (y.start - h // 2, x.start - w // 2)
            block = self.reference.resampled(block, first, self.grid)
        return block.clone(memory_format=torch.contiguous_format)

    def _calibration_lines(self, frame: int) -> Index:
        """Return the reference lines of a frame, or else those of the first frame that has some."""
        if self.time_average:
            one = self.frames[frame]
            same = [(f.contrast, f.set) == (one.contrast, one.set) for f in self.frames]
            return self.kinds.imaging[np.array(same)[self.frame]]
        index = self.kinds.calibration
        frames, numbers = frames_of(self.heads[index])
        if not frames:
            return index
        wanted = self.frames[frame]
        return index[numbers == (frames.index(wanted) if wanted in frames else 0)]

    def _calibration_grid(self, index: Index) -> Grid:
        """Return the grid of a reference scan, whose readouts may have another length."""
        grid, heads = self.grid, self.heads[index]
        recorded = center_recorded(heads, grid.full)
        full = required_size(readout_ranges(heads, recorded))
        own = self.reference
        if own is not None:
            grid = replace(grid, phase=own.phase, partition=own.partition)
        h = max(1, round(full * grid.readout.size / grid.full))
        if own is not None and not own.same:
            h = own.readout(full, grid)
        readout = replace(grid.readout, size=h)
        return replace(grid, full=full, recorded=recorded, readout=readout)


def _largest(block: tuple[int, int]) -> tuple[int, int]:
    """Limit a calibration region to a size that no estimator exceeds."""
    rows, columns = block
    return (min(rows, LARGEST_REFERENCE), min(columns, LARGEST_REFERENCE)) if rows else block
