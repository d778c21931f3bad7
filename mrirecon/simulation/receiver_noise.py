r"""Receiver noise: a realistic covariance between coils, and complex draws that have it.

The covariance is that of complex noise in one k-space sample, :math:`\Psi = E[n n^H]`. Whitening,
:math:`W = \sqrt{2}\,L^{-1}` with :math:`\Psi = L L^H`, gives unit variance to the real and to
the imaginary part of every channel (Pruessmann et al., Magn Reson Med 46:638, 2001).
"""

import numpy as np
import torch
from jaxtyping import Complex64, Complex128, Float64
from torch import Tensor

Covariance = Complex128[np.ndarray, "coil coil"]


def random_covariance(
    centers: Float64[np.ndarray, "coil 3"],
    rng: np.random.Generator,
    level: float = 1e-5,
    reach: float = 60.0,
) -> Covariance:
    r"""Draw the noise covariance of an array whose elements sit at ``centers`` (mm).

    :math:`\Psi_{cd} = \sigma_c \sigma_d \rho_{cd}`, with correlations
    :math:`\rho_{cd} = u_c \bar u_d\, e^{-(d_{cd}/reach)}\kappa` that fall with the distance of the
    elements (neighbours 0.1 to 0.4), phases of their preamplifiers and cables ``u``, and noise
    levels :math:`\sigma` that differ by some 20 %, as in measured arrays. The exponential kernel
    is positive definite.

    Args:
        centers: Element centres in mm.
        rng: Source of randomness.
        level: Typical standard deviation of one complex sample, in raw units.
        reach: Distance over which correlation falls by 1/e, in mm.
    """
    coils = len(centers)
    distance = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    correlation = 0.6 * np.exp(-distance / reach) + 0.4 * np.eye(coils)
    amplitude = level * np.exp(0.2 * rng.standard_normal(coils))
    gain = amplitude * np.exp(2j * np.pi * rng.random(coils))
    covariance = correlation * gain[:, None] * gain.conj()[None]
    return (covariance + covariance.conj().T) / 2


def coloring(covariance: Covariance) -> Complex128[np.ndarray, "coil coil"]:
    r"""Return :math:`W^{-1} = L/\sqrt{2}`: turns whitened samples into raw ones."""
    return np.linalg.cholesky(covariance) / np.sqrt(2.0)


def whitening(covariance: Covariance) -> Complex128[np.ndarray, "coil coil"]:
    r"""Return :math:`W = \sqrt{2}\,L^{-1}`: gives unit variance to each real component."""
    return np.linalg.inv(coloring(covariance))


def white_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Complex64[np.ndarray, "..."]:
    """Draw complex noise with unit variance in the real and in the imaginary part."""
    return rng.standard_normal((*shape, 2), dtype=np.float32).view(np.complex64)[..., 0]


def apply_channels(
    matrix: Complex128[np.ndarray, "new coil"], x: Complex64[Tensor, "*b coil h w"]
) -> Complex64[Tensor, "*b new h w"]:
    """Mix the channels of ``x`` by ``matrix``, for instance :func:`whitening`."""
    mixing = torch.from_numpy(matrix).to(torch.complex64)
    return (mixing @ x.flatten(-2)).unflatten(-1, x.shape[-2:])
