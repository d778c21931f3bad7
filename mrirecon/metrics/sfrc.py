"""Share of the object in which structure is invented or missing, by Fourier ring correlation."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from mrirecon.errors import ShapeError
from mrirecon.metrics.base import Metric, MetricInfo, Volume, Where
from mrirecon.metrics.ring_correlation import PATCH, scan_rings


@dataclass(frozen=True)
class Sfrc(Metric):
    """Percentage of the object's patches whose Fourier ring correlations are below the threshold.

    Slices are scanned one by one, see :func:`~mrirecon.metrics.ring_correlation.scan_rings`. An
    insertion as small as a few pixels is in 16 patches or more, which overlap. Patches count by
    their centre.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        "sfrc", "sFRC", "%", 2, False, "patches with invented or missing structure"
    )

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        if min(image.shape[-2:]) < PATCH:
            raise ShapeError(
                f"sFRC needs images of at least {PATCH} x {PATCH} pixels, "
                f"got {image.shape[-2]} x {image.shape[-1]}"
            )
        suspicious = counted = image.new_zeros(())
        for number, (x, r) in enumerate(zip(image, reference, strict=True)):
            scan = scan_rings(x, r)
            counts = scan.shows_object
            if where is not None:
                rows, columns = scan.centers()
                counts = counts & where[number][rows[:, None], columns]
            suspicious = suspicious + (scan.suspicious & counts).sum()
            counted = counted + counts.sum()
        if not counted:
            raise ShapeError("sFRC is not defined: no patch of the object lies in the region")
        return 100 * suspicious / counted + 0 * image.sum()  # not a number where the image is none
