"""The noise of every line of k-space, seen where the image holds no object.

A Fourier transform along the lines only keeps them apart: rows of that hybrid space that lie beside
the object hold nothing but noise, so that their mean energy tells the level of the noise line by
line. Receiver noise is white in k-space: the same in every line. What changes it was done later.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex64, Float32, Int64
from torch import Tensor

from mrirecon.audit.planes import Plane
from mrirecon.fourier import ifft
from mrirecon.image import squared_magnitude

INNER, OUTER = 0.45, 0.75
"""Distance from the centre, relative to half of k-space, of the lines that show where there is an
object: far enough out that hardly any of it is left, and inside of what a window takes away."""
TRIM = 32
"""One over the part of the image at either side that a receiver's filter may have damped."""
LOW, DEVIATE = 0.1, -1.2815515655446004
"""The percentile that is taken for noise, and its deviate of a normal distribution."""
SPREAD = 4.0
"""Standard deviations by which rows of noise may differ."""
ROUNDING = 1e-11
"""Energy relative to the largest below which there is no noise, but rounding errors."""
FEWEST_ROWS, FEWEST_LINES = 8, 4
LAG = 6
"""Rows between which noise is independent, however it was filtered, and leakage is not."""


@dataclass(frozen=True)
class LineNoise:
    """The level of the noise along one axis of k-space.

    Attributes:
        levels: Mean energy of each line relative to the mean of all; NaN where a line is not
            complete.
        distance: Distance of each line from the centre, relative to half of k-space.
        terms: Number of independent complex values behind each level.
        leakage: Share of the energy between ``INNER`` and ``OUTER`` that is no noise: it is
            coherent between rows ``LAG`` apart.
        hybrid: The rows of noise themselves: k-space along the last axis, image along the other.
        rows: Numbers of these rows.
    """

    levels: Float32[Tensor, " w"]
    distance: Float32[Tensor, " w"]
    terms: float
    leakage: float
    hybrid: Complex64[Tensor, "coil row w"]
    rows: Int64[Tensor, " row"]


def line_noise(plane: Plane) -> LineNoise | None:
    """Look at the noise of the lines along the last axis of k-space; None where there is none.

    Needs lines that are measured completely along the other axis, and rows of the image without an
    object.
    """
    w = plane.kspace.shape[-1]
    distance = (torch.arange(w) - w // 2).abs() / (w / 2)
    rows = plane.measured.any(1)
    complete = plane.measured[rows].all(0)
    middle = complete & (distance >= INNER) & (distance < OUTER)
    if int(middle.sum()) < FEWEST_LINES or float(rows.float().mean()) < 0.5:
        return None
    hybrid = ifft(torch.where(complete, plane.kspace, 0), (-2,))
    empty = _empty_rows(hybrid, middle)
    if empty is None:
        return None
    noise = hybrid[:, empty]
    levels = _energy(noise).mean((0, 1))
    mean = levels[middle].mean()
    if not bool(mean > ROUNDING * _energy(hybrid[:, :, middle]).amax()):
        return None
    levels = torch.where(complete, levels / mean, torch.nan)
    terms = len(empty) * _independent(noise[:, :, middle])
    leakage = _coherence(hybrid[:, :, middle], empty)
    return LineNoise(levels, distance, terms, leakage, noise, empty)


def _empty_rows(
    hybrid: Complex64[Tensor, "coil h w"], middle: Bool[Tensor, " w"]
) -> Int64[Tensor, " row"] | None:
    """Find the rows that differ from the lowest ones by no more than noise does."""
    h = hybrid.shape[-2]
    energy = _energy(hybrid[:, :, middle]).mean((0, 2))
    inside = torch.arange(h)
    inside = (inside >= h // TRIM) & (inside < h - h // TRIM)
    terms = hybrid.shape[0] * int(middle.sum())
    # the percentile of a gamma distribution (Wilson and Hilferty, PNAS 17:684, 1931)
    share = (1 - 1 / (9 * terms) + DEVIATE / (9 * terms) ** 0.5) ** 3
    ordered = energy[inside].sort().values
    level = ordered[int(LOW * (len(ordered) - 1))] / share
    near = (energy - level).abs() < SPREAD / math.sqrt(terms) * level
    found = torch.nonzero(inside & near)[:, 0]
    return found if len(found) >= max(FEWEST_ROWS, h // 32) else None


def _energy(values: Complex64[Tensor, "..."]) -> Float32[Tensor, "..."]:
    return squared_magnitude(values)


def _independent(noise: Complex64[Tensor, "coil row line"]) -> float:
    """Return the number of coils whose noise is independent."""
    flat = noise.flatten(1)
    covariance = flat @ flat.conj().T
    trace = float(torch.diagonal(covariance).real.sum())
    return trace**2 / float(_energy(covariance).sum())


def _coherence(hybrid: Complex64[Tensor, "coil h line"], rows: Int64[Tensor, " row"]) -> float:
    """Return how coherent rows ``LAG`` apart are; what chance makes of it is taken away."""
    known = set(rows.tolist())
    first = torch.tensor([row for row in known if row + LAG in known], dtype=torch.long)
    if not len(first):
        return 1.0
    one, other = hybrid[:, first], hybrid[:, first + LAG]
    product = (one * other.conj()).sum(-1).abs().square()
    power = _energy(one).sum(-1) * _energy(other).sum(-1)
    lines = hybrid.shape[-1]
    shares = product / power.clamp_min(1e-30) - 1 / lines
    return float(shares.mean().clamp_min(0).sqrt())
