"""Readouts, averaged at their places in k-space."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex64, Float32, Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.kspace_grid import Grid
from mrirecon.raw.oversampling import nearest_sample, readout_ranges
from mrirecon.raw.readouts import Heads, Readouts

LARGEST = 1e30
"""Larger numbers are damage, and their squares would overflow."""


@dataclass(frozen=True)
class AveragedLines:
    """The mean of the readouts at each place on the grid where there are any.

    Attributes:
        places: Index into the flattened grid of phase encoding and partitions.
        kspace: Whitened k-space on the oversampled readout, zero where nothing was measured.
        counts: Number of readouts that went into each sample.
    """

    places: Int64[np.ndarray, "place"]
    kspace: Complex64[np.ndarray, "place coil full"]
    counts: Int64[np.ndarray, "place full"]


def average_lines(
    readouts: Readouts,
    grid: Grid,
    whitening: Complex64[np.ndarray, "coil coil"] | None = None,
    conjugate: bool = False,
) -> AveragedLines:
    """Place readouts by their echo centre and average what was measured more than once.

    The order matters: whiten, undo reversal and discard, place by the echo centre on the
    oversampled grid, accumulate, and only then remove the oversampling. The sum of every k-space
    sample is divided by its own count, so unequal averages keep the intensity. A vendor's opposite
    Fourier sign is undone by ``conjugate``, also before any crop: on an even grid the image's first
    pixel comes from the other end.

    Raises:
        RawDataError: When a line lies outside the grid, or a sample is not finite.
    """
    placed = readout_ranges(readouts.heads, grid.recorded)
    places, slots = np.unique(flat_places(grid, readouts.heads), return_inverse=True)
    total = np.zeros((len(places), readouts.samples[0].shape[0], grid.full), np.complex64)
    count = np.zeros((len(places), grid.full), np.int64)
    for i, samples in enumerate(readouts.samples):
        if not samples.any():  # filled up with zeros by a converter: never measured
            continue
        if placed.reverse[i]:
            samples = samples[:, ::-1]
        samples = samples[:, placed.first[i] : placed.last[i]]
        start = int(placed.start[i]) + grid.full // 2
        stop = start + samples.shape[1]
        if min(start, grid.full - stop) == -1:  # see plan_grid
            samples = samples[:, max(0, -start) : samples.shape[1] - max(0, stop - grid.full)]
            start, stop = max(start, 0), min(stop, grid.full)
        if start < 0 or stop > grid.full:
            raise RawDataError(
                f"a readout spans samples {start}..{stop - 1} of a grid of {grid.full}; "
                "calibration and imaging readouts differ in a way that is not supported"
            )
        with np.errstate(over="ignore", invalid="ignore"):  # found and refused below
            total[slots[i], :, start:stop] += samples
        count[slots[i], start:stop] += 1
    if whitening is not None:  # a channel that is switched off may hold anything
        total[:, ~whitening.any(axis=0)] = 0
    refuse_damaged(total)
    if count.max() > 1:
        total *= (1 / np.maximum(count, 1)).astype(np.float32)[:, None, :]
    if whitening is not None:  # the same for every sample, hence once for their mean
        total = np.matmul(whitening, total)
    if conjugate:
        np.conj(total, out=total)
    return AveragedLines(places, total, count)


def sample_counts(lines: AveragedLines, grid: Grid) -> Float32[np.ndarray, "h w"]:
    """Return how many readouts went into each sample of a slice of a 2-D scan."""
    h, w = grid.shape
    counts = np.zeros((h, w), np.float32)
    counts[:, lines.places] = lines.counts[:, nearest_sample(grid.full, h)].T
    return counts


def place_counts(lines: AveragedLines, grid: Grid) -> Float32[np.ndarray, "place"]:
    """Return how many readouts of a 3-D scan went into each place, at the echo centre."""
    return lines.counts[:, grid.full // 2].astype(np.float32)


def refuse_damaged(kspace: Complex64[np.ndarray, "..."]) -> None:
    """Refuse samples that are no measured values.

    Raises:
        RawDataError: When some are not finite, or larger than :data:`LARGEST`.
    """
    values = kspace.view(np.float32)
    if not (values.max() < LARGEST and values.min() > -LARGEST):  # which NaN is not either
        raise RawDataError(
            f"a readout holds values that are not finite (NaN or infinity) or above {LARGEST:g}; "
            "the file is damaged"
        )


def flat_places(grid: Grid, heads: Heads) -> Int64[np.ndarray, "readout"]:
    """Return each line's index into the flattened grid of phase encoding and partitions.

    Raises:
        RawDataError: When a line lies outside the grid.
    """
    lines, partitions = grid.places(heads)
    return lines * (grid.partition.size if grid.partition else 1) + partitions
