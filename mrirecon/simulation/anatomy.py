"""A procedural head: tissue fractions at any point in space, different for every subject.

Nothing is stored on a grid, so that a slice may have any position, orientation and resolution. The
head is a nest of rounded shells (scalp, fat, muscle, skull with marrow, fluid, brain). The cortex
follows the pial surface: the hull of the brain and, inside it, the zero sheets of random fields,
stretched along the radius as sulci are. Lengths are in mm.

Head coordinates: origin at the centre of the brain, x to the left, y posterior, z superior; the
subject's pose turns and shifts them in the patient's LPS coordinates.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64

from mrirecon.simulation.fields import Points, RandomField, Values
from mrirecon.simulation.layers import Layers
from mrirecon.simulation.lesions import Lesion, draw_lesions
from mrirecon.simulation.nuclei import NUCLEI, third_ventricle, ventricle
from mrirecon.simulation.tissues import TISSUES

Fractions = Float32[np.ndarray, "tissue point"]


@dataclass(frozen=True)
class Shape:
    """The numbers that make one head look unlike another; lengths in mm.

    Attributes:
        axes: Semi-axes of the head along x, y and z.
        egg: How much wider the head is behind than in front.
        layers: Thickness of skin, fat, bone and of the fluid between skull and brain.
        cortex: Thickness of grey matter.
        sulcus: Half width of the fluid in a sulcus.
        fold_depth: Mean depth of sulci.
        ventricles: Size of the ventricles relative to the average.
    """

    axes: tuple[float, float, float]
    egg: float
    layers: tuple[float, float, float, float]
    cortex: float
    sulcus: float
    fold_depth: float
    ventricles: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Shape":
        """Draw an adult head."""
        size = rng.normal(1.0, 0.025)
        age = rng.random()  # older brains: wider sulci and ventricles, thinner cortex
        return cls(
            axes=(
                77.0 * size * rng.normal(1.0, 0.03),
                95.0 * size * rng.normal(1.0, 0.025),
                93.0 * size,
            ),
            egg=rng.uniform(0.04, 0.14),
            layers=(1.8, rng.uniform(2.0, 5.5), rng.uniform(5.0, 7.5), 0.8 + 1.6 * age),
            cortex=rng.uniform(2.8, 3.5) - 0.4 * age,
            sulcus=0.3 + 0.55 * age,
            fold_depth=rng.uniform(15.0, 20.0),
            ventricles=float(np.clip(np.exp(rng.normal(-0.05 + 0.3 * age, 0.2)), 0.6, 1.8)),
        )


@dataclass(frozen=True)
class Fields:
    """Random functions of head coordinates that carry the individual detail."""

    folds: tuple[RandomField, RandomField]
    texture: RandomField
    fine: RandomField
    slow: tuple[RandomField, RandomField, RandomField]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Fields":
        """Draw deep and shallow folds, texture of 2 to 16 mm wavelength, and slow variation."""
        return cls(
            folds=(RandomField.draw(rng, 12, 22.0, 32.0), RandomField.draw(rng, 10, 14.0, 20.0)),
            texture=RandomField.draw(rng, 8, 6.0, 16.0),
            fine=RandomField.draw(rng, 8, 2.2, 6.0),
            slow=(
                RandomField.draw(rng, 4, 50.0, 100.0),
                RandomField.draw(rng, 4, 60.0, 120.0),
                RandomField.draw(rng, 4, 60.0, 120.0),
            ),
        )


@dataclass(frozen=True)
class Anatomy:
    """One subject's head; :meth:`fractions` tells what is where.

    Attributes:
        shape: Sizes of the head and its parts.
        fields: Random functions of position, which give the individual detail.
        rotation: Matrix that turns head into LPS coordinates.
        shift: Position of the brain's centre in LPS mm.
        lesions: Pathology, possibly none.
    """

    shape: Shape
    fields: Fields
    rotation: Float64[np.ndarray, "3 3"]
    shift: Float64[np.ndarray, "3"]
    lesions: tuple[Lesion, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, lesions: bool = True) -> "Anatomy":
        """Draw a subject; without ``lesions`` a healthy one of otherwise the same anatomy."""
        shape, fields = Shape.draw(rng), Fields.draw(rng)
        rotation = _rotation(np.deg2rad(rng.normal(0.0, (3.0, 2.0, 5.0))))
        shift = rng.normal(0.0, (2.0, 2.5, 3.0))
        found = draw_lesions(rng)
        return cls(shape, fields, rotation, shift, found if lesions else ())

    def fractions(
        self, points: Float32[np.ndarray, "3 point"], blur: float
    ) -> tuple[Fractions, Values]:
        """Tissue fractions at ``points`` and the local modulation of proton density.

        Args:
            points: LPS coordinates in mm.
            blur: Width over which borders between tissues are mixed, in mm: the sampling distance.

        Returns:
            Fractions in the order of ``TISSUES``, whose sum is one inside the head and zero in
            air; and a factor close to one: texture and slow variation.
        """
        result = np.zeros((len(TISSUES), points.shape[1]), np.float32)
        texture = np.ones(points.shape[1], np.float32)
        offset = points - self.shift[:, None].astype(np.float32)
        turn = torch.from_numpy(self.rotation.T.astype(np.float32))
        p = (turn @ torch.from_numpy(offset)).numpy()
        radius = self._radius(p)
        inside = np.flatnonzero(radius < 1.03)
        if not inside.size:
            return result, texture
        p, radius = p[:, inside], np.maximum(radius[inside], np.float32(1e-3))
        result[:, inside], texture[inside] = self._compose(p, radius, np.float32(1 / blur))
        return result, texture

    def _radius(self, p: Points) -> Values:
        """Distance from the centre relative to the head's surface in the same direction."""
        a, b, c = (np.float32(axis) for axis in self.shape.axes)
        y = p[1] / b
        x2 = np.square(p[0] / (a * (1 + np.float32(self.shape.egg) * np.clip(y, -1, 1))))
        y2 = y * y
        z2 = np.square(p[2] / np.where(p[2] > 0, c, np.float32(1.35) * c))
        rounded = x2 + y2 + z2
        boxy = np.sqrt(x2 * x2 + y2 * y2 + z2 * z2)
        return np.sqrt(np.float32(0.7) * rounded + np.float32(0.3) * boxy)

    def _compose(
        self, p: Points, radius: Values, sharpness: np.float32
    ) -> tuple[Fractions, Values]:
        slow = [field(p) for field in self.fields.slow]
        layers = Layers(p.shape[1], sharpness)
        depth = np.linalg.norm(p, axis=0) * (1 / radius - 1)
        layers.limit(depth)
        depth = self._scalp_and_skull(layers, p, depth, slow)
        pial = self._pial_distance(p, radius, depth, slow)
        fluid = np.float32(self.shape.sulcus) * (
            1 + np.float32(0.8) * np.clip(1 - depth / 10, 0, 1)
        )
        cortex = np.float32(self.shape.cortex) * (1 + np.float32(0.08) * slow[1])

        size = self.shape.ventricles
        layers.paint("csf", np.minimum(depth, pial - fluid), outside=True)
        texture = self.fields.texture(p)
        noisy = p + np.float32(0.25) * texture
        layers.paint("csf", np.maximum(ventricle(noisy, size), third_ventricle(noisy, size)))
        for lesion in self.lesions:
            lesion.paint(layers, p, texture)
        layers.paint("grey", pial - fluid - cortex, outside=True)
        for tissue, nucleus in NUCLEI:
            layers.paint(tissue, nucleus(noisy))
        layers.paint("white", np.full_like(depth, 1e3))
        modulation = (
            1
            + np.float32(0.018) * texture
            + np.float32(0.022) * self.fields.fine(p + np.float32(1.5) * texture)
            + np.float32(0.03) * slow[2]
        )
        return layers.fractions, modulation

    def _scalp_and_skull(
        self, layers: Layers, p: Points, depth: Values, slow: list[Values]
    ) -> Values:
        """Paint what surrounds the brain; return the depth below the brain's hull."""
        skin, fat, bone, fluid = (np.float32(thickness) for thickness in self.shape.layers)
        u, y, z = np.abs(p[0]), p[1], p[2]
        temple = np.exp(
            -np.square((y + 32) / 24) - np.square((z + 12) / 30) - np.square(28 / (u + 1))
        )
        below = depth - skin
        layers.paint("skin", below, outside=True)
        below = below - fat * (
            1 + np.float32(0.3) * slow[0] + 0.6 * np.square(np.clip(y / 95, -1, 1))
        )
        layers.paint("fat", below, outside=True)
        below = below - 9 * temple
        layers.paint("muscle", below, outside=True)
        thickness = bone * (1 + np.float32(0.18) * slow[1] - np.float32(0.35) * temple)
        table = np.float32(0.3) * thickness
        layers.paint("bone", below - table, outside=True)
        layers.paint("marrow", below - thickness + table, outside=True)
        layers.paint("bone", below - thickness, outside=True)
        return below - thickness - fluid * (1 + np.float32(0.35) * slow[2])

    def _pial_distance(
        self, p: Points, radius: Values, depth: Values, slow: list[Values]
    ) -> Values:
        """Distance to the nearest surface of the brain: hull, sulcus or fissure."""
        u, y, z = np.abs(p[0]), p[1], p[2]
        stretch = np.float32(0.35) + np.float32(0.65) / np.maximum(radius, np.float32(0.3))
        unrolled = p * stretch
        deepest = np.float32(self.shape.fold_depth) * (1 + np.float32(0.3) * slow[0])
        primary, secondary = (
            np.hypot(sheets.distance(unrolled) / stretch, np.maximum(depth - limit, 0))
            for sheets, limit in zip(self.fields.folds, (deepest, deepest / 2), strict=True)
        )
        sulci = np.minimum(primary, secondary)

        callosum = np.sqrt(np.square((y + 2) / 44) + np.square((z - 6) / 27))
        midline = np.hypot(p[0] - np.float32(1.2) * slow[2], np.maximum((1 - callosum) * 27, 0))
        wander = np.float32(3.5) * slow[1] + np.float32(2.0) * np.sin(0.3 * (u + p[2]) + slow[0])
        lateral = np.float32(0.9) * np.abs(y + 10 - np.float32(0.4) * (u - 45) + 0.35 * z + wander)
        span = np.maximum(np.abs(z - 2) - 18, 0)
        sylvian = np.hypot(np.hypot(lateral, np.maximum(38 - u, 0)), span)
        insula = np.hypot(
            np.hypot(
                u - 37 + 0.006 * np.square(y + 6) - wander / 2, np.maximum(np.abs(y + 6) - 20, 0)
            ),
            np.maximum(np.abs(z - 2) - 15, 0),
        )
        fissures = np.minimum(midline, np.minimum(sylvian, insula))
        return np.minimum(np.minimum(depth, sulci), fissures)


def _rotation(angles: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """Rotate about x, then y, then z by ``angles`` (rad)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
