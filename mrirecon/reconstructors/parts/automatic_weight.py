"""Regularization weights from the level of the noise."""

import math

import torch
from jaxtyping import Complex, Float32
from torch import Tensor

from mrirecon.image import squared_magnitude
from mrirecon.operators import areas, data_weights, noise_variance
from mrirecon.reconstructors.parts.estimated_noise import noise_std
from mrirecon.sensitivity.base import calibration_center, calibration_extent
from mrirecon.types import Maps, Sample

BISECTIONS = 50
LEAST = 1e-3
"""No weight below this one is chosen: maps are never exact, and their errors are amplified, too."""


def sample_noise_std(sample: Sample) -> Float32[Tensor, "*b 1 1"]:
    """Return the standard deviation of each real component of noise, of a sample of weight one.

    See :func:`~mrirecon.reconstructors.parts.estimated_noise.noise_std`.
    """
    return noise_variance(sample, noise_std(sample)).sqrt()


def density(sample: Sample) -> Float32[Tensor, "*b 1 1"]:
    """Return the part of k-space that was measured, samples of less weight counting less."""
    weights = data_weights(sample)
    return weights.mean((-2, -1), keepdim=True) * _samples_per_cell(sample)


def _samples_per_cell(sample: Sample) -> float:
    """Return the number of samples, measured or not, by that of the cells of the grid."""
    return math.prod(sample.kspace.shape[-2:]) / math.prod(sample.grid)


@torch.no_grad()
def wiener_weight(sample: Sample, maps: Maps) -> Float32[Tensor, "*b 1 1"]:
    r"""Return the :math:`\lambda` of least expected error of an image with two bands of k-space.

    If a mode of the image has the variance :math:`P` and :math:`A^HA` the eigenvalue :math:`\mu`
    for it, the minimizer of :math:`\|Ax - y\|^2 + \lambda\|x\|^2` errs by
    :math:`(\lambda^2 P + \mu\sigma^2) / (\mu + \lambda)^2`. The fully sampled centre has much of
    the energy and :math:`\mu = 1`; around it, the energy is low and :math:`\mu` is about the
    density :math:`d` of the sampling. The sum of both bands, of :math:`n` modes each, is least for

    .. math:: \sum_b n_b d_b\,\frac{\lambda P_b - \sigma^2}{(d_b + \lambda)^3} = 0

    which is Wiener's :math:`\sigma^2 / P` where everything was measured, but not less than
    :data:`LEAST`. :math:`P_b` is the mean
    energy of the measured samples of a band over all coils, less that of their noise, relative to
    the pixels in which the maps are not zero. The noise is :func:`sample_noise_std`.

    Args:
        sample: One slice or a batch.
        maps: Coil sensitivities of the same slices.
    """
    best = noise_std(sample)
    variance = noise_variance(sample, best)
    W, measured = data_weights(sample), areas(sample)
    squares = squared_magnitude(sample.kspace, (-3,))
    spread = 2 * best.square()[..., None, None] * sample.kspace.shape[-3]
    noise = spread if sample.weights is None else spread / sample.weights.clamp_min(1e-6)
    pixels = (maps != 0).any(-3).float().mean((-2, -1), keepdim=True)
    inner = calibration_center(sample).float()
    extent = calibration_extent(sample).prod(-1)[..., None, None] / math.prod(sample.grid)
    bands: list[Tensor] = []
    for band, size in ((inner, extent), (1 - inner, 1 - extent)):
        seen, signal, weight = (
            (band * what).mean((-2, -1), keepdim=True) * _samples_per_cell(sample)
            for what in (measured, measured * (squares - noise), W)
        )
        density = weight / size.clamp_min(1e-9)
        energy = signal / (2 * seen * pixels).clamp_min(1e-9)
        bands.append(torch.stack([size, density, energy]))
    return _least_error(torch.stack(bands, 1), variance)


def _least_error(
    bands: Float32[Tensor, "what band *b 1 1"], variance: Float32[Tensor, "*b 1 1"]
) -> Float32[Tensor, "*b 1 1"]:
    """Solve the equation of :func:`wiener_weight` by bisection; share, density, energy of bands."""
    shares, densities, energies = bands
    largest = energies.amax(0)
    energies = energies.clamp_min(0)

    def slope(weight: Tensor) -> Tensor:
        gain = shares * densities / (densities + weight).clamp_min(1e-9) ** 3
        return (gain * (weight * energies - variance)).sum(0)

    low, high = torch.full_like(variance, -20.0), torch.full_like(variance, 5.0)  # log of it
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = slope(middle.exp()) < 0
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.where(largest > 0, high.exp(), 1.0).clamp_min(LEAST)  # one where all is noise


def sure_threshold(
    coefficients: Complex[Tensor, "*b n"], std: Float32[Tensor, "*b"]
) -> Float32[Tensor, "*b"]:
    r"""Return the soft threshold of least estimated risk for complex coefficients.

    .. math:: \mathrm{SURE}(t) = \sum_i \min(|c_i|^2, t^2)
              + 2\sigma^2 \sum_{|c_i| > t} \Big(2 - \frac{t}{|c_i|}\Big) - 2n\sigma^2

    (Stein, Ann Stat 9:1135, 1981; Donoho and Johnstone, J Am Stat Assoc 90:1200, 1995; here the
    divergence of the shrinkage of two real components by their common magnitude). It is tried at
    the magnitudes of the coefficients.

    Args:
        coefficients: Complex coefficients of an orthonormal transform, with white noise.
        std: Standard deviation :math:`\sigma` of the noise in each real component.
    """
    magnitude = coefficients.abs().double().sort(-1).values
    variance = std.double().square().unsqueeze(-1)
    n = magnitude.shape[-1]
    below = magnitude.square().cumsum(-1)
    above = torch.arange(n - 1, -1, -1, device=magnitude.device)
    inverse = torch.where(magnitude > 0, 1 / magnitude, 0.0)
    # summed from the large end: one tiny coefficient must not drown the others
    inverse_above = inverse.flip(-1).cumsum(-1).flip(-1).roll(-1, -1)
    inverse_above[..., -1] = 0
    risk = (
        below + above * magnitude.square() + 2 * variance * (2 * above - magnitude * inverse_above)
    )
    best = risk.argmin(-1, keepdim=True)
    return magnitude.gather(-1, best).squeeze(-1).float()
