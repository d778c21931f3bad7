r"""Gradient delays of radial scans, estimated from where spokes cross.

Spokes miss the centre of k-space when the gradients along the axes of the image are late by
different times. Two spokes cross at one point of k-space, where both have the same signal in all
coils; how far that is from where they were meant to cross tells the delays (RING: Rosenzweig, Holme
and Uecker, Simple auto-calibrated gradient delay estimation from few spokes using Radial
Intersections, Magn Reson Med 81:1898, 2019).

A spoke along the unit vector :math:`n` is shifted by :math:`S n`, where :math:`S` is symmetric, its
diagonal the delays along ``h`` and ``w`` and its other element what they have in common, all in
samples of the readout.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex64, Float32, Float64
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.sampling.trajectory_shape import shape_of

REACH, FINE = 4.0, 0.1
"""Crossings are looked for up to so many samples from the centre, in steps of this many."""
LEAST_SPOKES, MOST_PAIRS = 6, 400
"""Fewer spokes determine nothing, more pairs take time only."""
STEEP = 0.5
"""Sine of the angle at which spokes cross at least; flatter crossings are ill determined."""
SPREAD = 0.35
"""Samples by which crossings may scatter around the fit, their median; else nothing is told."""
SMALLEST = 0.05
"""Samples below which delays are none."""
BETTER = 0.7
"""Delays are believed when crossings scatter less by this factor than without them."""
ROUNDS = 8
"""Repetitions of the fit, in which crossings far off count less."""

Delays = tuple[float, float, float]


@dataclass(frozen=True)
class Estimate:
    """Delays, and how well crossings agree with them.

    Attributes:
        delays: Elements of :math:`S` along ``h``, along ``w`` and off the diagonal, in samples.
        scatter: Median distance of crossings from the fit, in samples.
        before: The same without any delays.
    """

    delays: Delays
    scatter: float
    before: float

    @property
    def sure(self) -> bool:
        """Whether crossings agree so well that the delays are believed."""
        return self.scatter <= SPREAD

    @property
    def some(self) -> bool:
        """Whether there are delays worth correcting."""
        large = max(map(abs, self.delays)) >= SMALLEST
        return self.sure and large and self.scatter <= BETTER * self.before


def estimated_delays(
    kspace: Complex64[np.ndarray, "coil h w"], trajectory: Float32[Tensor, "h w 2"]
) -> Estimate | None:
    """Estimate the delays of diameters; None when there are too few that cross.

    Args:
        kspace: Samples of a plane.
        trajectory: Places of the samples as they were meant, in any unit.
    """
    spokes = np.flatnonzero(np.abs(kspace).any(axis=(0, 1)))
    if len(spokes) < LEAST_SPOKES:
        return None
    places = trajectory[:, spokes].double().numpy()
    direction, step = _directions(places)
    center = -np.einsum("wa,wa->w", places[0], direction) / step
    offsets = np.arange(-REACH, REACH + FINE / 2, FINE)
    values = _interpolated(kspace[:, :, spokes], center[:, None] + offsets)
    found = []
    for one, other in _pairs(direction):
        distance = _distances(values[one], values[other])
        a, b = np.unravel_index(int(distance.argmin()), distance.shape)
        if 0 < a < len(offsets) - 1 and 0 < b < len(offsets) - 1:
            fine = _lowest(distance, int(a), int(b))
            found.append((one, other, offsets[a] + FINE * fine[0], offsets[b] + FINE * fine[1]))
    if len(found) < LEAST_SPOKES:
        return None
    first, second = (np.array([pair[n] for pair in found]) for n in (0, 1))
    along, across = (np.array([pair[n] for pair in found]) for n in (2, 3))
    crossing = along[:, None] * direction[first] - across[:, None] * direction[second]
    return _fitted(direction[second] - direction[first], crossing)


def delays_of(
    told: str | tuple[float, ...] | None,
    kspace: Complex64[np.ndarray, "coil h w"],
    trajectory: Float32[Tensor, "h w 2"],
) -> tuple[Delays | None, str]:
    """Return the delays to correct, None without any, and a note about them.

    Args:
        told: What a user told: ``auto`` or None, ``none``, or the delays.
        kspace: Samples of a plane.
        trajectory: Places of the samples as they were meant.

    Raises:
        RawDataError: When delays were told for readouts that are no diameters.
    """
    measured = torch.from_numpy(np.abs(kspace).any(axis=(0, 1)))
    kind = shape_of(trajectory[:, measured] if measured.any() else trajectory).kind
    if told == "none":
        return None, ""
    if isinstance(told, tuple):
        if kind != "radial":
            raise RawDataError(
                f"reading.gradient_delays={list(told)} is for spokes through the centre of "
                f"k-space, but these readouts are {kind}; leave it out"
            )
        h, w, both = told
        return (h, w, both), f"Gradient delays were corrected as told: {delay_words((h, w, both))}."
    if kind != "radial":
        return None, ""
    if len(kspace) < 2:
        return None, "Gradient delays were not estimated: the crossings of spokes need two coils."
    found = estimated_delays(kspace, trajectory)
    if found is None or not found.sure:
        return None, (
            "Gradient delays could not be estimated: the spokes are too few, or do not agree where "
            "they cross. reading.gradient_delays=[h,w,both] tells them."
        )
    if not found.some:
        return None, f"Gradient delays are less than {SMALLEST:g} samples, or none."
    return found.delays, (
        f"Gradient delays were found and corrected: {delay_words(found.delays)}; spokes cross "
        f"within {found.scatter:.2f} samples instead of {found.before:.2f} "
        "(reading.gradient_delays=none prevents it)."
    )


def delay_words(delays: Delays | None) -> str:
    """Write delays, as a report has them."""
    if delays is None:
        return "none corrected"
    h, w, both = delays
    return f"{h:.2f} samples along h, {w:.2f} along w, {both:.2f} in common"


def delayed(trajectory: Float32[Tensor, "h *w 2"], delays: Delays) -> Float32[Tensor, "h *w 2"]:
    """Return where spokes really were.

    Args:
        trajectory: Places of the samples as they were meant, in any unit.
        delays: Delays in samples, along ``h``, along ``w`` and in common.
    """
    along = trajectory[-1] - trajectory[0]
    step = along / max(len(trajectory) - 1, 1)  # direction times the distance of samples
    x, y, both = delays
    matrix = torch.tensor([[x, both], [both, y]], dtype=trajectory.dtype)
    return trajectory + step @ matrix


def _directions(
    places: Float64[np.ndarray, "h w 2"],
) -> tuple[Float64[np.ndarray, "w 2"], Float64[np.ndarray, " w"]]:
    along = places[-1] - places[0]
    length = np.linalg.norm(along, axis=-1)
    return along / length[:, None], length / (len(places) - 1)


def _interpolated(
    kspace: Complex64[np.ndarray, "coil h w"], at: Float64[np.ndarray, "w place"]
) -> list[np.ndarray]:
    """Return the samples of each spoke at fractions of samples, by the Fourier transform."""
    h = kspace.shape[1]
    frequency = np.fft.fftfreq(h)
    image = np.fft.fft(kspace.astype(np.complex128), axis=1) / h
    return [
        image[:, :, spoke] @ np.exp(2j * np.pi * frequency[:, None] * at[spoke])
        for spoke in range(kspace.shape[2])
    ]


def _pairs(direction: Float64[np.ndarray, "w 2"]) -> np.ndarray:
    """Choose pairs of spokes that cross steeply, spread over all of them."""
    one, other = np.triu_indices(len(direction), 1)
    sine = direction[one, 0] * direction[other, 1] - direction[one, 1] * direction[other, 0]
    steep = np.flatnonzero(np.abs(sine) >= STEEP)
    if len(steep) > MOST_PAIRS:
        steep = steep[np.linspace(0, len(steep) - 1, MOST_PAIRS).round().astype(np.int64)]
    return np.stack([one[steep], other[steep]], axis=1)


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the squared distances of the coils' signals at all pairs of places."""
    cross = (one.conj().T @ other).real
    squares = [np.square(np.abs(values)).sum(axis=0) for values in (one, other)]
    result: np.ndarray = squares[0][:, None] + squares[1][None] - 2 * cross
    return result


def _lowest(distance: np.ndarray, a: int, b: int) -> Float64[np.ndarray, "2"]:
    """Return where a parabola through the neighbours of the lowest value has its minimum."""
    near = distance[a - 1 : a + 2, b - 1 : b + 2]
    slope = np.array([near[2, 1] - near[0, 1], near[1, 2] - near[1, 0]]) / 2
    mixed = (near[2, 2] - near[2, 0] - near[0, 2] + near[0, 0]) / 4
    bend = np.array([
        [near[2, 1] - 2 * near[1, 1] + near[0, 1], mixed],
        [mixed, near[1, 2] - 2 * near[1, 1] + near[1, 0]],
    ])  # fmt: skip
    if np.linalg.det(bend) <= 0:
        return np.zeros(2)
    found: Float64[np.ndarray, 2] = -np.linalg.solve(bend, slope).clip(-1, 1)
    return found


def _fitted(
    difference: Float64[np.ndarray, "pair 2"], crossing: Float64[np.ndarray, "pair 2"]
) -> Estimate:
    r"""Solve :math:`S (n_j - n_i) = a n_i - b n_j` by least squares, outliers weighed down."""
    dx, dy = difference.T
    zero = np.zeros_like(dx)
    rows = np.stack([np.stack([dx, zero, dy], 1), np.stack([zero, dy, dx], 1)], 1)
    weight = np.ones(len(rows))
    solution: np.ndarray = np.zeros(3)
    for _ in range(ROUNDS):
        weighted = (rows * weight[:, None, None]).reshape(-1, 3)
        wanted = (crossing * weight[:, None]).reshape(-1)
        solution = np.linalg.lstsq(weighted, wanted, rcond=None)[0]
        error = np.linalg.norm(rows @ solution - crossing, axis=1)
        weight = 1 / (1 + (error / max(float(np.median(error)), 1e-3)) ** 2)
    x, y, both = (float(value) for value in solution)
    before = float(np.median(np.linalg.norm(crossing, axis=1)))
    return Estimate((x, y, both), float(np.median(error)), before)
