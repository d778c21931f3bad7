"""Unrolled half-quadratic splitting that follows the level of the noise."""

from collections.abc import Iterator

import torch

from mrirecon.arguments import check_at_least
from mrirecon.networks.noise_level_unet import NoiseLevelUnet
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.automatic_weight import density
from mrirecon.reconstructors.parts.data_consistency import proximal_image
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.denoising import (
    Combination,
    DenoisingReconstructor,
    error_level,
)
from mrirecon.reconstructors.parts.noise_schedule import NoiseSchedule
from mrirecon.reconstructors.parts.turns import moved, moved_back
from mrirecon.reconstructors.parts.unrolled import Iterating, restore_scale
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Maps, Sample
from mrirecon.weights.safetensors_file import load_packaged


class HqsNet(DenoisingReconstructor, Iterating):
    r"""Alternates a denoiser with the data, both as strong as the noise of the scan asks for.

    .. math:: z_k &= D(x_k,\ x_k - z_{k-1};\ \sigma_k) \\
              x_{k+1} &= \arg\min_x \|Ax - y\|^2 + \lambda_k\|x - z_k\|^2

    Half-quadratic splitting (Geman and Yang, IEEE Trans Image Process 4:932, 1995), as in
    plug-and-play methods (Zhang et al., IEEE Trans Pattern Anal Mach Intell 44:6360, 2022), with
    :math:`\sigma_k` and :math:`\lambda_k` from a
    :class:`~mrirecon.reconstructors.parts.noise_schedule.NoiseSchedule` of the noise level and the
    sampling density of the scan. The denoiser also sees what the data changed of its last image.
    The image is moved by some pixels in each iteration, so that the grid on which the denoiser
    works leaves no traces. It knows neither coils nor masks, and :math:`x_1` is a few steps of
    conjugate gradients.

    As the noise vanishes so does :math:`\sigma_K`, which bounds the denoiser's change of the image.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        denoiser: Network :math:`D` of two images; None takes the default one.
        iterations: Number of unrolled iterations.
        steps: Conjugate-gradient steps of each.
        combination: Image that is returned: ``"sense"`` the one that is found, ``"kept"`` or
            ``"rss"`` that of coil images with all measured samples and the noise of one channel or
            of all. Each can be trained; weights of one serve the others.
        partner: Classical method on given maps, whose image is averaged in by what held-out samples
            ask for, see :func:`~mrirecon.reconstructors.parts.held_out.stacked`; None for none.
        weights: Name of weights in this package to begin with; None begins with random ones.
    """

    needs_grid = ""

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        denoiser: NoiseLevelUnet | None = None,
        iterations: int = 8,
        steps: int = 5,
        combination: Combination = "sense",
        partner: Reconstructor | None = None,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        check_at_least(1, iterations=iterations, steps=steps)
        self.sensitivity = sensitivity
        self.denoiser = NoiseLevelUnet(images=2) if denoiser is None else denoiser
        if (images := self.denoiser.images) != 2:
            raise ValueError(f"denoiser.images must be 2 in this method, got {images}")
        self.iterations, self.steps = iterations, steps
        self.combine_by(combination)
        self.partner = partner
        self.schedule = NoiseSchedule(iterations)
        if weights:
            self.weights = weights
            load_packaged(self, weights)

    def alone(self, sample: Sample, maps: Maps) -> Image:
        for image in self._iterates(sample, maps):  # noqa: B007 - only the last one is wanted
            pass
        return image

    def iterates(self, sample: Sample) -> Iterator[Image]:
        """Yield the coil-combined image after each step."""
        return self._iterates(*self.prepared(sample))

    def _iterates(self, sample: Sample, maps: Maps) -> Iterator[Image]:
        data = DataTerm.of(sample, maps)
        levels, weights = self.schedule(error_level(data), density(sample))
        x = data.warm_start()
        change = torch.zeros_like(x)
        for k in range(self.iterations):
            seen = torch.stack([x, change], -3).reshape(-1, 2, *x.shape[-2:])
            level = levels[..., k].reshape(-1)
            z = moved_back(self.denoiser(moved(seen, k), level), k).reshape(x.shape)
            weight = weights[..., k, None, None] * data.penalty_share
            x = proximal_image(data.normal, data.adjoint, z, weight, self.steps)
            change = x - z
            yield restore_scale(x, data)
