"""The end-to-end variational network (Sriram et al., MICCAI 2020), as in fastMRI."""

from typing import Literal

import torch
from torch import nn

from mrirecon.arguments import check_at_least
from mrirecon.networks.norm_unet import NormUnet
from mrirecon.reconstructors.base import CoilImages, CoilwiseReconstructor
from mrirecon.reconstructors.parts.kspace_consistency import KspaceConsistency
from mrirecon.reconstructors.parts.kspace_state import KspaceState
from mrirecon.reconstructors.parts.unrolled import check_makes_one, coil_maps, for_each_step
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.sensitivity.learned import LearnedMaps
from mrirecon.types import Image, Sample


class VarNet(CoilwiseReconstructor):
    r"""Unrolled gradient steps on multi-coil k-space, each with a U-Net of its own.

    .. math:: k_{t+1} = k_t - \eta_t M (k_t - y) - E\,D_t(E^H k_t), \qquad E = F S

    :math:`M` zeroes what was not measured, and weighs what was averaged differently. The output is
    the root-sum-of-squares of :math:`F^H k_T`, as in fastMRI, or the coil combination
    :math:`E^H k_T`: complex, and free of the noise that no sensitivity explains. With the default
    arguments the parameters have the names and shapes of fastMRI's public weights.

    Args:
        cascades: Number of unrolled steps.
        channels: Features of the first level of each U-Net.
        pools: Number of halvings of each U-Net.
        sensitivity: Estimator of the coil sensitivities; :class:`LearnedMaps` when None, trained
            together with the steps.
        combination: ``"rss"`` suits references that are root-sum-of-squares of noisy coils,
            ``"sense"`` suits noise-free or coil-combined ones.
        regularizer: Network :math:`D` from complex images to complex images; None takes a
            :class:`~mrirecon.networks.NormUnet` of ``channels`` and ``pools``.
        tied: Whether all steps share their parameters.
        consistency: Another step than :math:`k_t - \eta_t M (k_t - y)`, from
            :mod:`~mrirecon.reconstructors.parts.kspace_consistency`; it needs the k-space of all
            coils, and so more memory and time. None takes the step above.
    """

    needs_grid = "its state is a k-space on the grid"

    def __init__(
        self,
        cascades: int = 12,
        channels: int = 18,
        pools: int = 4,
        sensitivity: SensitivityEstimator | None = None,
        combination: Literal["rss", "sense"] = "rss",
        regularizer: nn.Module | None = None,
        tied: bool = False,
        consistency: KspaceConsistency | None = None,
    ) -> None:
        super().__init__()
        check_at_least(1, cascades=cascades)
        self.steps = cascades
        self.combination = combination
        self.rss = combination == "rss"
        self.sens_net = LearnedMaps() if sensitivity is None else sensitivity
        denoiser = NormUnet(channels, pools) if regularizer is None else regularizer
        check_makes_one("regularizer", denoiser)
        self.explicit = consistency is not None
        self.cascades = for_each_step(Cascade(denoiser, consistency), cascades, tied)

    def forward(self, sample: Sample) -> Image:
        """Return the image; with the RSS combination it is real and positive."""
        return super().forward(sample) if self.rss else self._last(sample).image()

    def coil_images(self, sample: Sample) -> CoilImages:
        return self._last(sample).coil_images()

    def _last(self, sample: Sample) -> KspaceState:
        """Return the k-space after all steps."""
        k = KspaceState.of_data(sample, coil_maps(self.sens_net, sample), self.explicit)
        for t in range(self.steps):
            k = self.cascades[t % len(self.cascades)](k)
        return k


class Cascade(nn.Module):
    r"""One unrolled step, :math:`k - \eta M (k - y) - E\,D(E^H k)`; its keys are fastMRI's.

    Args:
        model: Network :math:`D` from a complex image to a correction of it.
        consistency: Another step towards the data, from a k-space and the Sample to the next
            k-space.
    """

    def __init__(self, model: nn.Module, consistency: KspaceConsistency | None = None) -> None:
        super().__init__()
        self.model = model
        self.consistency = consistency
        if consistency is None:
            self.dc_weight = nn.Parameter(torch.ones(1))

    def forward(self, k: KspaceState) -> KspaceState:
        """Return the k-space after this step."""
        correction = self.model(k.image())
        return k.step(self.dc_weight if self.consistency is None else self.consistency, correction)
