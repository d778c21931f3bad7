"""Calibration data of frames along trajectories: the centre of k-space of their time average.

Single frames have few readouts, the coils rest: together all of them sample a larger centre.
"""

from jaxtyping import Complex64
from torch import Tensor

from mrirecon.operators.gridding import central_kspace
from mrirecon.sampling.trajectory_shape import readouts_needed, shape_of, spokes_apart
from mrirecon.types import Sample

READOUTS = 256
"""At most so many readouts, spread over the time, are averaged."""
LARGEST, LEAST = 32, 12
"""Samples along each axis of the centre: no estimator needs more, fewer are no calibration."""
TOLD = "Frames whose own centre is not dense take calibration data from the mean of all over time."


def dense_center(sample: Sample) -> int:
    """Return the width of the centre that readouts sample densely, at most :data:`LARGEST`.

    Args:
        sample: Plane with a trajectory.
    """
    assert sample.trajectory is not None
    kept = sample.mask.expand(sample.kspace.shape[-2:]).any(0)
    if not kept.any():
        return 0
    places = sample.trajectory[:, kept]
    kind = shape_of(places).kind
    needed = readouts_needed(kind, 1.0)
    width = LARGEST if needed is None else int(spokes_apart(kind, places) / needed)
    width = min(width, LARGEST, *sample.grid)
    return width - width % 2


def averaged_center(average: Sample) -> Complex64[Tensor, "coil hc wc"] | None:
    """Return the dense centre of k-space; None when it is too small.

    Args:
        average: Plane that holds the readouts of all frames.
    """
    width = dense_center(average)
    return None if width < LEAST else central_kspace(average, (width, width))
