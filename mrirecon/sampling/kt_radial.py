"""Pseudo-radial sampling of the Cartesian grid that turns from frame to frame."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from mrirecon.errors import ConfigError
from mrirecon.sampling.base import DrawnMask, Shape
from mrirecon.sampling.calibration import center_slice, central_block
from mrirecon.sampling.kt_pattern import GOLDEN_RATIO, KtPattern


@dataclass(frozen=True)
class KtRadial(KtPattern):
    r"""Points of the Cartesian grid along diameters, spread evenly and turned from frame to frame.

    Of :math:`N` diameters frame :math:`t` turns by :math:`\gamma t \bmod 1` of the angle
    :math:`\pi/N` between them, :math:`\gamma = (\sqrt5 - 1)/2`. The last diameters are cut short so
    that the acceleration is met exactly. Where the first one lies is drawn for each scan.

    Attributes:
        acceleration: All positions of the rectangle divided by those that a frame keeps.
        acs: Side of the central square that every frame keeps, of these; the diameters sample a
            small one anyway.
    """

    def of_frame(self, shape: Shape, rng: np.random.RandomState, frame: int) -> DrawnMask:
        h, w = shape
        budget = round(h * w / self.acceleration)
        rows, columns = (center_slice(n, min(self.acs, n)) for n in shape)
        mask = np.zeros(shape, bool)
        mask[rows, columns] = True
        if mask.sum() > budget or budget < 1:
            raise ConfigError(
                f"acceleration={self.acceleration:g} of a {shape} k-space keeps {budget} positions "
                f"in each frame, fewer than the centre of {int(mask.sum())} has; choose a lower "
                "acceleration or a smaller acs"
            )
        turn = rng.uniform() + frame * GOLDEN_RATIO
        _fill(mask, budget, turn)
        return DrawnMask(torch.from_numpy(mask), central_block(mask), float(self.acceleration))


def _fill(mask: Bool[np.ndarray, "h w"], budget: int, turn: float) -> None:
    """Keep diameters until ``budget`` positions are kept, the last of them cut short."""
    h, w = mask.shape
    few, many = 0, 1  # of so many diameters all fit, of so many not
    while many < 4 * max(h, w) and _with(mask, many, turn).sum() <= budget:
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        fits = _with(mask, middle, turn).sum() <= budget
        few, many = (middle, many) if fits else (few, middle)
    mask |= _with(mask, few, turn)
    # further ones midway between those, each from the centre on; then all other positions
    y, x = np.mgrid[:h, :w]
    outwards = np.argsort(np.hypot((y - h // 2) / h, (x - w // 2) / w), axis=None, kind="stable")
    radii = np.sort(np.linspace(-1, 1, 2 * max(h, w) + 1), kind="stable")
    further = _diameters((h, w), max(few, 1), turn + 0.5, radii[np.argsort(np.abs(radii))])
    order = np.concatenate([further, outwards])
    order = order[~mask.flat[order]]
    _, first = np.unique(order, return_index=True)
    mask.flat[order[np.sort(first)][: budget - mask.sum()]] = True


def _with(mask: Bool[np.ndarray, "h w"], diameters: int, turn: float) -> Bool[np.ndarray, "h w"]:
    found = mask.copy()
    h, w = mask.shape
    if diameters:
        radii = np.linspace(-1, 1, 2 * max(h, w) + 1)
        found.flat[_diameters((h, w), diameters, turn, radii)] = True
    return found


def _diameters(
    shape: Shape, count: int, turn: float, radii: Float[np.ndarray, "radius"]
) -> Int[np.ndarray, "point"]:
    """Return the positions at ``radii`` of diameters of the ellipse that k-space holds."""
    h, w = shape
    angles = math.pi * (np.arange(count)[:, None] + turn % 1) / count
    rows = np.rint(radii * np.cos(angles) * (h / 2)).astype(int) + h // 2
    columns = np.rint(radii * np.sin(angles) * (w / 2)).astype(int) + w // 2
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    return rows[inside] * w + columns[inside]
