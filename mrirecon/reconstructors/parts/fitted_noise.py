"""The level of unknown noise, found in what a fit of the image leaves of the data."""

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.image import squared_magnitude
from mrirecon.operators import adjoint_image, coil_samples, data_weights
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.estimated_noise import estimated_noise
from mrirecon.sensitivity.base import calibration_center
from mrirecon.solvers import conjugate_gradient
from mrirecon.types import KSpace, Maps, Mask, Sample

STEPS = 30
WEIGHT = 1e-3
"""Weight of the fit: signal that it leaves in the residual would be taken for noise."""


def with_noise(sample: Sample, maps: Maps) -> Sample:
    """Return the sample with a level of the noise: its own where it is known, else the fitted one.

    Args:
        sample: One slice or a batch.
        maps: Coil sensitivities of the same slices.
    """
    return sample if sample.noise is not None else sample.replace(noise=fitted_noise(sample, maps))


@torch.no_grad()
def fitted_noise(sample: Sample, maps: Maps) -> Float32[Tensor, "*b"]:
    r"""Estimate the standard deviation of the noise in each real component, with the maps.

    The residual of a least-squares fit has less energy than the noise, because the fit follows it.
    By how much is told by the residual of pure noise :math:`n` of unit variance under the same fit
    :math:`H`:

    .. math:: \sigma^2 = \frac{\|(I - H)y\|^2}{\|(I - H)n\|^2}

    where only samples outside of the fully sampled centre count (cf. generalized cross-validation
    with a random trace, Girard, Numer Math 56:1, 1989). Errors of the maps, and signal that the fit
    leaves, make it too large; so it is at most
    :func:`~mrirecon.reconstructors.parts.estimated_noise.estimated_noise`, which knows no maps and
    is several times too large where the edge of k-space holds signal. That one is left as it is
    where all or nothing beyond the centre was measured.

    Found between 0.97 and 1.2 of the true level with four coils or more (simulated brains, lines
    and Poisson discs, signal-to-noise ratios of 5 to 200), at most 1.7 with two coils; one coil
    leaves nothing to compare.
    """
    known = estimated_noise(sample)
    data, outer = DataTerm.of(sample, maps), sample.mask & ~calibration_center(sample)
    noise = sample.replace(kspace=_noise(sample).expand_as(sample.kspace))
    energies = [
        _residual(kspace, adjoint, data, maps, outer)
        for kspace, adjoint in (
            (sample.kspace / data.scale.unsqueeze(-3), data.adjoint),
            (noise.kspace, adjoint_image(noise, maps)),
        )
    ]
    ratio = (energies[0] / energies[1].clamp_min(1e-30)).sqrt() * data.scale[..., 0, 0]
    return torch.where(energies[1] > 0, torch.minimum(known, ratio), known)


def _noise(sample: Sample) -> Complex64[Tensor, "*b coil h w"]:
    """Return noise of unit variance in each component of the best-averaged samples."""
    shape, mask = sample.kspace.shape[-3:], sample.mask.float()
    std = mask if sample.weights is None else mask * sample.weights.clamp_min(1e-6).rsqrt()
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.complex64)
    return 2**0.5 * noise.to(std.device) * std.unsqueeze(-3)


def _residual(
    kspace: KSpace,
    adjoint: Complex64[Tensor, "*b hi wi"],
    data: DataTerm,
    maps: Complex64[Tensor, "*b coil hi wi"],
    outer: Mask,
) -> Float32[Tensor, "*b"]:
    """Return the energy that the fit of ``kspace`` leaves in the outer samples."""
    weight = WEIGHT * data.penalty_share
    image = conjugate_gradient(lambda x: data.normal(x) + weight * x, adjoint, iterations=STEPS)
    left = kspace - coil_samples(data.sample, maps * image.unsqueeze(-3))
    squares = squared_magnitude(left, (-3,))
    return (squares * data_weights(data.sample) * outer).sum((-2, -1))
