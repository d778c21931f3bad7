"""GRAPPA for line patterns: one kernel per gap between measured lines, shared by all its lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex64
from torch import Tensor

from mrirecon.buffers import at_once
from mrirecon.reconstructors.parts.grappa_weights import interpolation_weights, precise
from mrirecon.sensitivity.base import CalibrationError

CHUNK = 2**23  # source samples gathered at a time


@dataclass(frozen=True)
class Gap:
    """A run of missing lines and the measured lines that predict it, relative to its first line.

    Attributes:
        sources: Measured lines, nearest first.
        length: Number of missing lines.
    """

    sources: tuple[int, ...]
    length: int

    @property
    def span(self) -> tuple[int, int]:
        """First line of the constellation and one past its last."""
        return min(*self.sources, 0), max(max(self.sources) + 1, self.length)

    def nearest(self, count: int) -> "Gap":
        """Return the same gap with fewer sources."""
        return Gap(self.sources[:count], self.length)


def fill_lines(
    kspace: Complex64[Tensor, "b coil h w"],
    lines: Bool[np.ndarray, " w"],
    region: Bool[np.ndarray, " w"],
    calibration: Complex64[Tensor, "b coil hc wc"],
    kernel: tuple[int, int],
    regularization: float,
) -> Complex64[Tensor, "b coil h w"]:
    """Return k-space with the missing lines inside ``region`` filled.

    Args:
        kspace: Measured k-space, zero where it was not measured.
        lines: True at the lines that were measured.
        region: True at the lines that are to be filled where they are missing.
        calibration: Fully sampled centre or reference scan.
        kernel: Readout samples and measured lines that predict a sample.
        regularization: Relative weight of the penalty; see :func:`interpolation_weights`.

    Raises:
        CalibrationError: When a gap is too wide for the calibration data.
    """
    filled = kspace.clone()
    size = kernel[0]
    pad = (0, 0, size // 2, size - 1 - size // 2)
    readouts = torch.nn.functional.pad(kspace, pad).unfold(-2, size, 1)
    for gap, starts in gaps(lines, region, kernel[1]).items():
        fitted = _fitting(gap, calibration, size)
        weights = _weights(fitted, calibration, size, regularization)
        for part in _parts(starts, readouts, len(fitted.sources)):
            X = _gather(readouts, part, fitted.sources)
            Y = weights @ X
            at = part[:, None] + torch.arange(gap.length, device=part.device)
            shape = (*kspace.shape[:2], gap.length, kspace.shape[-2], len(part))
            filled[..., at] = Y.reshape(shape).permute(0, 1, 3, 4, 2)
    return filled


def gaps(
    lines: Bool[np.ndarray, " w"], region: Bool[np.ndarray, " w"], count: int
) -> dict[Gap, list[int]]:
    """Find the gaps; returns where each kind starts. A regular raster has a single kind inside.

    Half of the sources lie on either side, as far as there are any.
    """
    measured = np.flatnonzero(lines)
    missing = np.flatnonzero(region & ~lines)
    found: dict[Gap, list[int]] = {}
    for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
        if not len(run):
            continue
        left, right = measured[measured < run[0]][::-1], measured[measured > run[-1]]
        below = min(len(left), max((count + 1) // 2, count - len(right)))
        chosen = np.concatenate([left[:below], right[: count - below]])
        distance = np.minimum(abs(chosen - run[0]), abs(chosen - run[-1]))
        sources = chosen[np.argsort(distance, kind="stable")] - run[0]
        gap = Gap(tuple(sources.tolist()), len(run))
        found.setdefault(gap, []).append(int(run[0]))
    return found


def _fitting(gap: Gap, calibration: Tensor, readout: int) -> Gap:
    """Leave out the farthest sources until the calibration data determines the weights.

    A gap wider than half of that data is refused: its weights would rest on a few positions, and
    what they make of noise is worse than zeros.
    """
    coils, rows, columns = calibration.shape[-3:]
    sides = len({source > 0 for source in gap.sources})
    for count in range(len(gap.sources) if 2 * gap.length <= columns else 0, 0, -1):
        candidate = gap.nearest(count)
        first, stop = candidate.span
        equations = max(0, rows - readout + 1) * max(0, columns - (stop - first) + 1)
        both_sides = len({source > 0 for source in candidate.sources}) == sides
        if both_sides and equations >= coils * readout * count:
            return candidate
    raise CalibrationError(
        f"GRAPPA cannot learn to fill a gap of {gap.length} lines from {rows} x {columns} "
        f"calibration samples (h x w) of {coils} coils; choose a smaller model.kernel, a sampling "
        "with more central lines or smaller gaps, or a method for irregular sampling: "
        "model=cg_sense, model=spirit"
    )


def _weights(
    gap: Gap, calibration: Complex64[Tensor, "b coil hc wc"], readout: int, regularization: float
) -> Complex64[Tensor, "b m n"]:
    """Fit the weights of one gap wherever it fits into the calibration data."""
    first, stop = gap.span
    starts = torch.arange(-first, calibration.shape[-1] - stop + 1, device=calibration.device)
    windows = calibration.unfold(-2, readout, 1)
    X = precise(_gather(windows, starts, gap.sources), regularization)
    at = starts[:, None] + torch.arange(gap.length, device=starts.device)
    middle = slice(readout // 2, readout // 2 + windows.shape[-3])
    Y = (
        calibration[:, :, middle][..., at]
        .permute(0, 1, 4, 2, 3)
        .flatten(1, 2)
        .flatten(2)
        .to(X.dtype)
    )
    return interpolation_weights(X @ X.mH, X @ Y.mH, regularization)


def _gather(
    windows: Complex64[Tensor, "b coil h w k"], starts: Tensor, sources: Sequence[int]
) -> Complex64[Tensor, "b n p"]:
    """Return the sources of each start: coil, line and readout sample, by position."""
    lines = starts[:, None] + torch.tensor(sources, device=starts.device)
    chosen = windows[..., lines, :]
    return chosen.permute(0, 1, 4, 5, 2, 3).flatten(1, 3).flatten(2)


def _parts(starts: list[int], windows: Tensor, sources: int) -> Iterator[Tensor]:
    batch, coils, rows, _, readout = windows.shape
    step = max(1, at_once(CHUNK) // (batch * coils * rows * readout * sources))
    yield from torch.tensor(starts, device=windows.device).split(step)
