"""The image of what all frames of a series have measured, where joint methods begin."""

from jaxtyping import Float32
from torch import Tensor

from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.sensitivity.series import time_average
from mrirecon.types import Image, Maps, Sample


def mean_image(series: Sample, maps: Maps, scale: Float32[Tensor, "*b 1 1"]) -> Image:
    """Return an image of the time average for every frame, in units of ``scale``.

    What moves is blurred in it, but hardly anything is aliased.

    Args:
        series: The frames of a slice as a batch.
        maps: Coil sensitivities of each frame; those of the first one are taken.
        scale: Divisor of k-space, which all frames share.
    """
    average = DataTerm.of(time_average(series), maps[:1], scale=scale[:1])
    return average.warm_start().expand(len(series.kspace), -1, -1)
