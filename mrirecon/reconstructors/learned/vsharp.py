"""vSHARP, unrolled variable splitting (Yiasemis et al., arXiv:2309.09954)."""

from collections.abc import Iterator

import torch
from torch import nn

from mrirecon.networks.dilated_cnn import DilatedCnn
from mrirecon.networks.fusion_unet import FusionUnet
from mrirecon.reconstructors.parts.data_consistency import SplittingStep
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.unrolled import (
    Iterating,
    check_makes_one,
    coil_maps,
    for_each_step,
    restore_scale,
)
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Sample


class VSharp(Iterating):
    r"""ADMM on a half-quadratic splitting, with a learned denoiser and a learned first multiplier.

    .. math:: z_{t+1} &= D_t(z_t,\ x_t,\ u_t / \rho_t) \\
              x_{t+1} &\approx \arg\min_x \tfrac12\|Ax - y\|^2
              + \tfrac{\rho_t}{2}\|x - z_{t+1} + u_t / \rho_t\|^2 \\
              u_{t+1} &= u_t + \rho_t (x_{t+1} - z_{t+1})

    with :math:`x_0 = z_0 = A^Hy` and :math:`u_0 = G(x_0)`. A few gradient steps with learned
    lengths take the place of the second line; see
    :class:`~mrirecon.reconstructors.SplittingStep`. The paper's loss is a weighted
    sum over all :math:`x_t`: ``objective=iterates``.

    Args:
        sensitivity: Estimator of the coil sensitivities; the paper refines them with a U-Net.
        regularizer: Network :math:`D` from three complex images to one; None takes a
            :class:`~mrirecon.networks.FusionUnet` of 32 channels and 4 pools.
        iterations: Number of ADMM iterations.
        steps: Gradient steps in each.
        penalty: Penalty weight :math:`\rho` before training.
        tied: Whether all iterations share the denoiser.
    """

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularizer: nn.Module | None = None,
        iterations: int = 10,
        steps: int = 8,
        penalty: float = 0.1,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.sensitivity = sensitivity
        self.iterations = iterations
        denoiser = FusionUnet() if regularizer is None else regularizer
        check_makes_one("regularizer", denoiser, images=3)
        self.denoisers = for_each_step(denoiser, iterations, tied)
        self.splitting = SplittingStep(iterations, steps, penalty)
        self.initializer = DilatedCnn()

    def iterates(self, sample: Sample) -> Iterator[Image]:
        """Yield the coil-combined image after each step."""
        data = DataTerm.of(sample, coil_maps(self.sensitivity, sample))
        x = z = data.adjoint
        u = self.initializer(x)
        for t in range(self.iterations):
            denoiser = self.denoisers[t % len(self.denoisers)]
            penalty = self.splitting.penalties[t] * data.penalty_share
            z = denoiser(torch.stack([z, x, u / penalty], -3))
            x, u = self.splitting(x, z, u, data, t)
            yield restore_scale(x, data)
