"""A side of k-space that partial Fourier has computed from the other one."""

import math
from collections.abc import Iterator

import torch

from mrirecon.audit.finding import CRIME, Kind, Level, Seen
from mrirecon.audit.line_noise import LineNoise, line_noise
from mrirecon.audit.planes import Plane
from mrirecon.audit.window import LEAKING
from mrirecon.fourier import ifft

COMPLETED_SIDE = Kind(
    "side filled by partial Fourier",
    "One side of k-space was computed from the other by its conjugate symmetry (POCS, homodyne): "
    f"less was measured than it seems, and the reference holds the error of that. {CRIME}",
    "Take the measured side only and tell so by a mask; compare on fully sampled scans.",
)
CENTERS = (0.08, 0.15, 0.25, 0.4)
"""Widths of the centre of k-space, relative to all of it, that the phase may have come from."""
FAR = 0.6
"""Distance from the centre, relative to half of k-space, from which on lines are looked at."""
LOCKED = 0.2
"""Least agreement of phases, from 0 by chance to 1. Measured scans have up to 0.12, because a
little of the object is everywhere; filled ones have from 0.25 on."""
DEVIATES = 7.0
"""Standard deviations of chance that it must exceed."""
CONJUGATE = 0.98
"""Agreement of a line with the conjugate of the opposite one, from which on it is a copy."""
FEWEST = 4
"""Lines that must be copies."""


def find(plane: Plane) -> Iterator[Seen]:
    """Look along both axes for lines that are copies, and for noise that is in phase."""
    if not plane.complete:
        return
    for axis, turned in (("columns", plane), ("rows", plane.turned())):
        copies = _copies(turned)
        if FEWEST <= copies < turned.kspace.shape[-1] // 2 - 1:
            yield Seen(
                COMPLETED_SIDE,
                Level.PROBLEM,
                f"The outermost {copies} {axis} on either side of k-space are conjugate copies of "
                "one another.",
            )
            return
        noise = line_noise(turned)
        if noise is None or noise.leakage > LEAKING:
            continue
        agreement, chance, width = in_phase(noise)
        if agreement > max(LOCKED, DEVIATES * chance):
            yield Seen(
                COMPLETED_SIDE,
                Level.PROBLEM,
                f"Beside the object, the outer {axis} of k-space make noise that is in phase with "
                f"the image of the central {width:.0%}: they agree by {agreement:.2f}, where "
                f"chance makes {chance:.3f}.",
            )
            return


def _copies(plane: Plane) -> int:
    """Count the outermost lines that equal the conjugate of the opposite one, up to a phase."""
    h, w = plane.kspace.shape[-2:]
    away = torch.arange(1, (w - 1) // 2 + 1)
    right = plane.kspace[..., w // 2 + away]
    left = plane.kspace[..., w // 2 - away].flip(-2)
    if h % 2 == 0:
        left = left.roll(1, -2)
    product = right * left
    agreement = product.sum((0, 1)).abs() / product.abs().sum((0, 1)).clamp_min(1e-30)
    others = torch.nonzero(agreement.flip(0) < CONJUGATE)
    return int(others[0]) if len(others) else len(away)


def in_phase(noise: LineNoise) -> tuple[float, float, float]:
    """Return how well the phase of noise of the outer lines agrees with that of the central ones.

    Receiver noise has any phase. That of two sides of k-space which are conjugate to one another,
    but for the phase of the image, is in phase with it, or opposite.

    Returns:
        The largest agreement, its standard deviation by chance, and the width of the centre.
    """
    best = (0.0, 1.0, 0.0)
    outer = noise.distance >= FAR
    high = ifft(noise.hybrid * outer, (-1,)).angle()
    # neighbouring pixels are not independent: those of all outer lines are
    chance = 1 / math.sqrt(noise.terms * int(outer.sum()) / 2)
    for width in CENTERS:
        window = (0.5 + 0.5 * torch.cos(torch.pi * noise.distance / width)) * (
            noise.distance < width
        )
        low = ifft(noise.hybrid * window, (-1,)).angle()
        twice = 2 * (high - low)
        agreement = math.hypot(float(twice.cos().mean()), float(twice.sin().mean()))
        best = max(best, (agreement, chance, width))
    return best
