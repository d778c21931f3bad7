"""Unmeasured positions of k-space that lie between measured ones and can be interpolated."""

import numpy as np
from jaxtyping import Bool, Float64, Int64


def fillable(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Mark the convex hull of the measured positions, measured ones included.

    The sides that partial Fourier left out and the corners of an elliptical pattern lie outside:
    no interpolation reaches them. Where the next line of a regular raster would fall off the grid,
    the hull is extended to the border, so that an offset raster covers the grid.
    """
    h, w = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    region = np.zeros_like(mask)
    if not len(rows):
        return region
    left = mask[rows].argmax(1)
    right = w - 1 - mask[rows, ::-1].argmax(1)
    step_h, step_w = _spacing(rows), _spacing(columns)
    left = np.where(left < step_w, 0, left)
    right = np.where(right >= w - step_w, w - 1, right)
    rows[0] = 0 if rows[0] < step_h else rows[0]
    rows[-1] = h - 1 if rows[-1] >= h - step_h else rows[-1]
    every = np.arange(rows[0], rows[-1] + 1)
    first = np.ceil(_lower_envelope(rows, left, every) - 1e-9)
    last = np.floor(-_lower_envelope(rows, -right, every) + 1e-9)
    position = np.arange(w)
    region[every] = (position >= first[:, None]) & (position <= last[:, None])
    return region | mask


def _spacing(positions: Int64[np.ndarray, " n"]) -> int:
    """Return the usual distance of neighbours that do not touch; 1 when all touch."""
    steps = np.diff(positions)
    steps = steps[steps > 1]
    return int(np.median(steps)) if len(steps) else 1


def _lower_envelope(
    x: Int64[np.ndarray, " n"], y: Int64[np.ndarray, " n"], at: Int64[np.ndarray, " m"]
) -> Float64[np.ndarray, " m"]:
    """Evaluate the largest convex function below the points, whose ``x`` increase."""
    chain: list[tuple[int, int]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return np.interp(at, [p[0] for p in chain], [p[1] for p in chain])


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
