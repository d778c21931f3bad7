"""A Cartesian acquisition: its readouts understood, and sorted one slice or volume at a time.

Nothing here opens a file. Readouts are asked for by number, so that a file reader fetches just
those of one slice and a scanner server hands out what has arrived.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Complex64, Float32, Int64
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.raw.centers import center_note, lines_through_center
from mrirecon.raw.checks import refuse_unsupported, sampling_notes, select_encoding
from mrirecon.raw.frames import check_repeats, completeness_note, frames_of
from mrirecon.raw.geometry import SliceStack, slice_stack, volume_stack
from mrirecon.raw.grid import Grid, plan_grid
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.memory import refuse_too_large, scratch
from mrirecon.raw.noise import NoiseScan, noise_scan, whitening
from mrirecon.raw.oversampling import center_recorded, nearest_sample, required_size, windows
from mrirecon.raw.readouts import Heads, Index, LineKinds, Readouts, calibration_only, classify
from mrirecon.raw.sorting import (
    AveragedLines,
    SortedLines,
    average_lines,
    flat_places,
    sort_lines,
    to_planes,
)
from mrirecon.sampling.calibration import center_slice, central_block
from mrirecon.scan import Frame
from mrirecon.types import Sample

Fetch = Callable[[Index], Readouts]
"""Returns the readouts with the given numbers, in that order."""
CHUNK = 128 * 2**20
"""Bytes of averaged readouts that are held at once while a 3-D scan is sorted."""


@dataclass(frozen=True)
class Planes:
    """One frame of a 3-D scan, in image space along the readout.

    Attributes:
        kspace: One plane of phase encodings for each pixel along the readout.
        counts: How many readouts went into each place.
        calibration: The fully sampled centre of a separate reference scan, if any.
    """

    kspace: Complex64[np.ndarray, "x coil h w"]
    counts: Float32[Tensor, "h w"]
    calibration: Complex64[Tensor, "x coil hc wc"] | None


@dataclass(frozen=True)
class CartesianAcquisition:
    """What is needed to sort any slice of an acquisition.

    Attributes:
        heads: Headers of all readouts, corrected where needed.
        kinds: Which readouts do what.
        grid: Where lines go.
        stack: Slices in anatomical order.
        frames: The volumes, in order.
        frame: The number of each imaging line's frame.
        coils: Number of channels.
        whitening: Matrix applied to every readout, or None without a noise scan.
        conjugate: The vendor's Fourier sign is the opposite of ours.
        line_mask: Every readout is complete, so that masks have a single row.
        averages: Largest number of readouts at one place when the numbers differ, else None.
        notes: What was noticed, one sentence each.
    """

    heads: Heads
    kinds: LineKinds
    grid: Grid
    stack: SliceStack
    frames: tuple[Frame, ...]
    frame: Index
    coils: int
    whitening: Complex64[np.ndarray, "coil coil"] | None
    conjugate: bool
    line_mask: bool
    averages: int | None
    notes: tuple[str, ...]

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
        lines = self._of_slice(lines, counter)
        if len(lines):
            found = sort_lines(self._average(lines, self.grid, fetch), self.grid)
        else:
            empty = torch.zeros(self.coils, *self.grid.shape, dtype=torch.complex64)
            found = SortedLines(empty, torch.zeros(self.grid.shape))
        return self._sample(found.kspace, found.counts, self._calibration(frame, counter, fetch))

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
        (h, w), (rows, columns) = grid.shape, central_block(measured > 0)
        block = separate[:, :, center_slice(h, rows), center_slice(w, columns)]
        return Planes(kspace, counts, torch.from_numpy(block.copy()) if rows else None)

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
        """Return the fully sampled centre of a separate reference scan of this slice."""
        index = self._of_slice(self._calibration_lines(frame), counter)
        if not len(index):
            return None
        grid = self._calibration_grid(index)
        lines = sort_lines(self._average(index, grid, fetch), grid)
        rows, columns = central_block(lines.mask)
        if rows == 0:
            return None
        h, w = grid.shape
        return lines.kspace[:, center_slice(h, rows), center_slice(w, columns)].contiguous()

    def _calibration_lines(self, frame: int) -> Index:
        """Return the reference lines of a frame, or else those of the first frame that has some."""
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
        full = required_size(windows(heads, recorded))
        h = max(1, round(full * grid.readout.size / grid.full))
        readout = replace(grid.readout, size=h)
        return replace(grid, full=full, recorded=recorded, readout=readout)

    def _of_slice(self, index: Index, counter: int) -> Int64[np.ndarray, "line"]:
        return index[self.heads["idx"]["slice"][index] == counter]


def understand(
    header: MeasurementHeader,
    heads: Heads,
    fetch: Fetch,
    *,
    noise: NoiseScan | None = None,
    center: int | None = None,
    fourier_sign: int | None = None,
) -> CartesianAcquisition:
    """Decide how readouts make images; only noise and the lines of one slice are fetched.

    Args:
        header: What is known about the measurement as a whole.
        heads: Headers of all readouts.
        fetch: Returns readouts by number.
        noise: Used instead of the noise readouts among ``heads``.
        center: Value of ``kspace_encode_step_1`` that encodes k = 0, against the header.
        fourier_sign: 1 as here, -1 the opposite; the vendor's when None.

    Raises:
        RawDataError: When there are no imaging lines, or something varies that is not supported.
    """
    # the calibration mode is a property of the encoding that the imaging lines use
    kinds = classify(heads, None)
    if not len(kinds.imaging):
        found = {"noise": len(kinds.noise), "calibration": len(kinds.calibration)} | kinds.dropped
        text = ", ".join(f"{count} {name}" for name, count in found.items() if count)
        raise RawDataError(
            f"none of the {len(heads)} readouts is an imaging line (found: {text or 'nothing'}). "
            "Is this a noise or calibration scan? Give the file of the imaging measurement"
        )
    encoding = select_encoding(header, heads[kinds.imaging])
    kinds = classify(heads, encoding.calibration_mode)
    if header.pilot_tone:
        heads = _without_pilot_tone(heads)
    lines = heads[kinds.imaging]
    encoding = select_encoding(header, lines)
    refuse_unsupported(encoding, lines)
    grid = plan_grid(encoding, lines, header.vendor, center)
    stack = volume_stack(lines, grid) if grid.partition else slice_stack(lines)
    frames, numbers = frames_of(lines)
    notes = ["The samples of the pilot tone were left out."] if header.pilot_tone else []
    notes += [*header.notes, *grid.notes, *stack.notes, *sampling_notes(kinds, grid, lines)]
    if note := completeness_note(frames, len(stack.order), lines, numbers):
        notes.append(note)
    repeats = check_repeats(lines, calibration_only(lines))
    notes += [repeats.note] if repeats.note else []
    coils = int(lines["active_channels"][0])
    refuse_too_large(grid, coils)
    notes += _center_notes(grid, kinds.imaging, lines, numbers, stack, fetch)
    matrix = _whiten(header, heads, kinds, fetch, notes, noise)
    if matrix is not None and repeats.most > 1:
        # the mean of n lines has 1/n of the noise variance; whitened means unit variance, which
        # lines that were averaged less often exceed: their weight says so
        matrix = (matrix * np.sqrt(repeats.most)).astype(np.complex64)
    conjugate = "siemens" in (header.vendor or "").lower()
    if fourier_sign is not None:
        conjugate = fourier_sign < 0
    elif conjugate:
        notes.append("Siemens' Fourier sign was converted: k-space is conjugated.")
    return CartesianAcquisition(
        heads=heads,
        kinds=kinds,
        grid=grid,
        stack=stack,
        frames=frames,
        frame=numbers,
        coils=coils,
        whitening=matrix,
        conjugate=conjugate,
        line_mask=grid.partition is None and _complete(grid, lines),
        averages=None if repeats.equal else repeats.most,
        notes=tuple(notes),
    )


def _without_pilot_tone(heads: Heads) -> Heads:
    """Discard the first three samples and the last, where OCMR's pilot tone is.

    (Chen et al., OCMR (v1.0), arXiv:2008.03410, and its reference reader.)
    """
    heads = heads.copy()
    heads["discard_pre"] = np.maximum(heads["discard_pre"], 3)
    heads["discard_post"] = np.maximum(heads["discard_post"], 1)
    return heads


def _complete(grid: Grid, lines: Heads) -> bool:
    """Tell whether every readout covers every sample that is left without oversampling."""
    placed = windows(lines, grid.recorded)
    used = nearest_sample(grid.full, grid.shape[0]) - grid.full // 2
    return bool(placed.start.max() <= used.min() and placed.stop.min() > used.max())


def _center_notes(
    grid: Grid, imaging: Index, lines: Heads, numbers: Index, stack: SliceStack, fetch: Fetch
) -> list[str]:
    """Compare the encoding centres with the signal of the middle slice of the first frame."""
    middle = stack.order[len(stack.order) // 2]
    one = np.flatnonzero((numbers == 0) & (lines["idx"]["slice"] == middle))
    notes = []
    for axis in range(2 if grid.partition else 1):
        chosen = lines_through_center(grid, lines, axis, one)
        note = center_note(grid, fetch(imaging[chosen]), axis) if len(chosen) else None
        notes += [note] if note else []
    return notes


def _whiten(
    header: MeasurementHeader,
    heads: Heads,
    kinds: LineKinds,
    fetch: Fetch,
    notes: list[str],
    noise: NoiseScan | None,
) -> Complex64[np.ndarray, "coil coil"] | None:
    if noise is None and not len(kinds.noise):
        elsewhere = [name for kind, name in header.dependencies if kind.lower() == "noise"]
        where = f" (it refers to measurement {elsewhere[0]})" if elsewhere else ""
        notes.append(
            f"The file has no noise scan{where}: k-space is not whitened; "
            "reading.noise=FILE takes one from another file."
        )
        return None
    lines = heads[kinds.imaging]
    dwell = float(np.median(lines["sample_time_us"]))
    labels = header.coil_labels
    try:
        if noise is None:
            noise = noise_scan(fetch(kinds.noise), labels, "of the same measurement")
        else:
            notes.append(f"The noise scan was taken from {noise.origin}.")
        coils = int(lines["active_channels"][0])
        result = whitening(noise, coils, labels, dwell, header.noise_bandwidth)
    except RawDataError as error:
        notes.append(f"K-space is not whitened: {error}.")
        return None
    notes.extend(result.notes)
    return result.matrix
