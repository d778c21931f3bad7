"""Zero-filled reconstruction, the baseline that every other method must beat."""

from mrirecon.fourier import ifft
from mrirecon.image import complex_image, root_sum_of_squares
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.types import Image, Sample


class ZeroFilled(Reconstructor):
    r"""Root-sum-of-squares of the coil images of the measured k-space.

    .. math:: \hat x = \sqrt{\sum_c |F^H y_c|^2}

    As fastMRI's zero-filled baseline, it needs no sensitivities (Roemer et al., 1990).
    """

    def forward(self, sample: Sample) -> Image:
        """Return the magnitude, as a complex image."""
        return complex_image(root_sum_of_squares(ifft(sample.kspace)))
