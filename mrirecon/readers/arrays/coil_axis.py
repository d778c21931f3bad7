"""Coils or slices: what the planes along an axis are, judged by their images.

Coils are the same image times smooth sensitivities. So all of them fulfil the same linear relations
between neighbouring samples (Uecker et al., Magn Reson Med 71:990, 2014), and yet they show the
image in different places. Slices share no relations, or they are alike.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, pairwise
from typing import TypeAlias

import numpy as np
from jaxtyping import Complex64, Float64

from mrirecon.raw.plausibility import Peak

BLOCK, KERNEL = 24, 5
"""Size of the centre of k-space, and of the neighbourhoods, that are looked at."""
FINE, COARSE = 1e-3, 1e-2
"""Share of the mean energy above which a component of the neighbourhoods counts."""
NOISE = 3.0
"""Energy of noise in a component, relative to its expectation, that is surely exceeded."""
RELATED, CLOSELY = 0.35, 0.3
"""A further coil adds less than this to the components of one, coarse and fine. Measured: coils
0.09 to 0.26, slices 0.24 to 0.94."""
ALIKE, IN_PHASE = 0.85, 0.6
"""Neighbouring coils are less alike than this, as magnitudes or as complex images. Measured: slices
above 0.89 as magnitudes, but for phantoms with different content; coils 0.34 to 0.97."""
SURELY, APART = 0.23, 0.7
"""Further coils that add less than this, fine, are related even if neighbours are alike, as coils
around the object are; but not all of them are alike, as are frames of one slice. Measured: coils
of which neighbours are alike below 0.22 and 0.61, slices above 0.24 or 0.77."""
Plane = Complex64[np.ndarray, "h w"]
Pairs: TypeAlias = Callable[[list[np.ndarray]], Iterable[tuple[np.ndarray, np.ndarray]]]


def are_coils(planes: Sequence[Plane], peaks: tuple[Peak, Peak]) -> bool:
    """Tell whether planes of k-space are surely coils of one image.

    Undersampled and small k-space tells nothing, nor do coils that see nearly the same.

    Args:
        planes: Two or more planes ``(h, w)`` of k-space, along the axis in question.
        peaks: Peaks of k-space along h and w.
    """
    if len(planes) < 2 or min(planes[0].shape) < 2 * BLOCK:
        return False
    blocks, noise = [], []
    for values in planes:
        block = _around(values, peaks, 0, BLOCK).astype(np.complex128)  # squares may overflow
        edge = np.abs(_around(values, peaks, values.shape[0] // 2, 3).astype(np.complex128)) ** 2
        norm = float(np.linalg.norm(block))
        if not block.all() or not edge.any():
            return False
        blocks.append(block / norm)
        # half of the energies of noise are below log 2 of their mean
        noise.append(float(np.median(edge[edge > 0])) / np.log(2) / norm**2)
    added = _added(blocks, noise)
    surely = added(FINE) < SURELY and _magnitudes(blocks, _pairs) < APART
    return surely or (_related(blocks, added) and _different(blocks))


def _around(
    values: Plane, peaks: tuple[Peak, Peak], offset: int, rows: int
) -> Complex64[np.ndarray, "rows columns"]:
    """Return rows around an offset to k = 0; of few rows all columns, else as many columns."""
    for axis, (peak, first) in enumerate(zip(peaks, (offset, 0), strict=True)):
        middle = 0 if peak.place == "corner" else peak.size // 2
        width = rows if axis == 0 else BLOCK if rows == BLOCK else peak.size
        near = (middle + first + np.arange(width) - width // 2) % peak.size
        values = values.take(near, axis)
    return values


def _added(blocks: list[np.ndarray], noise: list[float]) -> Callable[[float], float]:
    """Return what a further coil adds to the components of one, above a share of the energy."""
    windows = [
        np.lib.stride_tricks.sliding_window_view(block, (KERNEL, KERNEL)).reshape(-1, KERNEL**2)
        for block in blocks
    ]
    singular = [_energies(values) for values in windows]
    joint = _energies(np.concatenate(windows, axis=1))
    rows = len(windows[0])

    def added(share: float) -> float:
        counts = [_count(s, share, rows * n) for s, n in zip(singular, noise, strict=True)]
        alone = max(float(np.mean(counts)), 1.0)
        together = _count(joint, share, rows * float(np.mean(noise)))
        return float((together / alone - 1) / (len(windows) - 1))

    return added


def _related(blocks: list[np.ndarray], added: Callable[[float], float]) -> bool:
    return added(COARSE) < RELATED and (_magnitudes(blocks) < ALIKE or added(FINE) < CLOSELY)


def _energies(windows: np.ndarray) -> Float64[np.ndarray, " n"]:
    energies: np.ndarray = np.linalg.svd(windows, compute_uv=False) ** 2
    return energies


def _count(energies: Float64[np.ndarray, " n"], share: float, noise: float) -> int:
    return int((energies - NOISE * noise > share * energies.mean()).sum())


def _different(blocks: list[np.ndarray]) -> bool:
    return _magnitudes(blocks) < ALIKE or _in_phase(blocks) < IN_PHASE


def _in_phase(blocks: list[np.ndarray]) -> float:
    """Return how alike the least alike neighbours are, phase included, at most 1."""
    return float(min(abs(np.vdot(a, b)) for a, b in pairwise(blocks)))


def _pairs(blocks: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return combinations(blocks, 2)


def _magnitudes(blocks: list[np.ndarray], pairs: Pairs = pairwise) -> float:
    """Return how alike the magnitudes of the least alike pair are, at most 1."""
    images = [np.abs(np.fft.ifft2(np.fft.ifftshift(block))) for block in blocks]
    images = [image / np.linalg.norm(image) for image in images]
    return float(min((a * b).sum() for a, b in pairs(images)))
