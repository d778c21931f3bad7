"""Cascades of CNNs with hard data consistency, in image space or in both spaces."""

from torch import nn

from mrirecon.networks import ResidualCnn
from mrirecon.operators import Coils, Fourier
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.kspace_consistency import HardProjection, KspaceConsistency
from mrirecon.reconstructors.parts.unrolled import check_makes_one, coil_maps, for_each_step, scaled
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Sample


class CascadeNet(Reconstructor):
    r"""Alternates networks with the projection :math:`P` onto the measured samples.

    .. math:: x_t = E^H K_t(k_t), \qquad k_{t+1} = P(E\,I_t(x_t)), \qquad k_0 = y,\ E = F S

    With a network :math:`K` for the k-space of each coil this is KIKI-net (Eo et al., Magn Reson
    Med 80:2188, 2018); without, :math:`K_t` is the identity and it is the deep cascade of Schlemper
    et al. (IEEE Trans Med Imaging 37:491, 2018). Both papers reconstruct a single coil; here the
    image is the coil combination :math:`E^H k_T`. KIKI-net trains one network after the other; here
    all are trained together.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularizer: Network :math:`I` from complex images to complex images; None takes the deep
            cascade's five layers of 64 features.
        kspace_regularizer: Network :math:`K` from the complex k-space of a coil to another, or
            None.
        consistency: Step :math:`P` towards the data, from
            :mod:`~mrirecon.reconstructors.parts.kspace_consistency`; None takes the hard
            projection.
        iterations: Number of cascades.
        tied: Whether all cascades share their parameters.
    """

    needs_grid = "its state is a k-space on the grid"

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularizer: nn.Module | None = None,
        kspace_regularizer: nn.Module | None = None,
        consistency: KspaceConsistency | None = None,
        iterations: int = 5,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.sensitivity = sensitivity
        self.iterations = iterations
        denoiser = ResidualCnn(64, 5) if regularizer is None else regularizer
        check_makes_one("regularizer", denoiser)
        self.denoisers = for_each_step(denoiser, iterations, tied)
        inner = nn.Identity() if kspace_regularizer is None else kspace_regularizer
        check_makes_one("kspace_regularizer", inner)
        self.kspace_networks = for_each_step(inner, iterations, tied)
        projection = HardProjection() if consistency is None else consistency
        self.consistency = for_each_step(projection, iterations, tied)

    def forward(self, sample: Sample) -> Image:
        """Return the coil-combined image."""
        E = Fourier() @ Coils(coil_maps(self.sensitivity, sample))
        sample, scale = scaled(sample)
        kspace = sample.kspace
        for t in range(self.iterations):
            i = t % len(self.denoisers)
            image = self.denoisers[i](E.H(self.kspace_networks[i](kspace)))
            kspace = self.consistency[i](E(image), sample)
        return E.H(kspace) * scale
