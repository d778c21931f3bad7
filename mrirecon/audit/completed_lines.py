"""Lines of k-space that parallel imaging has computed from others: their noise tells."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float32
from scipy.stats import f as f_distribution
from torch import Tensor

from mrirecon.audit.finding import Kind, Level, Seen
from mrirecon.audit.line_noise import LineNoise, line_noise
from mrirecon.audit.planes import Plane

COMPLETED = Kind(
    "lines filled by parallel imaging",
    "Some lines of k-space are combinations of others (GRAPPA, ARC, SENSE), so that a mask that "
    "keeps them keeps the work of another reconstruction, and the reference is one, too "
    "(arXiv:2511.15187, 2025).",
    "Keep the lines that were measured and tell so by a mask; compare on fully sampled scans.",
)
PERIODS = range(2, 9)
CENTER = 0.3
"""Distance from the centre, relative to half of k-space, within which calibration lines lie."""
CHANCE = 1e-9
"""Probability of a pattern by chance, after as many tests as are made."""
DIFFER = 0.08
"""Least difference of the noise's energy between measured and filled lines that counts."""
FEWEST = 3
"""Lines of each kind that are needed."""


def find(plane: Plane) -> Iterator[Seen]:
    """Look along both axes for noise whose level repeats itself from line to line."""
    if plane.kspace.shape[0] < 2:
        return
    for axis, turned in (("columns", plane), ("rows", plane.turned())):
        noise = line_noise(turned)
        found = None if noise is None else periodic(noise)
        if found is not None:
            period, low, high = found
            yield Seen(
                COMPLETED,
                Level.PROBLEM,
                f"The energy of the noise repeats itself every {period} {axis} of k-space, between "
                f"{low:.2f} and {high:.2f} of its mean: measured ones are all alike.",
            )
            return


def periodic(noise: LineNoise) -> tuple[int, float, float] | None:
    """Return the period of the noise's level with its least and largest values, or None."""
    outer = noise.levels.isfinite() & (noise.distance > CENTER) & (noise.levels > 0)
    best: tuple[float, int, float, float] | None = None
    for period in PERIODS:
        found = _variance(noise.levels, outer, period)
        if found is None:
            continue
        ratio, between, within, low, high = found
        p = float(f_distribution.sf(ratio, between, within)) * len(PERIODS)
        if p < CHANCE and high - low > DIFFER and (best is None or p < best[0]):
            best = (p, period, low, high)
    return None if best is None else best[1:]


def _variance(
    levels: Float32[Tensor, " line"], outer: Bool[Tensor, " line"], period: int
) -> tuple[float, int, int, float, float] | None:
    """Compare lines that are a period apart with the others, after the trend was taken away.

    Returns:
        The F ratio, its two degrees of freedom, and the least and largest mean of a class.
    """
    smooth = _trend(levels, outer, period)
    lines = torch.nonzero(outer & smooth.isfinite())[:, 0]
    values = (levels[lines] / smooth[lines]).log()
    classes = [values[lines % period == one] for one in range(period)]
    if len(lines) < 2 * period or min(len(one) for one in classes) < FEWEST:
        return None
    means = torch.stack([one.mean() for one in classes])
    counts = torch.tensor([len(one) for one in classes])
    mean = float(values.mean())
    between = float((counts * (means - mean).square()).sum()) / (period - 1)
    rest = sum(float((one - one.mean()).square().sum()) for one in classes)
    freedom = len(values) - period
    spread = [math.exp(float(one) - mean) for one in (means.min(), means.max())]
    return between / max(rest / freedom, 1e-12), period - 1, freedom, spread[0], spread[1]


def _trend(
    levels: Float32[Tensor, " line"], outer: Bool[Tensor, " line"], period: int
) -> Float32[Tensor, " line"]:
    """Return the mean over two periods around each line, in which every class counts alike."""
    size = 2 * period + 1
    kernel = torch.ones(size)
    kernel[0] = kernel[-1] = 0.5
    padded = torch.nn.functional.pad(torch.where(outer, levels, 0.0), (period, period))
    counts = torch.nn.functional.pad(outer.float(), (period, period))
    sums, known = (one.unfold(0, size, 1) @ kernel for one in (padded, counts))
    return torch.where(known > 0.99 * 2 * period, sums / known.clamp_min(1), torch.nan)
