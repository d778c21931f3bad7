"""Regularization weights from the known level of the noise."""

import torch
from jaxtyping import Complex, Float32
from torch import Tensor

from mrirecon.errors import MriReconError
from mrirecon.operators import data_weights, noise_variance
from mrirecon.types import Maps, Sample


class NoiseError(MriReconError, ValueError):
    """The level of the noise is needed and not known."""


def noise_level(sample: Sample) -> Float32[Tensor, "*b 1 1"]:
    """Return the standard deviation of each real component of noise, of a sample of weight one.

    Raises:
        NoiseError: When the Sample does not tell.
    """
    if sample.noise is None:
        raise NoiseError(
            'regularization="auto" chooses the weight from the level of the noise, which is known '
            "only for whitened raw data (sample.noise is None); reconstruct a raw file that has a "
            "noise scan, or give the weight as a number"
        )
    return noise_variance(sample, sample.noise).sqrt()


def density(sample: Sample) -> Float32[Tensor, "*b 1 1"]:
    """Return the part of k-space that was measured, samples of less weight counting less."""
    return data_weights(sample).mean((-2, -1), keepdim=True)


def wiener_weight(sample: Sample, maps: Maps) -> Float32[Tensor, "*b 1 1"]:
    r"""Return :math:`\lambda = \sigma^2 / \sigma_x^2` of an image of independent pixels.

    With it, :math:`\|Ax - y\|^2 + \lambda\|x\|^2` has the best linear estimate as its minimizer
    (Wiener). Noise adds :math:`2\sigma^2` to every measured value; what is left of the energy of
    the data is the energy of the image, over the pixels in which the maps are not zero.
    """
    level = noise_level(sample)
    assert sample.noise is not None
    best = sample.noise[..., None, None].square()
    coils = sample.kspace.shape[-3]
    h, w = sample.kspace.shape[-2:]
    share = sample.mask.float()
    if sample.weights is not None:  # what was averaged less often has more noise
        share = share / sample.weights.clamp_min(1e-6)
    count = share.mean((-2, -1), keepdim=True) * (h * w * coils)
    measured = torch.view_as_real(sample.kspace).square().sum((-1, -2, -3, -4))[..., None, None]
    pixels = (maps != 0).any(-3).sum((-2, -1), keepdim=True).clamp_min(1)
    signal = (measured - 2 * best * count).clamp_min(1e-3 * measured) / (2 * pixels)
    return torch.where(signal > 0, level.square() / signal, 1.0)


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
        coefficients: Of an orthonormal transform, with white noise.
        std: :math:`\sigma`, of each real component.
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
