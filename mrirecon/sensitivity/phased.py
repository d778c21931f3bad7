"""Maps that carry the phase of the object, so that images are nearly real."""

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.sensitivity.low_resolution import LowResolutionMaps
from mrirecon.types import Maps, Sample


class PhasedMaps(SensitivityEstimator):
    r"""Another estimator's maps, turned by the phase of the low-resolution image.

    .. math:: S'_c = S_c\,e^{i\phi}, \qquad \phi = \arg\sum_c \bar S_c\,(F^H W y)_c

    with the Hann window :math:`W` of :class:`LowResolutionMaps`. Eigenvectors leave the phase of
    each pixel open, and no reference among the coils removes that of the object. With these maps
    the coil combination is nearly real and positive: the smooth phase of object and receivers is
    in the maps, and only its fine detail is left to the image. Magnitudes and the range of
    the encoding do not change, so linear methods do not either; networks on real and imaginary
    parts need not learn every edge at every angle, and train much faster.

    Args:
        sensitivity: Estimator of the maps.
        calibration: Largest width of the window, in lines.
    """

    def __init__(self, sensitivity: SensitivityEstimator, calibration: int = 24) -> None:
        super().__init__()
        self.sensitivity = sensitivity
        self.low_resolution = LowResolutionMaps(calibration)

    def forward(self, sample: Sample) -> Maps:
        """Return the maps; their phase stays where the low-resolution image is zero.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        return self._turned(self.sensitivity(sample), self.low_resolution(sample))

    def map_sets(self, sample: Sample) -> Complex64[Tensor, "*b set coil h w"]:
        """Return all sets, each turned by the phase of its own image."""
        return self._turned(
            self.sensitivity.map_sets(sample), self.low_resolution(sample).unsqueeze(-4)
        )

    def _turned(self, maps: Tensor, coil_images: Tensor) -> Tensor:
        image = (maps.conj() * coil_images).sum(-3, keepdim=True).detach()
        return maps * torch.where(image == 0, 1.0, torch.sgn(image))
