"""Windows that k-space was multiplied by, and interpolation: less noise towards the edge."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.audit.finding import CRIME, Kind, Level, Seen
from mrirecon.audit.line_noise import INNER, OUTER, LineNoise, line_noise
from mrirecon.audit.planes import Plane

WINDOW = Kind(
    "windowed k-space",
    "k-space was multiplied by a window (Hann, Hamming, Fermi, …), which takes noise and detail "
    f"away where methods would have to find them. {CRIME}",
    "Get data without filter, or divide by the window if it is known and has no zeros.",
)
STEP = Kind(
    "interpolated k-space",
    "The outer part of k-space holds less noise than the scanner measures: it was interpolated, "
    f"or filtered away. {CRIME}",
    "Cut k-space down to what was measured, or get the raw data.",
)
UNEVEN = Kind(
    "uneven noise",
    "The noise is not the same in all lines, as it would be if nothing had been done to them: a "
    "filter of the receiver, weighted averages, or removed interference.",
    "Nothing, if you know where it comes from; methods take the noise for even.",
)
EDGE = 0.93
"""Distance from the centre, relative to half of k-space, from which on lines are the edge."""
WINDOWED = 0.2
"""Energy of the noise at both edges, relative to that further in, below which it was a window: the
mildest in use (Hamming: 0.01, Tukey and Fermi at a tenth of the width: 0.1) are below, filters of
receivers above."""
TOLD = 0.6
"""The same, below which it is told."""
STEEP = 0.5
"""Energy outside of a step relative to that inside, below which it is one."""
CLEAR, LEVEL, EVEN = 0.8, 0.7, 1.4
"""What makes it a step: the gap between the lines on its sides, how level these are inside, and how
alike both sides of k-space are."""
INNERMOST = 0.5
"""Distance from the centre from which on it may be: nobody interpolates by more than two."""
DEVIATES = 6.0
"""Standard deviations by which a level must differ: a false alarm in a thousand million."""
LEAKING = 0.5
"""Share of leakage from which on the lines tell nothing about noise."""


def find(plane: Plane) -> Iterator[Seen]:
    """Look along both axes."""
    for axis, turned in (("columns", plane), ("rows", plane.turned())):
        noise = line_noise(turned)
        if noise is not None and noise.leakage < LEAKING:
            yield from _along(noise, axis)


def _along(noise: LineNoise, axis: str) -> Iterator[Seen]:
    known = noise.levels.isfinite()
    upper = torch.arange(len(known)) >= len(known) // 2
    inside = known & (noise.distance >= INNER) & (noise.distance < OUTER)
    edges = [known & (noise.distance >= EDGE) & side for side in (upper, ~upper)]
    if min(int(edge.sum()) for edge in edges) < 2:
        return
    level = float(noise.levels[inside].median())
    if level <= 0:
        return
    found = [float(noise.levels[edge].mean()) / level for edge in edges]
    error = _deviation(noise, inside)
    if math.log(max(found)) < -DEVIATES * error * 2 and max(found) < WINDOWED:
        step = _step(noise)
        if step is not None:
            yield Seen(STEP, Level.PROBLEM, _told_step(axis, *step))
            return
        yield Seen(
            WINDOW,
            Level.PROBLEM,
            f"The energy of the noise in the outermost {axis} of k-space is {found[0]:.2g} and "
            f"{found[1]:.2g} of that further in, where receivers make it equal.",
        )
        return
    step = _step(noise)
    if step is not None and math.log(max(step[1:])) < -DEVIATES * error:
        yield Seen(STEP, Level.PROBLEM, _told_step(axis, *step))
    elif min(found) < TOLD and math.log(min(found)) < -DEVIATES * error:
        yield Seen(
            UNEVEN,
            Level.NOTE,
            f"The energy of the noise in the outermost {axis} of k-space is {found[0]:.2g} and "
            f"{found[1]:.2g} of that further in.",
        )


def _told_step(axis: str, place: float, low: float, high: float) -> str:
    return (
        f"Beyond {place:.0%} of the {axis} from the centre on, on both sides alike, the energy of "
        f"the noise falls at once to {low:.2g} and {high:.2g} of what it is inside."
    )


def _deviation(noise: LineNoise, lines: torch.Tensor) -> float:
    """Return the relative standard deviation of a mean of a few lines: that seen, or expected.

    Neighbours are compared, so that a slope is no deviation.
    """
    values = noise.levels[lines].clamp_min(1e-12).log()
    seen = float(values.diff().abs().median()) * 1.4826 / math.sqrt(2)
    return max(seen, 1 / math.sqrt(noise.terms)) / math.sqrt(2)


def _step(noise: LineNoise) -> tuple[float, float, float] | None:
    """Find where the noise falls at once on both sides at the same distance from the centre.

    Returns:
        The distance and the energies outside relative to those inside; None when there is no step.
    """
    n = len(noise.levels)
    center = n // 2
    half = min(center, n - center)
    width = max(4, half // 8)
    sides = [noise.levels[center : center + half], noise.levels[center - half : center + 1].flip(0)]
    best: tuple[float, float, float] | None = None
    for place in range(int(INNERMOST * half), half - 3):
        found = [_drop(side, place, width) for side in sides]
        low, high = found
        if low is None or high is None or max(low, high) > EVEN * min(low, high):
            continue
        if best is None or max(low, high) < max(best[1:]):
            best = (place / half, low, high)
    return best


def _drop(levels: Float32[Tensor, " line"], place: int, width: int) -> float | None:
    """Return the energy beyond a place relative to that before it; None where it does not drop.

    Every line beyond is well below every line before: no window falls so steeply.
    """
    # an even number of lines has one more on one side of the centre
    inside, outside = levels[place - width : place], levels[place + 1 : place + width]
    if not (bool(inside.isfinite().all()) and bool(outside.isfinite().all())):
        return None
    limit = min(STEEP * float(inside.median()), CLEAR * float(inside.min()))
    if float(outside.max()) > limit:
        return None
    if float(inside[-2:].mean()) < LEVEL * float(inside[: width // 2].mean()):
        return None
    return float(outside.mean()) / float(inside.mean())
