"""Zero-filled reconstruction, the baseline that every other method must beat."""

from mrirecon.operators import coil_images
from mrirecon.reconstructors.base import CoilImages, CoilwiseReconstructor
from mrirecon.types import Sample


class ZeroFilled(CoilwiseReconstructor):
    r"""Root-sum-of-squares of the coil images of the measured k-space.

    .. math:: \hat x = \sqrt{\sum_c |F^H y_c|^2}

    As fastMRI's zero-filled baseline, it needs no sensitivities (Roemer et al., 1990). Along a
    trajectory it is gridding with density compensation: :func:`~mrirecon.operators.coil_images`.
    """

    needs_grid = ""

    def coil_images(self, sample: Sample) -> CoilImages:
        return coil_images(sample)
