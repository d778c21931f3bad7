"""The end-to-end variational network (Sriram et al., MICCAI 2020), as in fastMRI."""

from typing import Literal

import torch
from torch import nn

from mrirecon.networks.norm_unet import NormUnet
from mrirecon.operators import sense_normal
from mrirecon.reconstructors.base import CoilImages, CoilwiseReconstructor
from mrirecon.reconstructors.parts.kspace_consistency import KspaceConsistency
from mrirecon.reconstructors.parts.kspace_state import (
    Explicit,
    Measured,
    Projected,
    State,
    Weighted,
)
from mrirecon.reconstructors.parts.unrolled import check_makes_one, coil_maps, for_each_step
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.sensitivity.learned import LearnedMaps
from mrirecon.types import Image, Maps, Sample


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
        regularizer: :math:`D`, from complex images to complex images, instead of a
            :class:`~mrirecon.networks.NormUnet` of ``channels`` and ``pools``.
        tied: Whether all steps share their parameters.
        consistency: Another step than :math:`k_t - \eta_t M (k_t - y)`, from
            :mod:`~mrirecon.reconstructors.parts.kspace_consistency`; it needs the k-space of all
            coils, and so more memory and time. None takes the step above.
    """

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
        if cascades < 1:
            raise ValueError(f"cascades must be at least 1, got {cascades}")
        self.steps = cascades
        self.combination = combination
        self.rss = combination == "rss"
        self.sens_net = LearnedMaps() if sensitivity is None else sensitivity
        denoiser = NormUnet(channels, pools) if regularizer is None else regularizer
        check_makes_one("regularizer", denoiser)
        step: nn.Module = Cascade(denoiser)
        if consistency is not None:
            step = ChosenCascade(denoiser, consistency)
        self.cascades = for_each_step(step, cascades, tied)

    def forward(self, sample: Sample) -> Image:
        """Return the image; with the RSS combination it is real and positive."""
        return super().forward(sample) if self.rss else self._last(sample).image()

    def coil_images(self, sample: Sample) -> CoilImages:
        return self._last(sample).coil_images()

    def _last(self, sample: Sample) -> State | Explicit:
        """Return the state after all steps."""
        state = self._first(sample, coil_maps(self.sens_net, sample))
        for t in range(self.steps):
            state = self.cascades[t % len(self.cascades)](state)
        return state

    def _first(self, sample: Sample, maps: Maps) -> State | Explicit:
        """Return the state before the first step."""
        if isinstance(self.cascades[0], ChosenCascade):
            return Explicit(sample.kspace, sample, maps)
        measured = Measured.of(sample.kspace, sense_normal(sample, maps))
        return (Projected if sample.weights is None else Weighted)(measured)


class Cascade(nn.Module):
    """One unrolled step: soft data consistency and a denoiser, whose keys are fastMRI's.

    Args:
        model: Maps a complex image to a correction of it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.dc_weight = nn.Parameter(torch.ones(1))

    def forward(self, state: State) -> State:
        """Return the state after this step."""
        return state.step(self.dc_weight, self.model(state.image()))


class ChosenCascade(nn.Module):
    """One unrolled step: a data consistency of choice and a denoiser.

    Args:
        model: Maps a complex image to a correction of it.
        consistency: Maps a k-space and the Sample to the next k-space.
    """

    def __init__(self, model: nn.Module, consistency: KspaceConsistency) -> None:
        super().__init__()
        self.model = model
        self.consistency = consistency

    def forward(self, state: Explicit) -> Explicit:
        """Return the state after this step."""
        return state.step(self.consistency, self.model(state.image()))
