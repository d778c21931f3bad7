"""Small features that are inserted or erased."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float32, Float64
from scipy.ndimage import maximum_filter, uniform_filter
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.robustness.case import Case, FullSlice
from mrirecon.robustness.shift import Level, Shift, number
from mrirecon.types import Volume

EDGE = 0.6
"""Pixels over which a feature rises from a sixth to five sixths."""
AROUND = 9
"""Width in pixels of the neighbourhood that shall be bright and even."""
APART = 12
"""Pixels between two features."""
SEEN = 0.1
"""Part of the largest change of the reference from which on a pixel belongs to a feature."""


@dataclass(frozen=True)
class SmallFeatures(Shift):
    """Makes small discs of the object brighter or darker, in the image of every coil alike.

    The contrast of the features in a reconstruction is the slope of its change against the change
    of the reference, over the pixels that change: 1 where it shows them as they are, 0 where it
    does not show them at all.

    Attributes:
        levels: Diameters in pixels.
        contrast: Relative change of the brightness: 0.5 inserts features that are brighter by half,
            -1 erases all signal.
        count: Number of features in a slice.
    """

    levels: Sequence[Level] = (3.0, 4.0, 6.0)
    contrast: float = 0.5
    count: int = 3
    axis: ClassVar[str] = "diameter / pixels"
    about: ClassVar[str] = (
        "Small discs of the object are made brighter or darker, in the reference, too. Contrast is "
        "what a method shows of their change: 1 all of it, 0 nothing."
    )

    def __post_init__(self) -> None:
        check_at_least(1, count=self.count)
        if self.contrast < -1 or self.contrast == 0:
            raise ConfigError(f"contrast is {self.contrast}; expected at least -1, and not 0")

    @property
    def title(self) -> str:
        """Name for people."""
        return "inserted features" if self.contrast > 0 else "erased features"

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:
        diameter = number(level, self.title, 0.0, 20.0)

        def changed(one: FullSlice) -> FullSlice:
            image = root_sum_of_squares(ifft(one.clean))
            shape = (image.shape[-2], image.shape[-1])
            discs = sum(
                (disc(shape, place, diameter) for place in self._places(image, rng)),
                torch.zeros(shape),
            )
            factor = 1 + self.contrast * discs
            return one.mapped(lambda kspace: fft(factor * ifft(kspace)))

        return case.mapped(changed)

    def _places(
        self, image: Float32[Tensor, "h w"], rng: np.random.Generator
    ) -> list[tuple[int, int]]:
        """Choose places where no feature is the brightest of all, which metrics divide by."""
        most = float(image.max()) / (1 + max(self.contrast, 0.0))
        return even_places(image, self.count, rng, most)

    def measured(
        self, image: Volume, nominal: Volume, references: tuple[Volume, Volume]
    ) -> Mapping[str, float]:
        return {"contrast": shown_contrast(image - nominal, references[0] - references[1])}


def shown_contrast(change: Volume, wanted: Volume) -> float:
    """Return the slope of a change against the one that it should be, where that one is.

    Args:
        change: Change of a reconstruction.
        wanted: Change of the reference.
    """
    where = wanted.abs() > SEEN * wanted.abs().max()
    x, r = change[where].double(), wanted[where].double()
    energy = float(r.square().sum())
    return float((x * r).sum()) / energy if energy > 0 else float("nan")


def disc(
    shape: tuple[int, int], center: tuple[int, int], diameter: float
) -> Float32[Tensor, "h w"]:
    """Return a disc of height one with soft edges.

    Args:
        shape: Size of the image.
        center: Pixel of the middle.
        diameter: Diameter at half of the height, in pixels.
    """
    y, x = (torch.arange(n) - at for n, at in zip(shape, center, strict=True))
    radius = (y[:, None].square() + x.square()).float().sqrt()
    return torch.sigmoid((diameter / 2 - radius) * (2 * np.log(5) / EDGE))


def even_places(
    image: Float32[Tensor, "h w"], count: int, rng: np.random.Generator, most: float
) -> list[tuple[int, int]]:
    """Choose places where the object is bright and even, apart from one another.

    Args:
        image: Magnitudes of a slice.
        count: Number of places, fewer where there is no room.
        rng: Source of randomness.
        most: Brightness that no place and nothing around it has, unless there is no other.
    """
    values: Float64[np.ndarray, "h w"] = image.double().numpy()
    mean = uniform_filter(values, AROUND, mode="constant")
    spread = np.sqrt(np.maximum(uniform_filter(values**2, AROUND, mode="constant") - mean**2, 0))
    bright = mean > 0.35 * np.percentile(values, 99)
    dark = maximum_filter(values, AROUND) < most
    bright = bright & dark if (bright & dark).any() else bright
    uneven = np.where(bright, spread / np.maximum(mean, 1e-30), np.inf)
    uneven[:AROUND, :] = uneven[-AROUND:, :] = uneven[:, :AROUND] = uneven[:, -AROUND:] = np.inf
    finite = np.sort(uneven[np.isfinite(uneven)])
    if not len(finite):
        return [(values.shape[0] // 2, values.shape[1] // 2)]
    good = np.argwhere(uneven <= finite[min(len(finite) - 1, max(20 * count, len(finite) // 4))])
    chosen: list[tuple[int, int]] = []
    for y, x in rng.permutation(good).tolist():
        if all((y - v) ** 2 + (x - u) ** 2 >= APART**2 for v, u in chosen):
            chosen.append((y, x))
        if len(chosen) == count:
            break
    return chosen
