"""Structures in the middle of the brain, as signed distances in head coordinates (mm).

Positions and sizes are those of an average adult brain (Talairach and Tournoux, Co-Planar
Stereotaxic Atlas of the Human Brain, 1988), rounded.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from mrirecon.simulation.fields import Points, Values


def ellipsoid(
    p: Points,
    center: tuple[float, float, float],
    axes: tuple[float, float, float],
    tilt: float = 0.0,
) -> Values:
    """Distance to a pair of mirror-symmetric ellipsoids, positive inside.

    ``center`` is given for the left one; ``tilt`` moves its x outwards per mm of y.
    """
    y, z = p[1] - np.float32(center[1]), p[2] - np.float32(center[2])
    x = np.abs(p[0]) - np.float32(center[0]) - np.float32(tilt) * y
    a, b, c = (np.float32(axis) for axis in axes)
    radius = np.sqrt(np.square(x / a) + np.square(y / b) + np.square(z / c))
    return (1 - radius) * np.float32(min(axes))


def ventricle(p: Points, size: float) -> Values:
    """Distance to the lateral ventricles: arcs from the frontal to the occipital horns."""
    s = np.float32(size)
    y = p[1]
    along = np.clip((y - 4) / (34 + 8 * s), -1, 1)
    taper = np.sqrt(1 - along * along)
    behind = np.clip(y / 40, 0, 1)
    bend = np.where(y < 0, np.float32(0.0085), np.float32(0.0125))
    x = np.abs(p[0]) - (1.6 + 3.2 * s + bend * y * y)
    z = p[2] - (15 - np.float32(0.004) * y * y)
    wide, high = 3.6 * s * (1 + 0.5 * behind), 8.0 * np.sqrt(s) * (1 + 0.2 * behind)
    radius = np.sqrt(np.square(x / wide) + np.square(z / high))
    return (taper - radius) * wide


def third_ventricle(p: Points, size: float) -> Values:
    """Distance to the slit between the thalami."""
    return ellipsoid(p, (0.0, 6.0, -3.0), (1.9 * size, 13.0, 10.0))


Structure = Callable[[Points], Values]

NUCLEI: tuple[tuple[str, Structure], ...] = (
    (
        "deep_grey",
        partial(ellipsoid, center=(13.5, -22.0, 11.0), axes=(5.0, 9.0, 11.0), tilt=-0.15),
    ),
    ("deep_grey", partial(ellipsoid, center=(9.5, 10.0, 5.0), axes=(7.5, 13.0, 9.0), tilt=0.35)),
    ("pallidum", partial(ellipsoid, center=(18.5, -5.0, 1.0), axes=(3.6, 8.0, 7.0), tilt=0.45)),
    ("deep_grey", partial(ellipsoid, center=(24.0, -6.0, 4.0), axes=(4.6, 16.0, 12.0), tilt=0.25)),
)
"""Caudate heads, thalami, pallida and putamina, those in front first."""
