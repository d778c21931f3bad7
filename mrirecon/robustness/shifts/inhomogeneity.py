"""Shading that varies slowly over the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.fourier import fft, ifft
from mrirecon.robustness.case import Case
from mrirecon.robustness.shift import Level, Shift, number


@dataclass(frozen=True)
class Inhomogeneity(Shift):
    """Multiplies the object by a smooth field, as an uneven excitation does.

    Attributes:
        levels: Natural logarithms of the largest brightening; the darkening is the same.
    """

    levels: Sequence[Level] = (0.25, 0.5, 1.0)
    title: ClassVar[str] = "intensity inhomogeneity"
    axis: ClassVar[str] = "logarithm of the largest change"
    about: ClassVar[str] = (
        "A smooth field makes parts of the object brighter and others darker; the reference alike."
    )

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:
        strength = number(level, self.title, 0.0, 5.0)
        field = (strength * smooth_field(case.header.grid, rng)).exp()
        return case.mapped(lambda one: one.mapped(lambda k: fft(field * ifft(k))))


def smooth_field(shape: tuple[int, int], rng: np.random.Generator) -> Float32[Tensor, "h w"]:
    """Draw a polynomial of the third degree over the image, whose largest magnitude is one.

    Args:
        shape: Size of the image.
        rng: Source of randomness.
    """
    y, x = (np.linspace(-1, 1, n) for n in shape)
    weights = rng.standard_normal((4, 4)) * np.array(
        [[0 < i + j <= 3 for j in range(4)] for i in range(4)]
    )
    field = np.polynomial.legendre.leggrid2d(y, x, weights)
    return torch.from_numpy((field / np.abs(field).max()).astype(np.float32))
