"""The recurrent variational network (Yiasemis et al., CVPR 2022)."""

from typing import Literal

from mrirecon.fourier import ifft
from mrirecon.networks.conv_gru import ConvGru, StateInitializer
from mrirecon.networks.recurrent import RecurrentNetwork
from mrirecon.operators import Coils, Fourier, LinearOperator
from mrirecon.reconstructors.base import CoilImages, CoilwiseReconstructor
from mrirecon.reconstructors.parts.kspace_consistency import KspaceConsistency, SoftStep
from mrirecon.reconstructors.parts.start import StateStart
from mrirecon.reconstructors.parts.unrolled import check_fits, coil_maps, for_each_step, scaled
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, KSpace, Sample


class RecurrentVarNet(CoilwiseReconstructor):
    r"""Unrolled gradient steps on multi-coil k-space with a recurrent network as regularizer.

    .. math:: w_t, h_{t+1} &= H_t(E^H k_t,\ h_t), \qquad E = F S \\
              k_{t+1} &= k_t - \alpha_t M(k_t - y) + E w_t

    with :math:`k_0 = y` and a first state :math:`h_0` that a network makes of the k-space
    :math:`F E^H y` of the coil combination. :math:`M` zeroes what was not measured, and weighs what
    was averaged differently. k-space is divided by the brightness of the object, if ``start`` does
    not choose otherwise.

    Args:
        sensitivity: Estimator of the coil sensitivities; the paper refines them with a U-Net.
        iterations: Number of steps.
        channels: Features of the recurrent units, if no network is given.
        layers: Number of recurrent units in each step, if no network is given.
        consistency: The step towards the data, from
            :mod:`~mrirecon.reconstructors.parts.kspace_consistency`; None takes a ``SoftStep``,
            as above.
        tied: Whether all steps share their parameters.
        combination: How coil images become the result, as in
            :class:`~mrirecon.reconstructors.VarNet`.
        regularizer: Recurrent network :math:`H` of one image; None takes the paper's
            :class:`~mrirecon.networks.conv_gru.ConvGru`.
        start: Scale of k-space and how :math:`h_0` is made; None takes the defaults of
            :class:`~mrirecon.reconstructors.StateStart`.
    """

    needs_grid = "its state is a k-space on the grid"

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        iterations: int = 15,
        channels: int = 64,
        layers: int = 4,
        consistency: KspaceConsistency | None = None,
        tied: bool = False,
        combination: Literal["rss", "sense"] = "rss",
        regularizer: RecurrentNetwork | None = None,
        start: StateStart | None = None,
    ) -> None:
        super().__init__()
        self.sensitivity = sensitivity
        self.iterations = iterations
        self.combination = combination
        self.rss = combination == "rss"
        unit = ConvGru(channels, layers) if regularizer is None else regularizer
        check_fits("regularizer", unit, images=1)
        self.start = StateStart() if start is None else start
        self.initializer = self._initializer(unit, self.start)
        self.units = for_each_step(unit, iterations, tied)
        step = SoftStep() if consistency is None else consistency
        self.consistency = for_each_step(step, iterations, tied)

    def forward(self, sample: Sample) -> Image:
        """Return the image; with the RSS combination it is real and positive."""
        if self.rss:
            return super().forward(sample)
        kspace, E = self._last(sample)
        return E.H(kspace)

    def coil_images(self, sample: Sample) -> CoilImages:
        return ifft(self._last(sample)[0])

    @staticmethod
    def _initializer(unit: RecurrentNetwork, start: StateStart) -> StateInitializer | None:
        sizes = (start.hidden, start.dilations, start.multiscale)
        return StateInitializer(unit.channels, unit.layers, *sizes) if start.learned else None

    def _last(self, sample: Sample) -> tuple[KSpace, LinearOperator]:
        """Return the k-space after all steps, and :math:`E`."""
        sample, divisor = self.start(sample)
        E = Fourier() @ Coils(coil_maps(self.sensitivity, sample))
        sample, scale = scaled(sample, divisor)
        kspace, x = sample.kspace, E.H(sample.kspace)
        h, w = x.shape[-2:]
        state = None
        if self.initializer is not None:
            first = self.start.transformed(self.start.image(kspace, x))
            state = self.initializer(first.reshape(-1, h, w))
        for t in range(self.iterations):
            i = t % len(self.units)
            correction, state = self.units[i](E.H(kspace).reshape(-1, 1, h, w), state)
            kspace = self.consistency[i](kspace, sample) + E(correction.reshape(x.shape))
        return kspace * scale.unsqueeze(-3), E
