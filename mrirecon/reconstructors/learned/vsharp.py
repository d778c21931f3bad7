"""vSHARP, unrolled variable splitting (Yiasemis et al., arXiv:2309.09954)."""

from collections.abc import Iterator

import torch
from torch import nn

from mrirecon.networks.dilated_cnn import DilatedCnn
from mrirecon.networks.fusion_unet import FusionUnet
from mrirecon.reconstructors.base import FrameWindows
from mrirecon.reconstructors.parts.data_consistency import SplittingStep
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.start import Start
from mrirecon.reconstructors.parts.unrolled import (
    Iterating,
    applied,
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

    With a :class:`~mrirecon.networks.SeriesUnet` and a joint initializer all frames of a slice are
    reconstructed together.

    Args:
        sensitivity: Estimator of the coil sensitivities; the paper refines them with a U-Net.
        regularizer: Network :math:`D` from three complex images to one; None takes a
            :class:`~mrirecon.networks.FusionUnet` of 32 channels and 4 pools.
        iterations: Number of ADMM iterations.
        steps: Gradient steps in each.
        penalty: Penalty weight :math:`\rho` before training.
        tied: Whether all iterations share the denoiser.
        initializer: Network :math:`G` of one complex image; None takes a
            :class:`~mrirecon.networks.DilatedCnn`.
        start: Scale of k-space and :math:`x_0`; None takes the defaults of
            :class:`~mrirecon.reconstructors.Start`.
        positive: Whether the penalties stay positive in training.
    """

    needs_grid = ""

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularizer: nn.Module | None = None,
        iterations: int = 10,
        steps: int = 8,
        penalty: float = 0.1,
        tied: bool = False,
        initializer: nn.Module | None = None,
        start: Start | None = None,
        positive: bool = True,
    ) -> None:
        super().__init__()
        self.sensitivity = sensitivity
        self.iterations = iterations
        denoiser = FusionUnet() if regularizer is None else regularizer
        check_makes_one("regularizer", denoiser, images=3, frames=True)
        self.denoisers = for_each_step(denoiser, iterations, tied)
        self.splitting = SplittingStep(iterations, steps, penalty, positive)
        self.initializer = DilatedCnn() if initializer is None else initializer
        check_makes_one("initializer", self.initializer, frames=True)
        self.start = Start() if start is None else start
        self.joint = bool(getattr(denoiser, "joint", False))
        self.windows = FrameWindows(in_time=True)
        if self.joint != bool(getattr(self.initializer, "joint", False)):
            raise ValueError(
                "regularizer and initializer must both see all frames at once, or both one: "
                "set initializer.joint, or choose a SeriesUnet or a FusionUnet"
            )

    def iterates(self, sample: Sample) -> Iterator[Image]:
        """Yield the coil-combined image after each step."""
        sample, scale = self.start(sample, self.joint)
        data = DataTerm.of(sample, coil_maps(self.sensitivity, sample), scale=scale)
        x = z = self.start.image(data.scaled_sample().kspace, data.adjoint)
        u = applied(self.initializer, x, sample)
        for t in range(self.iterations):
            denoiser = self.denoisers[t % len(self.denoisers)]
            penalty = self.splitting.penalties[t] * data.penalty_share
            z = applied(denoiser, torch.stack([z, x, u / penalty], -3), sample)
            x, u = self.splitting(x, z, u, data, t)
            yield restore_scale(x, data)
