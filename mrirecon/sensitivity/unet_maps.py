"""Coil sensitivities that a network, trained with the reconstruction, makes of simpler ones."""

from jaxtyping import Complex
from torch import Tensor

from mrirecon.fourier import center_phases
from mrirecon.networks.fusion_unet import FusionUnet
from mrirecon.sensitivity.base import SensitivityEstimator, unit_norm
from mrirecon.sensitivity.coilwise import coil_by_coil
from mrirecon.sensitivity.gaussian import GaussianMaps
from mrirecon.types import Maps, Sample


class UnetMaps(SensitivityEstimator):
    r"""Another estimator's maps, each of which a U-Net has processed.

    .. math:: S'_c = N\big(U(S_c)\big)

    :math:`N` divides by the root-sum-of-squares. Unlike that of
    :class:`~mrirecon.sensitivity.LearnedMaps` the network sees maps, not coil images, and does not
    normalize what it sees. As in the vSHARP and the recurrent variational network of Yiasemis et
    al. A single coil is left alone.

    Args:
        sensitivity: Estimator of the first maps; None takes
            :class:`~mrirecon.sensitivity.GaussianMaps`.
        channels: Features of the first level of the U-Net.
        pools: Number of halvings.
        dropout: Probability of zeroing a feature map.
        centered: Whether the network sees coil images as the centred Fourier transform makes them;
            else as the plain one does, of k-space with its origin in the middle: they change sign
            from pixel to pixel.
    """

    def __init__(
        self,
        sensitivity: SensitivityEstimator | None = None,
        channels: int = 32,
        pools: int = 4,
        dropout: float = 0.0,
        centered: bool = True,
    ) -> None:
        super().__init__()
        self.sensitivity = GaussianMaps() if sensitivity is None else sensitivity
        self.centered = centered
        self.network = FusionUnet(1, channels, pools, dropout)

    def forward(self, sample: Sample) -> Maps:
        """Return the maps; zero where the network makes all of them zero.

        Raises:
            CalibrationError: When the first maps cannot be made.
        """
        maps = self.sensitivity(sample)
        if maps.shape[-3] == 1:
            return maps
        if self.centered:
            return unit_norm(coil_by_coil(self._network, maps))
        phases = plain_phases(maps)
        return unit_norm(coil_by_coil(self._network, maps * phases)) * phases.conj()

    def _network(self, maps: Tensor) -> Tensor:
        processed: Tensor = self.network(maps.unsqueeze(-3))
        return processed


def plain_phases(like: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "h w"]:
    """Return what turns an image of the centred Fourier transform into one of the plain one."""
    (rows, _), (columns, _) = (center_phases(size, like) for size in like.shape[-2:])
    return rows[:, None] * columns
