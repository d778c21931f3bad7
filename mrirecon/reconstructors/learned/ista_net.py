"""ISTA-Net+ (Zhang and Ghanem, CVPR 2018) with coil sensitivities."""

from mrirecon.networks.learned_shrinkage import LearnedShrinkage
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.data_consistency import GradientStep
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.unrolled import coil_maps, for_each_step, restore_scale
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Sample


class IstaNet(Reconstructor):
    r"""Unrolled iterative shrinkage in a learned domain.

    .. math:: r_k = x_k - \eta_k A^H(Ax_k - y), \qquad
              x_{k+1} = r_k + G_k \tilde H_k \operatorname{soft}(H_k C_k r_k,\ \theta_k), \qquad
              x_0 = A^Hy

    The paper reconstructs real single-coil images; here the transforms see real and imaginary
    parts, and :math:`A` the coils. Its loss has a term that keeps :math:`\tilde H_k H_k` close to
    the identity: ``objective=ista_net`` adds it, and :class:`mrirecon.training.WithPenalty`
    adds it to any objective. The shrinkage is the method, so there is no other network to choose:
    with a denoiser in its place this is proximal gradient descent, which is
    :class:`~mrirecon.reconstructors.MoDL` with a ``GradientStep``.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        iterations: Number of phases.
        channels: Features of the transforms.
        step: Step length :math:`\eta` before training.
        threshold: Threshold :math:`\theta` before training, relative to the brightness of the
            object.
        tied: Whether all phases share their parameters.
    """

    needs_grid = ""

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        iterations: int = 9,
        channels: int = 32,
        step: float = 0.5,
        threshold: float = 0.01,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.sensitivity = sensitivity
        self.iterations = iterations
        self.consistency = for_each_step(GradientStep(step), iterations, tied)
        self.shrinkage = for_each_step(LearnedShrinkage(channels, threshold), iterations, tied)

    def forward(self, sample: Sample) -> Image:
        """Return the coil-combined image."""
        data = DataTerm.of(sample, coil_maps(self.sensitivity, sample))
        x = data.adjoint
        for k in range(self.iterations):
            i = k % len(self.shrinkage)
            x = self.shrinkage[i](self.consistency[i](x, data))
        return restore_scale(x, data)
