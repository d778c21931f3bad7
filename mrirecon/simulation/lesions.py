"""Pathology: white-matter lesions and, in some subjects, a tumour with oedema."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from mrirecon.simulation.fields import Points, Values
from mrirecon.simulation.layers import Layers


@dataclass(frozen=True)
class Lesion:
    """An irregular ellipsoid.

    Attributes:
        center: Head coordinates in mm.
        axes: Semi-axes in mm.
        tissue: Tissue that it is made of.
        roughness: How far its border wanders, in mm.
    """

    center: Float32[np.ndarray, "3"]
    axes: Float32[np.ndarray, "3"]
    tissue: str
    roughness: float

    def paint(self, layers: Layers, p: Points, texture: Values) -> None:
        """Paint the lesion, if any of it lies near the points."""
        offset = (p - self.center[:, None]) / self.axes[:, None]
        radius = np.sqrt((offset * offset).sum(axis=0))
        if radius.min() > 1.5:
            return
        smallest = np.float32(self.axes.min())
        layers.paint(self.tissue, (1 - radius) * smallest + np.float32(self.roughness) * texture)


def draw_lesions(rng: np.random.Generator) -> tuple[Lesion, ...]:
    """Draw the pathology of one subject.

    Half of the subjects have 2 to 12 lesions of the white matter, most of them next to the
    ventricles; one in six has a tumour with a fluid core, a solid rim and oedema.
    """
    lesions: list[Lesion] = []
    if rng.random() < 1 / 6:
        lesions += _tumour(rng)
    if rng.random() < 0.5:
        lesions += [_white_matter_lesion(rng) for _ in range(rng.integers(2, 13))]
    return tuple(lesions)


def _white_matter_lesion(rng: np.random.Generator) -> Lesion:
    y = rng.uniform(-42, 48)
    outward = 14 + 0.006 * y * y + abs(rng.normal(0.0, 9.0))
    center = np.array([rng.choice((-1, 1)) * outward, y, rng.uniform(5, 38)])
    size = np.clip(np.exp(rng.normal(0.95, 0.35)), 1.5, 6.0)
    axes = size * rng.uniform(0.75, 1.3, 3)
    return Lesion(center.astype(np.float32), axes.astype(np.float32), "lesion", 0.3)


def _tumour(rng: np.random.Generator) -> list[Lesion]:
    side = rng.choice((-1, 1))
    center = np.array([side * rng.uniform(22, 42), rng.uniform(-40, 48), rng.uniform(0, 30)])
    core = rng.uniform(5.0, 11.0) * rng.uniform(0.8, 1.25, 3)
    shells = (("tumour", core, 0.8), ("lesion", core + 2.5, 1.0), ("edema", core + 8.0, 1.4))
    return [
        Lesion(center.astype(np.float32), axes.astype(np.float32), tissue, roughness)
        for tissue, axes, roughness in shells
    ]
