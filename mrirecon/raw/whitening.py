"""Noise covariance from a noise scan, and the matrix that makes the coils' noise white.

References:
    Roemer et al., The NMR phased array, Magn Reson Med 16:192, 1990.
    Hansen and Kellman, Image reconstruction: an overview for clinicians, JMRI 41:573, 2015.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex64, Complex128, Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.plausibility import find_peak
from mrirecon.raw.readouts import Readouts

SAMPLES_PER_COIL = 10
"""Fewer noise samples than this per coil do not determine the correlations."""
DEFAULT_BANDWIDTH = 0.793
"""Relative receiver noise bandwidth when the header does not tell (Siemens)."""
UNUSUAL = 100.0
"""A channel is dead, or broken, when its noise is so many times weaker or stronger than usual."""
COPY = 1e-8
"""Part of a channel's noise variance that others do not explain; a copy of others has less."""


@dataclass(frozen=True)
class NoiseScan:
    """What is kept of noise readouts, wherever they were.

    Attributes:
        covariance: Covariance of the complex noise of one sample between the coils.
        samples: Number of samples that it was estimated from.
        dwell: Sampling interval in µs, 0 when unknown.
        labels: Coil names by channel; empty when unknown.
        origin: Origin of the readouts, in words.
    """

    covariance: Complex128[np.ndarray, "coil coil"]
    samples: int
    dwell: float
    labels: Mapping[int, str]
    origin: str


@dataclass(frozen=True)
class Whitening:
    """A whitening matrix, to be applied to every readout before anything else.

    Attributes:
        matrix: Channels that are dead or broken have zeros in their row and column.
        white: Whether the noise becomes white; otherwise its variance is one, but coils correlate.
        notes: Notes about what was noticed, one sentence each.
    """

    matrix: Complex64[np.ndarray, "coil coil"]
    white: bool = True
    notes: tuple[str, ...] = ()


def noise_covariance(noise: Complex64[np.ndarray, "coil sample"]) -> Complex128[np.ndarray, "c c"]:
    r"""Return :math:`\Psi = X X^H / (N - 1)` in double precision, without subtracting the mean."""
    x = noise.astype(np.complex128)
    return x @ x.conj().T / (x.shape[1] - 1)


def noise_scan(readouts: Readouts, labels: Mapping[int, str], origin: str) -> NoiseScan:
    """Estimate the covariance of noise readouts.

    The variance of a channel whose noise is not finite is NaN; it correlates with no other.

    Raises:
        RawDataError: When they disagree about the channels, or hold no finite noise or an echo.
    """
    channels = sorted({block.shape[0] for block in readouts.samples})
    if len(channels) != 1:
        raise RawDataError(f"the noise readouts have different numbers of channels: {channels}")
    x = np.concatenate(readouts.samples, axis=1)
    broken = ~np.isfinite(x).all(axis=1)
    x[broken] = 0
    if x.shape[1] < 2 or not x.any():
        raise RawDataError(f"the noise scan ({x.shape[1]} samples) is empty, zero or not finite")
    covariance = noise_covariance(x)
    covariance[broken, broken] = np.nan
    _refuse_signal(readouts, ~broken)
    dwell = float(np.median(readouts.heads["sample_time_us"]))
    return NoiseScan(covariance, x.shape[1], dwell, labels, origin)


def _refuse_signal(readouts: Readouts, usable: Bool[np.ndarray, " coil"]) -> None:
    """Refuse readouts with an echo: their covariance is that of the object.

    Raises:
        RawDataError: When the energy along the readouts has a peak, which noise has not.
    """
    length = Counter(block.shape[1] for block in readouts.samples).most_common(1)[0][0]
    energy = np.zeros((int(usable.sum()), length))
    for samples in readouts.samples:
        if samples.shape[1] == length:
            energy += np.square(np.abs(samples[usable]), dtype=np.float64)
    energy = energy[energy.any(axis=1)]
    peak = find_peak((energy / energy.mean(axis=1, keepdims=True)).sum(axis=0))
    if peak.place != "none":
        raise RawDataError(
            f"the readouts flagged as noise have an echo at sample {peak.index} of {peak.size}, "
            "expected noise alone: they are lines of an image, or were acquired with the object "
            "excited"
        )


def whitening(
    noise: NoiseScan,
    coils: int,
    labels: Mapping[int, str],
    dwell: float,
    bandwidth: float | None = None,
) -> Whitening:
    r"""Return :math:`W = \sqrt{2 \tau_a / \tau_n \cdot b}\; L^{-1}` with :math:`\Psi = L L^H`.

    Real and imaginary part of the noise in :math:`W y` have unit variance each. Channels are
    matched by name when both scans name them, else by number. Without dwell times the bandwidths of
    the noise scan and of the image are taken as equal. When there are too few samples for the
    correlations, the coils are only scaled. Channels without noise, with noise that is not finite
    or far from that of the others, and copies of other channels are switched off; what is left is
    whitened as if they had never been there.

    Args:
        noise: The noise scan.
        coils: Number of channels of the image.
        labels: Coil names of the image by channel; empty when unknown.
        dwell: Sampling interval of the image readouts in µs, 0 when unknown.
        bandwidth: Relative receiver noise bandwidth ``b``.

    Raises:
        RawDataError: When the channels of the two scans cannot be matched.
    """
    order, notes = _match(noise, coils, labels)
    covariance = noise.covariance[np.ix_(order, order)]
    used, left_out = _usable(covariance, labels)
    notes += left_out
    deviation = np.sqrt(np.diag(covariance).real[used])
    correlation = covariance[np.ix_(used, used)] / np.outer(deviation, deviation)
    enough = noise.samples >= SAMPLES_PER_COIL * len(used)
    if not enough:
        notes.append(
            f"The noise scan has only {noise.samples} samples for {len(used)} coils: coils are "
            "scaled to unit noise, but not decorrelated, and do not count as whitened."
        )
        white = np.eye(len(used))
    else:
        kept = _independent(correlation)
        notes += _left_out(np.delete(used, kept), labels, "copies of other channels")
        used, deviation = used[kept], deviation[kept]
        white = np.linalg.inv(np.linalg.cholesky(correlation[np.ix_(kept, kept)]))
    inverse = np.zeros((coils, coils), np.complex128)
    inverse[np.ix_(used, used)] = white / deviation
    ratio = 1.0
    if noise.dwell > 0 and dwell > 0:
        told = bandwidth if bandwidth is not None and bandwidth > 0 else DEFAULT_BANDWIDTH
        ratio = dwell / noise.dwell * told
    else:
        notes.append("A dwell time is missing: noise and image bandwidth are taken as equal.")
    return Whitening((np.sqrt(2.0 * ratio) * inverse).astype(np.complex64), enough, tuple(notes))


def _match(
    noise: NoiseScan, coils: int, labels: Mapping[int, str]
) -> tuple[Int64[np.ndarray, "coil"], list[str]]:
    """Return the noise scan's channel for each channel of the image."""
    theirs = len(noise.covariance)
    wanted = [labels.get(channel) for channel in range(coils)]
    places = {noise.labels.get(channel): channel for channel in range(theirs)}
    named = None not in wanted and None not in places
    if named and len(set(wanted)) == coils and len(places) == theirs:
        missing = [str(name) for name in wanted if name not in places]
        if missing:
            raise RawDataError(
                f"the noise scan ({noise.origin}) lacks the coils {', '.join(missing)}; "
                "use one that was acquired with the same coils"
            )
        order = np.array([places[name] for name in wanted], np.int64)
        if theirs == coils and (order == np.arange(coils)).all():
            return order, []
        return order, ["The coils of the noise scan have another order: matched by name."]
    if theirs != coils:
        raise RawDataError(
            f"the noise scan ({noise.origin}) has {theirs} channels, the image {coils}, and coil "
            "names that would match them are missing; use one acquired with the same coils"
        )
    return np.arange(coils), []


def _usable(
    covariance: Complex128[np.ndarray, "coil coil"], labels: Mapping[int, str]
) -> tuple[Int64[np.ndarray, "used"], list[str]]:
    """Return the channels with noise like that of the others, and why the rest is left out.

    Raises:
        RawDataError: When no channel has any noise.
    """
    variance = np.diag(covariance).real
    finite = np.isfinite(variance)
    if not (variance[finite] > 0).any():
        raise RawDataError("the noise scan holds no noise in the channels of the image")
    usual = float(np.median(variance[finite & (np.nan_to_num(variance) > 0)]))
    silent = finite & (np.nan_to_num(variance) < usual / UNUSUAL**2)
    loud = finite & (np.nan_to_num(variance) > usual * UNUSUAL**2)
    notes = []
    for found, reason in (
        (~finite, "with noise that is not finite"),
        (silent, "without noise: dead or switched off"),
        (loud, f"with noise more than {UNUSUAL:g} times stronger than usual: broken"),
    ):
        notes += _left_out(np.flatnonzero(found), labels, reason)
    return np.flatnonzero(finite & ~silent & ~loud), notes


def _independent(correlation: Complex128[np.ndarray, "coil coil"]) -> Int64[np.ndarray, "kept"]:
    """Return the channels whose noise is no combination of that of the channels before."""
    kept: list[int] = []
    for channel in range(len(correlation)):
        shared = correlation[kept, channel]
        explained = shared.conj() @ np.linalg.solve(correlation[np.ix_(kept, kept)], shared)
        if correlation[channel, channel].real - explained.real > COPY:
            kept.append(channel)
    return np.array(kept, np.int64)


def _left_out(channels: Int64[np.ndarray, "_"], labels: Mapping[int, str], why: str) -> list[str]:
    if not len(channels):
        return []
    names = [f"{c} ({labels[c]})" if c in labels else str(c) for c in channels.tolist()]
    return [
        f"Channels left out, {why}: {', '.join(names)} (counted from 0). The others are whitened; "
        "these are zero in k-space."
    ]
