"""Readouts of one slice, sorted into k-space."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex64
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.raw.grid import Grid
from mrirecon.raw.oversampling import nearest_sample, remove_oversampling, windows
from mrirecon.raw.readouts import Readouts


@dataclass(frozen=True)
class SortedLines:
    """k-space of one slice: averaged, oversampling removed, zero where ``mask`` is False."""

    kspace: Complex64[Tensor, "coil h w"]
    mask: Bool[Tensor, "h w"]


def sort_lines(
    readouts: Readouts, grid: Grid, whitening: Complex64[np.ndarray, "coil coil"] | None = None
) -> SortedLines:
    """Place lines by their encoding centre and average what was measured more than once.

    The order matters: whiten, undo reversal and discard, place by the echo centre on the
    oversampled grid, accumulate, and only then remove the oversampling. The sum of every k-space
    sample is divided by its own count, so unequal averages keep the intensity.

    Raises:
        RawDataError: When a line lies outside the grid, or a sample is not finite.
    """
    placed = windows(readouts.heads, grid.recorded)
    rows = grid.rows(readouts.heads)
    coils, (h, w) = readouts.samples[0].shape[0], grid.shape
    total = np.zeros((w, coils, grid.full), np.complex64)
    count = np.zeros((w, grid.full), np.int64)
    for i, samples in enumerate(readouts.samples):
        if placed.reverse[i]:
            samples = samples[:, ::-1]
        samples = samples[:, placed.first[i] : placed.last[i]]
        start = int(placed.start[i]) + grid.full // 2
        stop = start + samples.shape[1]
        if start < 0 or stop > grid.full:
            raise RawDataError(
                f"a readout spans samples {start}..{stop - 1} of a grid of {grid.full}; "
                "calibration and imaging readouts differ in a way that is not supported"
            )
        total[rows[i], :, start:stop] += samples
        count[rows[i], start:stop] += 1
    if not np.isfinite(total.view(np.float32)).all():
        raise RawDataError("a readout holds values that are not finite (NaN or infinity)")
    total /= np.maximum(count, 1)[:, None, :]
    if whitening is not None:  # the same for every sample, hence once for their mean
        total = np.matmul(whitening, total)
    lines = remove_oversampling(torch.from_numpy(total), h)
    mask = torch.from_numpy(count[:, nearest_sample(grid.full, h)] > 0)
    kspace = (lines * mask[:, None, :]).permute(1, 2, 0).contiguous()
    return SortedLines(kspace, mask.T.contiguous())


def check_repeats(heads: np.ndarray, calibration_only: np.ndarray) -> tuple[int, str | None]:
    """Return how often a line was typically acquired, and a note when lines were repeated.

    Raises:
        RawDataError: When the same line was acquired in several segments without any other counter
            telling them apart: then they are no averages.
    """
    idx = heads["idx"]
    keys = list(zip(idx["slice"].tolist(), idx["kspace_encode_step_1"].tolist(), strict=True))
    full_keys = zip(keys, idx["average"].tolist(), calibration_only.tolist(), strict=True)
    segments: dict[tuple, set[int]] = {}
    for key, segment in zip(full_keys, idx["segment"].tolist(), strict=True):
        segments.setdefault(key, set()).add(segment)
    for ((slice_, line), average, _), seen in segments.items():
        if len(seen) > 1:
            raise RawDataError(
                f"line {line} of slice {slice_}, average {average}, was acquired in segments "
                f"{sorted(seen)}; expected one. Segments that repeat lines (navigators, EPI "
                "polarities) are not supported"
            )
    counts = Counter(Counter(keys).values())
    typical = counts.most_common(1)[0][0]
    if set(counts) == {1}:
        return 1, None
    text = ", ".join(f"{lines} lines {n} times" for n, lines in sorted(counts.items()))
    return typical, f"Lines were acquired more than once and averaged: {text}."
