"""A procedural torso: heart, lungs, liver and what surrounds them, different for every subject.

As :mod:`mrirecon.simulation.anatomy` for the head: nothing is stored on a grid. Points are in LPS
mm, with the origin in the left ventricle, whose axis goes along z; in people it is oblique. An
axial slice through it shows the ring of a short-axis view.
"""

from dataclasses import dataclass

import numpy as np

from mrirecon.simulation.anatomy import Fractions
from mrirecon.simulation.fields import Points, RandomField, Values
from mrirecon.simulation.layers import Layers
from mrirecon.simulation.tissues import TORSO

_CENTER = (-45.0, 35.0)
"""Middle of the torso at x and y, in mm."""


@dataclass(frozen=True)
class Build:
    """The numbers that make one torso look unlike another; lengths in mm.

    Attributes:
        axes: Semi-axes of the torso along x and y.
        fat: Thickness of the fat below the skin.
        muscle: Thickness of muscle and ribs.
        ventricle: Radius of the left ventricle's cavity at the end of diastole.
        wall: Thickness of its wall at the same time.
        papillary: Angles at which the two papillary muscles stand, in rad.
        right: Size of the right ventricle relative to the average.
        liver: Size of the liver relative to the average.
        dome: Height of the diaphragm over the liver.
    """

    axes: tuple[float, float]
    fat: float
    muscle: float
    ventricle: float
    wall: float
    papillary: tuple[float, float]
    right: float
    liver: float
    dome: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Build":
        """Draw an adult torso."""
        return cls(
            axes=(150.0 * rng.normal(1.0, 0.03), 104.0 * rng.normal(1.0, 0.03)),
            fat=rng.uniform(5.0, 14.0),
            muscle=rng.uniform(8.0, 12.0),
            ventricle=rng.uniform(20.0, 24.0),
            wall=rng.uniform(8.5, 11.5),
            papillary=(rng.uniform(0.2, 1.0), rng.uniform(2.2, 3.2)),
            right=rng.uniform(0.9, 1.1),
            liver=rng.uniform(0.93, 1.07),
            dome=rng.uniform(-8.0, 4.0),
        )


@dataclass(frozen=True)
class Details:
    """Random functions of position at rest that carry the individual detail."""

    vessels: tuple[RandomField, RandomField]
    texture: RandomField
    slow: RandomField
    bowel: RandomField

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Details":
        """Draw vessels some 3 cm apart, texture of 5 to 20 mm, slow variation and bowel."""
        return cls(
            vessels=(RandomField.draw(rng, 8, 45.0, 80.0), RandomField.draw(rng, 8, 45.0, 80.0)),
            texture=RandomField.draw(rng, 8, 5.0, 20.0),
            slow=RandomField.draw(rng, 4, 60.0, 120.0),
            bowel=RandomField.draw(rng, 8, 28.0, 60.0),
        )


@dataclass(frozen=True)
class Torso:
    """One subject's torso at rest; :meth:`fractions` tells what is where.

    Attributes:
        build: Sizes of the torso and its organs.
        details: Random functions of position, which give the individual detail.
    """

    build: Build
    details: Details

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Torso":
        """Draw a subject."""
        return cls(Build.draw(rng), Details.draw(rng))

    def fractions(self, points: Points, blur: float) -> tuple[Fractions, Values]:
        """Tissue fractions at ``points`` and the local modulation of proton density.

        Args:
            points: LPS coordinates in mm.
            blur: Width over which borders between tissues are mixed, in mm.

        Returns:
            Fractions in the order of ``TORSO``, whose sum is one inside the torso and zero in
            air; and a factor close to one.
        """
        result = np.zeros((len(TORSO), points.shape[1]), np.float32)
        modulation = np.ones(points.shape[1], np.float32)
        radius = self._radius(points)
        inside = np.flatnonzero(radius < 1.03)
        if not inside.size:
            return result, modulation
        p = points[:, inside]
        layers = Layers(len(inside), np.float32(1 / blur), TORSO)
        self._compose(layers, p)
        result[:, inside] = layers.fractions
        modulation[inside] = (
            1 + np.float32(0.03) * self.details.texture(p) + np.float32(0.03) * self.details.slow(p)
        )
        return result, modulation

    def _radius(self, p: Points) -> Values:
        """Distance from the axis of the torso relative to its surface in the same direction."""
        (a, b), (x, y) = self.build.axes, _CENTER
        x2, y2 = np.square((p[0] - x) / np.float32(a)), np.square((p[1] - y) / np.float32(b))
        radius: Values = np.sqrt(0.6 * (x2 + y2) + 0.4 * np.sqrt(x2 * x2 + y2 * y2))
        return radius.astype(np.float32)

    def _compose(self, layers: Layers, p: Points) -> None:
        radius = np.maximum(self._radius(p), np.float32(1e-3))
        depth = np.hypot(p[0] - _CENTER[0], p[1] - _CENTER[1]) * (1 / radius - 1)
        layers.limit(depth)
        below = depth - 2.0
        layers.paint("skin", below, outside=True)
        fat = np.float32(self.build.fat) * (1 + np.float32(0.2) * self.details.slow(p))
        layers.paint("fat", below - fat, outside=True)
        cavity = below - fat - np.float32(self.build.muscle)
        ribs = np.minimum(
            np.sin(p[2] * (2 * np.pi / 26) + p[0] / 20) * 5 - 1, 4 - np.abs(cavity + 5)
        )
        layers.paint("marrow", ribs)
        layers.paint("muscle", cavity, outside=True)
        self._spine(layers, p)
        self._heart(layers, p)
        vessels = np.hypot(*(field.distance(p) for field in self.details.vessels))
        self._abdomen(layers, p, vessels)
        layers.paint("fat", 16 - np.hypot((p[0] + 40) / 1.4, (p[1] - 55) / 2.2))
        layers.paint("blood", 2.2 - vessels)
        layers.paint("lung", np.full_like(depth, 1e3))

    def _spine(self, layers: Layers, p: Points) -> None:
        """Paint vertebrae, the muscles behind them and the aorta."""
        x, y = p[0] + 45, p[1] - 100
        vertebra = 19 - np.hypot(x, y * 1.15)
        layers.paint("bone", np.minimum(vertebra, 2.5 - np.abs(vertebra)))
        layers.paint("marrow", vertebra)
        layers.paint("bone", 4 - np.hypot(x, np.maximum(np.abs(y - 28) - 12, 0)))
        layers.paint("muscle", 17 - np.hypot(np.abs(x) - 24, y - 26))
        layers.paint("blood", 11 - np.hypot(p[0] + 15, p[1] - 84))

    def _heart(self, layers: Layers, p: Points) -> None:
        """Paint both ventricles, their walls, papillary muscles and fat."""
        build = self.build
        x, y, z = p
        radius, outer = build.ventricle, build.ventricle + build.wall
        for angle in build.papillary:
            at = 0.62 * radius * np.array([np.cos(angle), np.sin(angle)])
            muscle = 0.2 * radius - np.hypot(x - np.float32(at[0]), y - np.float32(at[1]))
            layers.paint("myocardium", np.minimum(muscle, 30 - np.abs(z + 8)))
        layers.paint("blood", _ellipsoid(p, (0.0, 0.0, 0.0), (radius, radius, 52.0)))
        layers.paint("myocardium", _ellipsoid(p, (0.0, 0.0, 0.0), (outer, outer, 60.0)))
        right = tuple(build.right * axis for axis in (34.0, 25.0, 48.0))
        place = (-26.0, -14.0, 2.0)
        thicker = (right[0] + 3.5, right[1] + 3.5, right[2] + 3.5)
        layers.paint("blood", _ellipsoid(p, place, (right[0], right[1], right[2])))
        layers.paint("myocardium", _ellipsoid(p, place, thicker))
        around = np.maximum(
            _ellipsoid(p, (0.0, 0.0, 0.0), (outer + 6, outer + 6, 66.0)),
            _ellipsoid(p, place, (thicker[0] + 6, thicker[1] + 6, thicker[2] + 6)),
        )
        layers.paint("fat", around)

    def _abdomen(self, layers: Layers, p: Points, vessels: Values) -> None:
        """Paint liver, spleen and bowel, all below the diaphragm."""
        size, dome = self.build.liver, self.build.dome
        right, left = (88.0, 84.0, 88.0), (72.0, 46.0, 40.0)
        liver = np.maximum(
            _ellipsoid(p, (-112.0, 20.0, dome - 88.0 * size), tuple(size * a for a in right)),
            _ellipsoid(p, (-45.0, -8.0, dome - 92.0), tuple(size * a for a in left)),
        )
        layers.paint("blood", np.minimum(liver - 4, 3 - vessels))
        layers.paint("liver", liver)
        layers.paint("spleen", _ellipsoid(p, (58.0, 70.0, dome - 75.0), (28.0, 38.0, 48.0)))
        across = np.hypot((p[0] - _CENTER[0]) / 130, (p[1] - _CENTER[1]) / 90)
        below = dome - 12 - 45 * np.square(across) - p[2]
        layers.paint("muscle", np.minimum(below, 3.5 - below))
        bowel = self.details.bowel(p) * 14
        layers.paint("muscle", np.minimum(below, 4 - np.abs(bowel)))
        layers.paint("fat", below)


def _ellipsoid(p: Points, center: tuple[float, float, float], axes: tuple[float, ...]) -> Values:
    """Distance to an ellipsoid, positive inside, right near its surface but for its flattening."""
    half = np.array(axes, np.float32)[:, None]
    scaled = (p - np.array(center, np.float32)[:, None]) / half
    radius, slope = _length(scaled), _length(scaled / half)
    tiny = np.float32(1e-6)  # both are zero in the middle
    distance: Values = (1 - radius) * (radius + tiny) / (slope + tiny / half.max())
    return distance


def _length(p: Points) -> Values:
    """Return the lengths of vectors; faster than numpy's norm along a short axis."""
    x, y, z = p
    length: Values = np.sqrt(x * x + y * y + z * z)
    return length
