"""Noise covariance from a noise scan, and the matrix that makes the coils' noise white.

References:
    Roemer et al., The NMR phased array, Magn Reson Med 16:192, 1990.
    Hansen and Kellman, Image reconstruction: an overview for clinicians, JMRI 41:573, 2015.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex64, Complex128, Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.readouts import Readouts

SAMPLES_PER_COIL = 10
"""Fewer noise samples than this per coil do not determine the correlations."""
DEFAULT_BANDWIDTH = 0.793
"""Relative receiver noise bandwidth when the header does not tell (Siemens)."""


@dataclass(frozen=True)
class NoiseScan:
    """What is kept of noise readouts, wherever they were.

    Attributes:
        covariance: Of complex numbers, per sample.
        samples: How many samples it was estimated from.
        dwell: Sampling interval in µs, 0 when unknown.
        labels: Coil names by channel; empty when unknown.
        origin: Where the readouts were, in words.
    """

    covariance: Complex128[np.ndarray, "coil coil"]
    samples: int
    dwell: float
    labels: Mapping[int, str]
    origin: str


@dataclass(frozen=True)
class Whitening:
    """A whitening matrix, to be applied to every readout before anything else."""

    matrix: Complex64[np.ndarray, "coil coil"]
    notes: tuple[str, ...] = ()


def noise_covariance(noise: Complex64[np.ndarray, "coil sample"]) -> Complex128[np.ndarray, "c c"]:
    r"""Return :math:`\Psi = X X^H / (N - 1)` in double precision, without subtracting the mean."""
    x = noise.astype(np.complex128)
    return x @ x.conj().T / (x.shape[1] - 1)


def noise_scan(readouts: Readouts, labels: Mapping[int, str], origin: str) -> NoiseScan:
    """Estimate the covariance of noise readouts.

    Raises:
        RawDataError: When they disagree about the channels or hold no finite noise.
    """
    channels = sorted({block.shape[0] for block in readouts.samples})
    if len(channels) != 1:
        raise RawDataError(f"the noise readouts have different numbers of channels: {channels}")
    x = np.concatenate(readouts.samples, axis=1)
    if x.shape[1] < 2 or not np.isfinite(x).all() or not x.any():
        raise RawDataError(f"the noise scan ({x.shape[1]} samples) is empty, zero or not finite")
    dwell = float(np.median(readouts.heads["sample_time_us"]))
    return NoiseScan(noise_covariance(x), x.shape[1], dwell, labels, origin)


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
    the noise scan and of the image are taken as equal. When the correlations cannot be estimated,
    the coils are only scaled.

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
    if noise.samples < SAMPLES_PER_COIL * coils:
        notes.append(
            f"The noise scan has only {noise.samples} samples for {coils} coils: coils are scaled "
            "to unit noise, but not decorrelated."
        )
        inverse = _inverse_diagonal(covariance)
    elif np.linalg.matrix_rank(covariance, hermitian=True) < coils:
        notes.append(
            "The noise covariance is singular (a dead or doubled channel): coils are scaled to "
            "unit noise, but not decorrelated."
        )
        inverse = _inverse_diagonal(covariance)
    else:
        inverse = np.linalg.inv(np.linalg.cholesky(covariance))
    ratio = 1.0
    if noise.dwell > 0 and dwell > 0:
        told = bandwidth if bandwidth is not None and bandwidth > 0 else DEFAULT_BANDWIDTH
        ratio = dwell / noise.dwell * told
    else:
        notes.append("A dwell time is missing: noise and image bandwidth are taken as equal.")
    return Whitening((np.sqrt(2.0 * ratio) * inverse).astype(np.complex64), tuple(notes))


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


def _inverse_diagonal(covariance: np.ndarray) -> np.ndarray:
    """Scale each coil by its own noise; a channel without any noise is switched off."""
    variance = np.diag(covariance).real
    alive = variance > 1e-12 * variance.max()
    return np.diag(np.where(alive, 1 / np.sqrt(np.where(alive, variance, 1.0)), 0.0)).astype(
        np.complex128
    )
