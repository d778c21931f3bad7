r"""Trajectories through k-space in cycles per field of view, the step of the Cartesian grid.

Axes are those of the image, ``h w`` or ``h w`` and partitions; every trajectory has the shape
``readout sample axis``.
"""

import math

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from mrirecon.arguments import check_at_least

GOLDEN = (math.sqrt(5) - 1) / 2 * math.pi
"""Golden angle of diameters, 111.25 degrees."""


def golden_angle(tiny: int = 1) -> float:
    r"""Return the angle between successive diameters, in radians.

    .. math:: \psi_N = \frac{\pi}{\tau + N - 1}, \qquad \tau = \frac{1 + \sqrt 5}{2}

    Any number of successive diameters covers k-space nearly evenly, so frames of any length can be
    cut out of a scan afterwards (Winkelmann et al., IEEE Trans Med Imaging 26:68, 2007). The tiny
    ones, :math:`N > 1`, do so from about :math:`2N` diameters on and turn more smoothly (Wundrak
    et al., IEEE Trans Med Imaging 34:1262, 2015).

    Args:
        tiny: Number :math:`N`; 1 is the golden angle.
    """
    check_at_least(1, tiny=tiny)
    return math.pi / ((1 + math.sqrt(5)) / 2 + tiny - 1)


def even_angles(spokes: int, first: int = 0) -> Float64[Tensor, "spoke"]:
    """Return angles of diameters that are spread evenly over half a turn.

    Args:
        spokes: Number of diameters.
        first: Number of the first one, for a scan that goes on.
    """
    check_at_least(1, spokes=spokes)
    return (torch.arange(spokes, dtype=torch.float64) + first) * (math.pi / spokes)


def golden_angles(spokes: int, first: int = 0, tiny: int = 1) -> Float64[Tensor, "spoke"]:
    """Return angles of diameters, each turned by a golden angle against the one before.

    Args:
        spokes: Number of diameters.
        first: Number of the first one, for a frame of a longer scan.
        tiny: Number of the tiny golden angle; 1 is the golden angle itself.
    """
    check_at_least(1, spokes=spokes)
    number = torch.arange(spokes, dtype=torch.float64) + first
    return torch.remainder(number * golden_angle(tiny), 2 * math.pi)


def radial(
    angles: Float64[Tensor, "spoke"], samples: int, matrix: int
) -> Float32[Tensor, "spoke sample 2"]:
    """Return diameters of k-space; sample ``samples // 2`` is its centre.

    Args:
        angles: Angles of the diameters in radians, from ``h`` towards ``w``.
        samples: Samples of a diameter, readout oversampling included.
        matrix: Size of the image, which is the diameter in cycles per field of view.
    """
    check_at_least(2, samples=samples, matrix=matrix)
    radius = (torch.arange(samples, dtype=torch.float64) - samples // 2) * (matrix / samples)
    direction = torch.stack([angles.cos(), angles.sin()], -1)
    return (radius[:, None] * direction[:, None, :]).float()


def spiral(
    angles: Float64[Tensor, "arm"], samples: int, matrix: int, arms: int | None = None
) -> Float32[Tensor, "arm sample 2"]:
    """Return Archimedean spirals from the centre of k-space to its edge.

    Together, ``arms`` of them, spread evenly over a turn, leave one cycle per field of view between
    neighbours. The samples are evenly spaced along the arm but for its first turn, where the angle
    grows evenly: a gradient cannot turn at once.

    Args:
        angles: Angle of each arm in radians.
        samples: Samples of an arm.
        matrix: Size of the image, which is the diameter in cycles per field of view.
        arms: Number of arms that sample fully; None takes the number of ``angles``.
    """
    arms = len(angles) if arms is None else arms
    check_at_least(2, samples=samples, matrix=matrix)
    check_at_least(1, arms=arms)
    turns = matrix / 2 / arms
    time = torch.linspace(0, 1, samples, dtype=torch.float64)
    # the length of an Archimedean spiral grows with the square of its angle, but for the first turn
    share = 1 / (1 + turns)
    turned = turns * ((share**2 + time * (1 + 2 * share)).sqrt() - share)
    radius = turned * arms
    angle = 2 * math.pi * turned + angles[:, None]
    return torch.stack([radius * angle.cos(), radius * angle.sin()], -1).float()


def stack_of(
    trajectory: Float32[Tensor, "readout sample 2"], partitions: int
) -> Float32[Tensor, "partition readout sample 3"]:
    """Return the same trajectory in each partition of a slab: a stack of stars, or of spirals.

    Args:
        trajectory: Trajectory within a partition.
        partitions: Number of partitions; ``partitions // 2`` is that of k = 0.
    """
    check_at_least(1, partitions=partitions)
    place = torch.arange(partitions, dtype=trajectory.dtype) - partitions // 2
    whole = trajectory.expand(partitions, *trajectory.shape)
    return torch.cat([whole, place.view(-1, 1, 1, 1).expand(*whole.shape[:-1], 1)], -1)
