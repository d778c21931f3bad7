"""The feature-image variational network (Giannakopoulos et al., Sci Rep 2024)."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.networks import NormUnet
from mrirecon.networks.feature_space import FeatureCoder, Statistics
from mrirecon.operators import adjoint_image, sense_normal
from mrirecon.reconstructors.base import CoilImages, CoilwiseReconstructor
from mrirecon.reconstructors.parts.feature_cascade import FeatureCascade
from mrirecon.reconstructors.parts.kspace_consistency import KspaceConsistency
from mrirecon.reconstructors.parts.kspace_state import ExplicitStep, KspaceState, StateStep
from mrirecon.reconstructors.parts.unrolled import check_makes_one, coil_maps, for_each_step
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Maps, Sample

REFINED = 3


class FiVarNet(CoilwiseReconstructor):
    r"""Unrolled gradient steps on feature maps, then as many on multi-coil k-space.

    .. math:: f_0 &= C(E^H y), \qquad g_t = \operatorname{norm} f_t, \qquad E = F S \\
              f_{t+1} &= g_t - \eta_t\,C\big(E^H M(E\,D(g_t) - y)\big) - U_t(B_t(g_t)) \\
              k_0 &= E\,D(\operatorname{norm} f_T) \\
              k_{t+1} &= k_t - \alpha_t M(k_t - y) - E\,R_t(E^H k_t)

    The coder :math:`C` and the decoder :math:`D` are one convolution each, for all steps, and
    normalize with the statistics of :math:`E^Hy` (14:10991). :math:`B_t` is attention among the
    pixels that are aliased onto one another, so ``acceleration`` should be that of the sampling
    along ``w``; :math:`U_t` a U-Net on feature maps. Every third of these steps is followed by
    further convolutions. Only the coder and the decoder are tied, as in the paper. The second half
    is a :class:`~mrirecon.reconstructors.VarNet`. :math:`M` zeroes what was not measured,
    and weighs what was averaged differently.

    Args:
        sensitivity: Estimator of the coil sensitivities; the paper learns them as VarNet does.
        regularizer: Network :math:`R` from complex images to complex images; None takes a
            :class:`~mrirecon.networks.NormUnet` of ``channels`` and ``pools``.
        cascades: Number of steps on feature maps, and of those on k-space.
        channels: Number of feature maps, and features of the first level of each U-Net.
        pools: Number of halvings of each U-Net.
        acceleration: Number of pixels that attend to one another.
        combination: How coil images become the result, as in
            :class:`~mrirecon.reconstructors.VarNet`.
        consistency: The step on k-space towards the data, from
            :mod:`~mrirecon.reconstructors.parts.kspace_consistency`; None takes a ``SoftStep``,
            as above.
    """

    needs_grid = "its state is a k-space on the grid"

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularizer: nn.Module | None = None,
        cascades: int = 12,
        channels: int = 32,
        pools: int = 4,
        acceleration: int = 4,
        combination: Literal["rss", "sense"] = "rss",
        consistency: KspaceConsistency | None = None,
    ) -> None:
        super().__init__()
        check_at_least(1, cascades=cascades)
        self.sensitivity = sensitivity
        self.combination = combination
        self.rss = combination == "rss"
        denoiser = NormUnet(channels, pools) if regularizer is None else regularizer
        check_makes_one("regularizer", denoiser)
        self.denoisers = for_each_step(denoiser, cascades)
        self.explicit = consistency is not None
        step = StateStep() if consistency is None else ExplicitStep(consistency)
        self.consistency = for_each_step(step, cascades)
        self.coder = FeatureCoder(channels)
        self.feature_cascades = nn.ModuleList(
            FeatureCascade(channels, pools, acceleration, refine=t % REFINED == 0)
            for t in range(cascades)
        )

    def forward(self, sample: Sample) -> Image:
        """Return the image; with the RSS combination it is real and positive."""
        return super().forward(sample) if self.rss else self._last(sample).image()

    def coil_images(self, sample: Sample) -> CoilImages:
        return self._last(sample).coil_images()

    def _last(self, sample: Sample) -> KspaceState:
        """Return the k-space after all steps."""
        maps = coil_maps(self.sensitivity, sample)
        k = KspaceState.of_data(sample, maps, self.explicit)
        k = k.at(self._in_features(k.image(), sample, maps))
        for denoiser, consistency in zip(self.denoisers, self.consistency, strict=True):
            k = consistency(k, denoiser(k.image()))
        return k

    def _in_features(self, x: Image, sample: Sample, maps: Maps) -> Image:
        """Return the image after the steps on feature maps, from the zero-filled one."""
        normal, adjoint = sense_normal(sample, maps), adjoint_image(sample, maps)
        flat = x.reshape(-1, *x.shape[-2:])
        statistics = Statistics.of(flat)

        def gradient(g: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
            misfit = normal(self.coder.decode(g, statistics).reshape(x.shape)) - adjoint
            return self.coder.encode(misfit.reshape(flat.shape), statistics)

        f = self.coder.encode(flat, statistics)
        for cascade in self.feature_cascades:
            f = cascade(f, gradient)
        return self.coder.decode(F.instance_norm(f), statistics).reshape(x.shape)
