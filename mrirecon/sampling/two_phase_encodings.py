"""Patterns for scans with two phase-encoding axes (3-D Cartesian, split along the readout)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from mrirecon.errors import ConfigError
from mrirecon.sampling.base import DrawnMask, SamplingPattern, Shape
from mrirecon.sampling.calibration import center_slice

STEEPEST = 20
"""Slope beyond which hardly anything but the centre of k-space would be left."""


@dataclass(frozen=True)
class GridPattern(SamplingPattern):
    """A fully sampled central block plus scattered positions.

    Attributes:
        acceleration: All positions of the rectangle divided by the kept ones.
        acs: Size ``(h, w)`` of the fully sampled centre.
        elliptical: Leave out the corners of k-space.
    """

    acceleration: float = 4.0
    acs: Shape = (24, 24)
    elliptical: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.acceleration < math.inf:
            raise ValueError(f"acceleration must be at least 1, got {self.acceleration}")
        if min(self.acs) < 1:
            raise ValueError(f"acs must be two positive numbers, got {self.acs}")

    def _regions(self, shape: Shape) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
        """Return the central block and the region in which to scatter."""
        if any(a > n for a, n in zip(self.acs, shape, strict=True)):
            raise ConfigError(f"acs {self.acs} is larger than the k-space of {shape}")
        center = np.zeros(shape, bool)
        rows, columns = (center_slice(n, a) for n, a in zip(shape, self.acs, strict=True))
        center[rows, columns] = True
        inside = _radius(shape) <= 1 if self.elliptical else np.ones(shape, bool)
        return center, inside & ~center

    def _budget(self, shape: Shape) -> int:
        """Return how many positions to scatter; the rest of the budget is the centre.

        Raises:
            ConfigError: When the acceleration cannot be met.
        """
        center, region = self._regions(shape)
        wanted = round(shape[0] * shape[1] / self.acceleration)
        if self.acceleration > 1 and center.all():
            raise ConfigError(f"acs {self.acs} is all of the {shape} k-space: that is R = 1")
        if not center.sum() <= wanted <= center.sum() + region.sum():
            low = shape[0] * shape[1] / (center.sum() + region.sum())
            high = shape[0] * shape[1] / center.sum()
            raise ConfigError(
                f"acceleration {self.acceleration:g} of a {shape} k-space with acs {self.acs} is "
                f"impossible; choose between {low:.2f} and {high:.2f}, or change acs or elliptical"
            )
        return int(wanted - center.sum())


@dataclass(frozen=True)
class Gaussian2d(GridPattern):
    """Keep positions at random with Gaussian density around the centre.

    Attributes:
        width: Standard deviation as a share of half the k-space extent.
    """

    width: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.width < math.inf:
            raise ValueError(f"width must be positive, got {self.width}")

    def __call__(self, shape: Shape, rng: np.random.RandomState) -> DrawnMask:
        center, region = self._regions(shape)
        budget = self._budget(shape)
        # The largest of log(density) + Gumbel noise: weighted sampling without replacement
        # (Efraimidis and Spirakis, Inf Process Lett 97:181, 2006), so the count is exact.
        score = -0.5 * (_radius(shape) / self.width) ** 2 + rng.gumbel(size=shape)
        score[~region] = -np.inf
        mask = center.copy()
        mask.flat[np.argsort(-score, axis=None)[:budget]] = True
        return DrawnMask(torch.from_numpy(mask), self.acs, self.acceleration)


@dataclass(frozen=True)
class PoissonDisc(GridPattern):
    """Keep positions at random but never close together, more densely around the centre.

    The least distance grows linearly with the distance from the centre (variable-density Poisson
    disc; Lustig and Pauly, Magn Reson Med 64:457, 2010); its scale is found by bisection and the
    surplus of about one per cent is dropped at random, so that the acceleration is met exactly.

    Attributes:
        slope: Distance at the edge of k-space divided by the distance at its centre, less one.
    """

    slope: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.slope <= STEEPEST:
            raise ValueError(f"slope must lie between 0 and {STEEPEST}, got {self.slope}")

    def __call__(self, shape: Shape, rng: np.random.RandomState) -> DrawnMask:
        center, region = self._regions(shape)
        budget = self._budget(shape)
        order = rng.permutation(np.flatnonzero(region))
        # The jitter breaks up the lattices that distances of one or two pixels would form.
        growth = (1 + self.slope * _radius(shape)) * rng.uniform(0.75, 1.25, size=shape)
        kept, low, high = order, 0.0, 2.0 * self.acceleration**0.5
        for _ in range(10):
            distance = (low + high) / 2
            darts = _throw_darts(order, distance * growth, budget + budget // 20 + 1)
            low, high = (distance, high) if len(darts) >= budget else (low, distance)
            kept = darts if len(darts) >= budget else kept
            if 0 <= len(kept) - budget <= budget // 100:
                break
        mask = center.copy()
        mask.flat[rng.permutation(kept)[:budget]] = True
        return DrawnMask(torch.from_numpy(mask), self.acs, self.acceleration)


def _throw_darts(order: np.ndarray, distance: Float[np.ndarray, "h w"], limit: int) -> np.ndarray:
    """Accept positions in the given order unless an accepted one is too near; stop at ``limit``."""
    h, w = distance.shape
    margin = int(np.ceil(distance.max()))
    width = w + 2 * margin
    free = np.ones((h + 2 * margin) * width, bool)
    # Distances are rounded to a quarter of a pixel, so that a few footprints serve them all.
    level = np.rint(4 * distance).astype(int).ravel()
    dy, dx = np.mgrid[-margin : margin + 1, -margin : margin + 1]
    footprints = {
        n: (dy * width + dx)[dy**2 + dx**2 < max(n / 4, 1e-3) ** 2] for n in np.unique(level)
    }
    home = (order // w + margin) * width + order % w + margin
    kept: list[int] = []
    for first in range(0, len(order), 512):  # most of a late chunk is taken: filter it at once
        chunk = slice(first, first + 512)
        alive = np.flatnonzero(free[home[chunk]]) + first
        for position, place in zip(order[alive].tolist(), home[alive].tolist(), strict=True):
            if free[place]:
                free[place + footprints[level[position]]] = False
                kept.append(position)
                if len(kept) >= limit:
                    return np.array(kept)
    return np.array(kept, dtype=int)


def _radius(shape: Shape) -> Float[np.ndarray, "h w"]:
    """Distance from the centre ``n // 2`` as a share of half the extent."""
    y, x = ((np.arange(n) - n // 2) / max(n / 2, 1) for n in shape)
    return np.hypot(y[:, None], x[None, :])
