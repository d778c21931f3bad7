"""A smaller field of view than the object needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.robustness.case import Case, FullSlice
from mrirecon.robustness.shift import Level, Shift, number

SMALLEST = 32
"""Lines that are left at least."""


@dataclass(frozen=True)
class SmallerFieldOfView(Shift):
    """Samples phase encodings further apart, at the same resolution: the image wraps around.

    Where the object is wider than the field of view, the reference has the wrap-around, too, and
    the assumption of one sensitivity for each pixel and coil does not hold.

    Attributes:
        levels: Shares by which the field of view along the phase encoding is smaller.
    """

    levels: Sequence[Level] = (0.1, 0.2, 0.35)
    title: ClassVar[str] = "smaller field of view"
    axis: ClassVar[str] = "share of the field of view that is missing"
    about: ClassVar[str] = (
        "Phase encodings lie further apart, so the image wraps around where the object is wider "
        "than the field of view; the reference wraps around, too."
    )

    def unsuited(self, case: Case) -> str:
        if all(bool(one.sample.mask.all()) for one in case.slices):
            return ""
        return "its k-space was not measured to the edges"

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:  # noqa: ARG002
        share = number(level, self.title, 0.0, 0.5)
        header = case.header
        h, w = header.grid
        width = max(min(w, SMALLEST), 2 * round(w * (1 - share) / 2))
        canvas = (header.canvas[0], max(1, round(header.canvas[1] * width / w)))
        matrix = (header.matrix[0], min(header.matrix[1], canvas[1]))
        smaller = replace(header, grid=(h, width), canvas=canvas, matrix=matrix)

        def folded(one: FullSlice) -> FullSlice:
            def fold(kspace: Tensor) -> Tensor:
                return fft(wrapped(ifft(kspace), width))

            sample = one.sample
            return FullSlice(
                sample.replace(
                    kspace=fold(sample.kspace),
                    mask=torch.ones(1, width, dtype=torch.bool),
                    weights=None, maps=None, acs=None, region=None,
                ),
                fold(one.clean),
            )  # fmt: skip

        return replace(case, header=smaller).mapped(folded)


def wrapped(image: Complex64[Tensor, "coil h w"], width: int) -> Complex64[Tensor, "coil h new"]:
    """Add up what lies a multiple of ``width`` apart; what is within ``width`` stays in place."""
    w = image.shape[-1]
    turns = -(-w // width) | 1  # an odd number, so that the centre stays the centre
    padded = center_fit(image, (turns * width,))
    return padded.unflatten(-1, (turns, width)).sum(-2)
