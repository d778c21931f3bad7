"""What was done to the coils: compression, which is fair but should be known."""

from collections.abc import Iterator

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.audit.finding import Kind, Level, Seen
from mrirecon.audit.planes import Plane

COMPRESSED = Kind(
    "compressed coils",
    "The coils are virtual ones, ordered by their energy. The noise of such data is less than that "
    "of all coils, and coil maps differ from those of raw data.",
    "Nothing; compare with data of equally many virtual coils.",
)
UNCORRELATED, DESCENDING = 0.01, 1.5
"""Correlation of any two coils below which they were made orthogonal, and the factor by which the
energy of the first exceeds that of the last."""


def find(plane: Plane) -> Iterator[Seen]:
    """Look at how the coils correlate."""
    coils = plane.kspace.shape[0]
    if coils < 3:
        return
    signal = _correlation(plane.kspace.flatten(1))
    energy = plane.kspace.abs().square().sum((-1, -2))
    ordered = bool((energy.diff() <= 0).all() and energy[0] > DESCENDING * energy[-1])
    if ordered and _largest(signal) < UNCORRELATED:
        yield Seen(
            COMPRESSED,
            Level.NOTE,
            f"The {coils} coils are orthogonal and ordered by energy: they were compressed.",
        )


def _correlation(values: Complex64[Tensor, "coil n"]) -> Float32[Tensor, "coil coil"]:
    gram = values @ values.conj().T
    scale = torch.diagonal(gram).real.clamp_min(1e-30).sqrt()
    return gram.abs() / (scale[:, None] * scale)


def _largest(correlation: Float32[Tensor, "coil coil"]) -> float:
    return float((correlation - torch.diag(torch.diagonal(correlation))).max())
