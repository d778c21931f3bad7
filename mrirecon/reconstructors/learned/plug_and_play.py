"""Plug-and-play: a denoiser as a regularizer (Venkatakrishnan et al., GlobalSIP 2013)."""

from typing import Literal

import torch

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.networks.noise_level_unet import NoiseLevelUnet
from mrirecon.reconstructors.base import IterativeReconstructor, Reconstructor
from mrirecon.reconstructors.parts.data_consistency import proximal_image
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.denoising import (
    Combination,
    DenoisingReconstructor,
    error_level,
)
from mrirecon.reconstructors.parts.noise_schedule import PRIOR, falling_levels
from mrirecon.reconstructors.parts.turns import WAYS, turned, turned_back
from mrirecon.reconstructors.parts.unrolled import restore_scale
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import Solution
from mrirecon.solvers.base import Progress
from mrirecon.types import Image, Maps, Sample
from mrirecon.weights.safetensors_file import load_packaged

AXES = (-2, -1)
TOLERANCE = 3e-4
"""Relative change of the image in an iteration at which it stops."""
STEPS = 8
"""Conjugate-gradient steps in each iteration."""


class PlugAndPlay(DenoisingReconstructor, IterativeReconstructor):
    r"""Alternates the data with a denoiser that knows nothing of the acquisition.

    With :math:`P_\lambda(v) = \arg\min_x \|Ax - y\|^2 + \lambda\|x - v\|^2`, for ``"hqs"``,
    ``"admm"`` and ``"red"``:

    .. math:: z &\leftarrow D(x; \sigma_k), && x \leftarrow P_{\lambda_k}(z) \\
              z &\leftarrow D(x + u; \sigma_k), \quad u \leftarrow u + x - z,
              && x \leftarrow P_{\lambda_k}(z - u) \\
              z &\leftarrow D(x; \sigma_K), && x \leftarrow P_{\lambda_K}(z)

    The levels fall geometrically (Zhang et al., IEEE Trans Pattern Anal Mach Intell 44:6360, 2022)
    to ``strength`` times the noise :math:`\sigma` of a fully sampled image, which is known for
    whitened data and estimated else, and :math:`\lambda_k = w\,\sigma^2/\sigma_k^2`. In ADMM the
    multiplier :math:`\lambda_k u` goes on to the next iteration, so :math:`u` shrinks as
    :math:`\lambda_k` grows (Boyd et al., Found Trends Mach Learn 3:1, 2011, sec. 3.4.1). The last
    of the three, the fixed-point iteration of regularization by denoising (Romano, Elad and
    Milanfar, SIAM J Imaging Sci 10:1804, 2017), keeps the last level; where it ends,
    :math:`A^H(Ax - y) + \lambda(x - D(x)) = 0`. The image is the last :math:`x`, which has just met
    the data.

    Each iteration of the first two sees the image another way round (Terris et al., CVPR 2024), so
    that no trace of the network grows from one to the next: one after the other, or in the random
    order of ``seed``, where one was set.

    A ``trace`` records :math:`\tfrac12\|Ax - y\|^2`: there is no function that is minimized.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        denoiser: Network :math:`D`; None takes one that is not trained.
        splitting: Name of one of the three iterations.
        iterations: Largest number of iterations.
        strength: Last level in units of the noise.
        weight: Weight :math:`w` of the denoised image against the data.
        combination: Image that is returned: ``"sense"`` the one that is found, ``"kept"`` or
            ``"rss"`` that of coil images with all measured samples and the noise of one channel or
            of all.
        partner: Classical method on given maps, whose image is averaged in by what held-out samples
            ask for, see :func:`~mrirecon.reconstructors.parts.held_out.stacked`; None for none.
        weights: Name of weights in this package for the denoiser; None begins with random ones.
    """

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        denoiser: NoiseLevelUnet | None = None,
        splitting: Literal["hqs", "admm", "red"] = "hqs",
        iterations: int = 24,
        strength: float = 1.0,
        weight: float = PRIOR,
        combination: Combination = "sense",
        partner: Reconstructor | None = None,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        check_at_least(1, iterations=iterations)
        check_not_negative(strength=strength)
        if weight <= 0:
            raise ValueError(f"weight must be positive, got {weight}")
        self.sensitivity = sensitivity
        self.denoiser = NoiseLevelUnet() if denoiser is None else denoiser
        self.splitting, self.iterations = splitting, iterations
        self.strength, self.weight = strength, weight
        self.combine_by(combination)
        self.partner = partner
        if weights:
            self.weights = weights
            load_packaged(self.denoiser, weights, "denoiser.")

    def alone(self, sample: Sample, maps: Maps) -> Image:
        return self._solve(sample, maps, False).x

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the coil-combined image; the objective is the misfit to the data."""
        return self._solve(*self.prepared(sample), trace)

    def _solve(self, sample: Sample, maps: Maps, trace: bool) -> Solution:
        data = DataTerm.of(sample, maps)
        noise = error_level(data)
        last = (self.strength * noise).clamp_min(1e-6)
        levels = falling_levels(last, self.iterations)
        if self.splitting == "red":
            levels = last[..., 0].expand_as(levels)
        weights = self.weight * (noise[..., 0] / levels).square()
        x, ways = data.warm_start(), self._ways()
        u = torch.zeros_like(x)
        progress = Progress(x, TOLERANCE, AXES, data.value if trace else None)
        for k in range(self.iterations):
            if k:
                u = u * (weights[..., k - 1] / weights[..., k])[..., None, None]
            level = levels[..., k].reshape(-1)
            way = ways[k]
            seen = turned((x + u).reshape(-1, *x.shape[-2:]), way)
            z = turned_back(self.denoised(seen, level), way).reshape(x.shape)
            if self.splitting == "admm":
                u = u + x - z
            weight = weights[..., k, None, None] * data.penalty_share
            found = proximal_image(data.normal, data.adjoint, z - u, weight, STEPS)
            new = progress.next(x, found)
            change, x = new - x, new
            if progress.finished(x, change):
                break
        solution = progress.solution(x)
        image = restore_scale(x, data)
        return Solution(image, solution.iterations, solution.converged, solution.objective)

    @property
    def chooses(self) -> bool:
        """Whether it makes random choices, which another seed changes."""
        return self.splitting != "red"

    def _ways(self) -> list[int]:
        """Return which way round each iteration sees the image."""
        if self.splitting == "red":
            return [0] * self.iterations
        if self.seed is None:
            return list(range(self.iterations))
        generator = torch.Generator().manual_seed(self.seed)
        rounds = -(-self.iterations // WAYS)
        return torch.cat(
            [torch.randperm(WAYS, generator=generator) for _ in range(rounds)]
        ).tolist()
