"""Noise covariance from a noise scan, and the matrix that makes the coils' noise white.

References:
    Roemer et al., The NMR phased array, Magn Reson Med 16:192, 1990.
    Hansen and Kellman, Image reconstruction: an overview for clinicians, JMRI 41:573, 2015.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex64, Complex128

from mrirecon.errors import RawDataError
from mrirecon.raw.readouts import Readouts

SAMPLES_PER_COIL = 10
"""Fewer noise samples than this per coil do not determine the correlations."""
DEFAULT_BANDWIDTH = 0.793
"""Relative receiver noise bandwidth when the header does not tell (Siemens)."""


@dataclass(frozen=True)
class Whitening:
    """A whitening matrix, to be applied to every readout before anything else."""

    matrix: Complex64[np.ndarray, "coil coil"]
    notes: tuple[str, ...] = ()


def noise_covariance(noise: Complex64[np.ndarray, "coil sample"]) -> Complex128[np.ndarray, "c c"]:
    r"""Return :math:`\Psi = X X^H / (N - 1)` in double precision, without subtracting the mean."""
    x = noise.astype(np.complex128)
    return x @ x.conj().T / (x.shape[1] - 1)


def whitening(
    noise: Readouts, acquisition_dwell: float, bandwidth: float | None = None
) -> Whitening:
    r"""Return :math:`W = \sqrt{2 \tau_a / \tau_n \cdot b}\; L^{-1}` with :math:`\Psi = L L^H`.

    Real and imaginary part of the noise in :math:`W y` have unit variance each. Without dwell times
    the bandwidths of the noise scan and of the image are taken as equal. When the correlations
    cannot be estimated, the coils are only scaled.

    Args:
        noise: Noise readouts.
        acquisition_dwell: Sampling interval of the image readouts in µs, 0 when unknown.
        bandwidth: Relative receiver noise bandwidth ``b``.

    Raises:
        RawDataError: When the noise readouts disagree about the channels or hold no finite noise.
    """
    channels = sorted({block.shape[0] for block in noise.samples})
    if len(channels) != 1:
        raise RawDataError(f"the noise readouts have different numbers of channels: {channels}")
    x = np.concatenate(noise.samples, axis=1)
    coils, count = x.shape
    if count < 2 or not np.isfinite(x).all() or not x.any():
        raise RawDataError(f"the noise scan ({count} samples) is empty, all zero or not finite")
    covariance = noise_covariance(x)
    notes = []
    if count < SAMPLES_PER_COIL * coils:
        notes.append(
            f"The noise scan has only {count} samples for {coils} coils: coils are scaled to unit "
            "noise, but not decorrelated."
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
    noise_dwell = float(np.median(noise.heads["sample_time_us"]))
    ratio = 1.0
    if noise_dwell > 0 and acquisition_dwell > 0:
        ratio = acquisition_dwell / noise_dwell * (bandwidth or DEFAULT_BANDWIDTH)
    else:
        notes.append("A dwell time is missing: noise and image bandwidth are taken as equal.")
    return Whitening((np.sqrt(2.0 * ratio) * inverse).astype(np.complex64), tuple(notes))


def _inverse_diagonal(covariance: np.ndarray) -> np.ndarray:
    """Scale each coil by its own noise; a channel without any noise is switched off."""
    variance = np.diag(covariance).real
    alive = variance > 1e-12 * variance.max()
    return np.diag(np.where(alive, 1 / np.sqrt(np.where(alive, variance, 1.0)), 0.0)).astype(
        np.complex128
    )
