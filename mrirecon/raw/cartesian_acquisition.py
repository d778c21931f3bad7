"""A Cartesian acquisition: its readouts understood, so that any slice or volume can be sorted.

Nothing here opens a file. Readouts are asked for by number, so that a file reader fetches just
those of one slice and a scanner server hands out what has arrived.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32

from mrirecon.raw.acquisition import Acquisition, Fetch
from mrirecon.raw.averaging import AveragedLines, average_lines, flat_places
from mrirecon.raw.frames import FRAME_COUNTERS, frames_of
from mrirecon.raw.kspace_grid import STEPS, Grid
from mrirecon.raw.oversampling import center_recorded, readout_ranges, required_size
from mrirecon.raw.readouts import Index, Readouts
from mrirecon.raw.reference_grid import Reference
from mrirecon.sampling.calibration import centered_slice, central_block

if TYPE_CHECKING:
    import mrirecon.raw.cartesian_filling
    import mrirecon.types

CHUNK = 128 * 2**20
"""Bytes of averaged readouts that are held at once while a 3-D scan is sorted."""
LARGEST_REFERENCE = 256
"""Samples along each axis that are kept of a reference scan."""


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

    @property
    def whole_frames(self) -> bool:
        return self.grid.partition is not None

    @property
    def slices(self) -> int:
        return self.grid.readout.matrix if self.grid.partition else len(self.stack.order)

    def slice(self, frame: int, index: int, fetch: Fetch) -> "mrirecon.types.Sample":
        return self._filling.slice(frame, index, fetch)

    def planes_of(self, frame: int, fetch: Fetch) -> "Callable[[int], mrirecon.types.Sample]":
        return self._filling.planes_of(frame, fetch)

    @cached_property
    def _filling(self) -> "mrirecon.raw.cartesian_filling.CartesianFilling":
        # imports torch, which nothing else of an acquisition needs
        from mrirecon.raw.cartesian_filling import CartesianFilling

        return CartesianFilling(self)

    def lines(self, frame: int, index: int | None = None) -> Index:
        """Return the imaging lines of a frame, or of its slice ``index`` in anatomical order."""
        lines = self.kinds.imaging[self.frame == frame]
        return lines if index is None else self.of_slice(lines, self.stack.order[index])

    def calibration_lines(self, frame: int, index: int | None = None) -> Index:
        """Return reference lines: of a frame, or else of the first frame that has some.

        Args:
            frame: Number of the frame.
            index: Number of the slice in anatomical order; None takes those of all slices.
        """
        lines = self._calibration_lines(frame)
        return lines if index is None else self.of_slice(lines, self.stack.order[index])

    def _calibration_lines(self, frame: int) -> Index:
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

    def calibration_grid(self, lines: Index) -> Grid:
        """Return the grid of a reference scan, whose readouts may have another length."""
        grid, heads = self.grid, self.heads[lines]
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

    def average(self, lines: Index, grid: Grid, fetch: Fetch) -> AveragedLines:
        """Fetch readouts and average them, with the headers as they were understood.

        Raises:
            RawDataError: When they are damaged.
        """
        readouts = Readouts(self.heads[lines], fetch(lines).samples)
        return average_lines(readouts, grid, self.whitening, self.conjugate)

    def averages_of_volume(self, lines: Index, grid: Grid, fetch: Fetch) -> Iterator[AveragedLines]:
        """Average the readouts of a 3-D scan, a chunk of k-space places at a time.

        Raises:
            RawDataError: When they are damaged.
        """
        for chunk in self._chunks(lines, grid):
            yield self.average(chunk, grid, fetch)

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

    def mask(self, counts: Float32[np.ndarray, "h w"]) -> Bool[np.ndarray, "#h w"]:
        """Return what of a plane was measured, by the number of readouts in each sample."""
        return (counts[:1] if self.line_mask else counts) > 0

    def along_readouts(self) -> tuple[tuple[str, str], ...]:
        return ("echo", self._echo()), ("averages", self._averages())

    def _echo(self) -> str:
        lines, grid = self.heads[self.kinds.imaging], self.grid
        placed = readout_ranges(lines, grid.recorded)
        left, right = -int(placed.start.min()), int(placed.stop.max())
        share = (left + right) / grid.full
        oversampling = grid.full / grid.readout.size
        return (
            f"{left} samples before and {right} from the centre on, {share:.0%} of {grid.full}; "
            f"oversampled {oversampling:g} times"
        )

    def _averages(self) -> str:
        if self.averages is not None:
            return f"up to {self.averages}, unequal: weighted"
        lines = self.heads[self.kinds.imaging]
        place = np.stack([lines["idx"][n] for n in (*FRAME_COUNTERS, "slice", *STEPS)], axis=1)
        return f"{len(lines) // len(np.unique(place, axis=0))}"


def calibration_block(counts: Float32[np.ndarray, "h w"], grid: Grid) -> tuple[slice, slice] | None:
    """Return where the fully sampled centre of a reference scan lies; None when it has none.

    It is limited to a size that no estimator exceeds.
    """
    rows, columns = central_block(counts > 0)
    if not rows:
        return None
    size = (min(rows, LARGEST_REFERENCE), min(columns, LARGEST_REFERENCE))
    y, x = (centered_slice(n, kept) for n, kept in zip(grid.shape, size, strict=True))
    return y, x
