"""The recurrent inference machine (Lønning et al., Med Image Anal 2019)."""

from collections.abc import Iterator

import torch

from mrirecon.networks.conv_gru import ConvGru
from mrirecon.networks.recurrent import RecurrentNetwork, State
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.unrolled import (
    Iterating,
    check_fits,
    coil_maps,
    for_each_step,
    restore_scale,
)
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Sample


class Rim(Iterating):
    r"""A recurrent network that learns how to descend.

    .. math:: \Delta_t, h_{t+1} = H\big(x_t,\ A^H(Ax_t - y),\ h_t\big), \qquad
              x_{t+1} = x_t + \Delta_t, \qquad x_0 = A^Hy,\ h_0 = 0

    All steps share the network (53:64; Putzky and Welling, arXiv:1706.04008). The data enter as
    the gradient of the misfit, which the network takes as an input. The paper's loss is a mean over
    all :math:`x_t`: ``objective=iterates``.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        iterations: Number of steps.
        channels: Features of the recurrent units, if no network is given.
        layers: Number of recurrent units, if no network is given.
        tied: Whether all steps share their parameters.
        regularizer: Recurrent network :math:`H` of two images; None takes the paper's
            :class:`~mrirecon.networks.conv_gru.ConvGru`.
    """

    needs_grid = ""

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        iterations: int = 8,
        channels: int = 64,
        layers: int = 2,
        tied: bool = True,
        regularizer: RecurrentNetwork | None = None,
    ) -> None:
        super().__init__()
        self.sensitivity = sensitivity
        self.iterations = iterations
        unit = ConvGru(channels, layers, images=2) if regularizer is None else regularizer
        check_fits("regularizer", unit, images=2)
        self.units = for_each_step(unit, iterations, tied)

    def iterates(self, sample: Sample) -> Iterator[Image]:
        """Yield the coil-combined image after each step."""
        data = DataTerm.of(sample, coil_maps(self.sensitivity, sample))
        x = data.adjoint
        h, w = x.shape[-2:]
        state: State | None = None
        for t in range(self.iterations):
            seen = torch.stack([x, data.gradient(x)], -3).reshape(-1, 2, h, w)
            change, state = self.units[t % len(self.units)](seen, state)
            x = x + change.reshape(x.shape)
            yield restore_scale(x, data)
