"""A lower resolution than nominally."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from torch import Tensor

from mrirecon.image import center_fit
from mrirecon.robustness.case import Case, FullSlice
from mrirecon.robustness.shift import Level, Shift, number

SMALLEST = 32
"""Samples along an axis that are left at least."""


@dataclass(frozen=True)
class SmallerMatrix(Shift):
    """Measures the centre of k-space only: larger pixels over the same field of view.

    Attributes:
        levels: Shares by which the matrix is smaller along both axes.
    """

    levels: Sequence[Level] = (0.25, 0.5)
    title: ClassVar[str] = "smaller matrix"
    axis: ClassVar[str] = "share of the matrix that is missing"
    about: ClassVar[str] = (
        "Only the centre of k-space is measured: larger pixels; so has the reference."
    )

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:  # noqa: ARG002
        share = number(level, self.title, 0.0, 0.9)
        header = case.header
        height, width = (max(min(n, SMALLEST), 2 * round(n * (1 - share) / 2)) for n in header.grid)
        down, across = height / header.grid[0], width / header.grid[1]
        canvas = (round(header.canvas[0] * down), round(header.canvas[1] * across))
        matrix = (
            min(canvas[0], round(header.matrix[0] * down)),
            min(canvas[1], round(header.matrix[1] * across)),
        )
        voxel = header.voxel
        if voxel is not None:
            voxel = (voxel[0] / down, voxel[1] / across, voxel[2])
        smaller = replace(header, grid=(height, width), canvas=canvas, matrix=matrix, voxel=voxel)
        gain = (down * across) ** 0.5  # brightness stays

        def cut(one: FullSlice) -> FullSlice:
            def center(kspace: Tensor) -> Tensor:
                return center_fit(kspace, (height, width)) * gain

            sample, (h, w) = one.sample, header.grid
            mask = center_fit(sample.mask.expand(h, w), (height, width))
            weights = sample.weights
            if weights is not None:
                weights = center_fit(weights.expand(h, w), (height, width))
            return FullSlice(
                sample.replace(
                    kspace=center(sample.kspace),
                    mask=mask[:1] if mask.equal(mask[:1].expand_as(mask)) else mask,
                    weights=weights, maps=None, acs=None, region=None,
                    noise=None if sample.noise is None else sample.noise * gain,
                ),
                center(one.clean),
            )  # fmt: skip

        return replace(case, header=smaller).mapped(cut)
