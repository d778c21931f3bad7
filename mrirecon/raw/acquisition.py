"""A Cartesian multi-slice acquisition: its readouts understood, and sorted one slice at a time.

Nothing here opens a file. Readouts are asked for by number, so that a file reader fetches just
those of one slice and a scanner server hands out what has arrived.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Complex64, Int64
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.raw.checks import refuse_unsupported, sampling_notes, select_encoding
from mrirecon.raw.geometry import SliceStack, slice_stack
from mrirecon.raw.grid import Grid, plan_grid
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.noise import NoiseScan, noise_scan, whitening
from mrirecon.raw.oversampling import center_recorded, nearest_sample, required_size, windows
from mrirecon.raw.readouts import Heads, Index, LineKinds, Readouts, classify
from mrirecon.raw.sorting import SortedLines, check_repeats, sort_lines
from mrirecon.sampling.calibration import center_slice, central_block
from mrirecon.types import Sample

Fetch = Callable[[Index], Readouts]
"""Returns the readouts with the given numbers, in that order."""


@dataclass(frozen=True)
class CartesianAcquisition:
    """What is needed to sort any slice of an acquisition.

    Attributes:
        heads: Headers of all readouts.
        kinds: Which readouts do what.
        grid: Where lines go.
        stack: Slices in anatomical order.
        coils: Number of channels.
        whitening: Matrix applied to every readout, or None without a noise scan.
        conjugate: The vendor's Fourier sign is the opposite of ours.
        line_mask: Every readout is complete, so that masks have a single row.
        notes: What was noticed, one sentence each.
    """

    heads: Heads
    kinds: LineKinds
    grid: Grid
    stack: SliceStack
    coils: int
    whitening: Complex64[np.ndarray, "coil coil"] | None
    conjugate: bool
    line_mask: bool
    notes: tuple[str, ...]

    def sample(self, index: int, fetch: Fetch) -> Sample:
        """Return slice ``index`` in anatomical order.

        Raises:
            RawDataError: When its readouts are damaged.
        """
        counter = self.stack.order[index]
        sorted_lines = self._sort(fetch(self._of_slice(self.kinds.imaging, counter)), self.grid)
        mask = sorted_lines.mask[:1] if self.line_mask else sorted_lines.mask
        return Sample(
            kspace=sorted_lines.kspace,
            mask=mask,
            calibration=self._calibration(counter, fetch),
            acs=torch.tensor(central_block(mask, self.grid.shape)),
        )

    def _sort(self, readouts: Readouts, grid: Grid) -> SortedLines:
        lines = sort_lines(readouts, grid, self.whitening)
        if not self.conjugate:
            return lines
        return replace(lines, kspace=lines.kspace.conj().resolve_conj())

    def _calibration(self, counter: int, fetch: Fetch) -> Complex64[Tensor, "coil hc wc"] | None:
        """Return the fully sampled centre of a separate reference scan of this slice."""
        index = self._of_slice(self.kinds.calibration, counter)
        if not len(index):
            return None
        readouts = fetch(index)
        recorded = center_recorded(readouts.heads, self.grid.full)
        full = required_size(windows(readouts.heads, recorded))
        h = max(1, round(full * self.grid.shape[0] / self.grid.full))
        grid = replace(self.grid, full=full, shape=(h, self.grid.shape[1]), recorded=recorded)
        lines = self._sort(readouts, grid)
        rows, columns = central_block(lines.mask)
        if rows == 0:
            return None
        block = lines.kspace[:, center_slice(h, rows), center_slice(grid.shape[1], columns)]
        return block.contiguous()

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
    """Decide how readouts make an image; only noise samples are fetched.

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
    lines = heads[kinds.imaging]
    encoding = select_encoding(header, lines)
    refuse_unsupported(encoding, lines)
    grid = plan_grid(encoding, lines, header.vendor, center)
    stack = slice_stack(lines)
    notes = [*grid.notes, *stack.notes, *sampling_notes(kinds, grid, lines)]
    embedded = classify(lines, None).calibration
    averages, note = check_repeats(lines, np.isin(np.arange(len(lines)), embedded))
    notes += [note] if note else []
    matrix = _whiten(header, heads, kinds, fetch, notes, noise)
    if matrix is not None and averages > 1:
        # the mean of n lines has 1/n of the noise variance; whitened means unit variance
        matrix = (matrix * np.sqrt(averages)).astype(np.complex64)
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
        coils=int(lines["active_channels"][0]),
        whitening=matrix,
        conjugate=conjugate,
        line_mask=_complete(grid, lines),
        notes=tuple(notes),
    )


def _complete(grid: Grid, lines: Heads) -> bool:
    """Tell whether every readout covers every sample that is left without oversampling."""
    placed = windows(lines, grid.recorded)
    used = nearest_sample(grid.full, grid.shape[0]) - grid.full // 2
    return bool(placed.start.max() <= used.min() and placed.stop.min() > used.max())


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
