"""Stacks of slices: parallel, one behind the other, at equal distances."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from mrirecon.geometry import STRAIGHT

TURNED = 1e-3
"""Slices whose directions differ by more have another orientation."""
SAME = 0.01
"""mm within which two slices have the same position."""
UNEVEN = 0.01
"""Part of the slice distance by which distances within a stack may differ."""
APART = 1.5
"""Stacks lie apart when the gap between them is so many times the slice distance."""
ENOUGH = 3
"""Stacks of so many slices each are told apart without such a gap."""
Slices = Int64[np.ndarray, "_"]


def divide(
    directions: Float64[np.ndarray, "slice axis 3"], positions: Float64[np.ndarray, "slice 3"]
) -> list[Slices] | None:
    """Divide slices into stacks, each in the order of its positions.

    Slices that cannot clearly be divided, for instance at uneven distances, stay together.

    Args:
        directions: Directions of readout, phase encoding and slice.
        positions: Positions of the slices in mm.

    Returns:
        The numbers of the slices of each stack; None when several have the same position in a way
        that does not make equal stacks.
    """
    stacks: list[Slices] = []
    flat = directions.reshape(len(directions), 9)
    for parallel in _clusters(flat, TURNED):
        normal = directions[parallel[0], 2]
        found = _parallel_stacks(parallel, positions[parallel], normal / np.linalg.norm(normal))
        if found is None:
            return None
        stacks += found
    return stacks


def _parallel_stacks(
    slices: Slices, positions: Float64[np.ndarray, "slice 3"], normal: Float64[np.ndarray, "3"]
) -> list[Slices] | None:
    """Divide slices of one orientation; the numbers of the slices are ``slices``."""
    along = positions @ normal
    across = positions - along[:, None] * normal
    together = [slices[np.argsort(along, kind="stable")]]
    columns = _clusters(across, STRAIGHT)
    parts: list[Slices] = []
    for column in columns:
        layers = _layers(column, along)
        if layers is None:
            return None
        for layer in layers:
            cuts = _runs(along[layer])
            if not _clear(along[layer], cuts):
                return together
            parts += np.split(layer, cuts)
    if len(parts) > max(2, len(slices) // 2):
        return together
    parts.sort(key=lambda part: (float(along[part[0]]), int(part[0])))
    return [slices[part] for part in parts]


def _clusters(points: np.ndarray, limit: float) -> list[Slices]:
    """Group points within ``limit`` of the first of a group, along every axis."""
    left = np.arange(len(points))
    groups = []
    while len(left):
        near = (np.abs(points[left] - points[left[0]]) <= limit).all(axis=1)
        groups.append(left[near])
        left = left[~near]
    return groups


def _layers(column: Slices, along: np.ndarray) -> list[Slices] | None:
    """Sort slices by position; those that repeat the positions of others are layers of their own.

    None when some positions come more often than others, or all slices have the same.
    """
    ordered = column[np.argsort(along[column], kind="stable")]
    place = np.cumsum(np.diff(along[ordered], prepend=along[ordered[0]]) > SAME)
    counts = np.bincount(place)
    if (counts != counts[0]).any() or (len(counts) == 1 and counts[0] > 1):
        return None
    return list(ordered.reshape(-1, counts[0]).T)


def _runs(along: Float64[np.ndarray, "slice"]) -> list[int]:
    """Return where sorted positions are best cut into runs of equal distances.

    The fewest runs are best; among as many, those of the smallest extent.
    """
    count = len(along)
    unknown: tuple[int, float, list[int]] = (count + 1, 0.0, [])
    best = [unknown] * (count + 1)
    best[0] = (0, 0.0, [])
    for start in range(count):
        runs, extent, cuts = best[start]
        here = [*cuts, start] if start else cuts
        for stop in _stops(along, start):
            candidate = (runs + 1, extent + float(along[stop - 1] - along[start]), here)
            if candidate[:2] < best[stop][:2]:
                best[stop] = candidate
    return best[count][2]


def _stops(along: np.ndarray, start: int) -> Iterator[int]:
    """Yield the ends of the runs of equal distances from ``start`` on."""
    yield start + 1
    low, high = np.inf, 0.0
    for stop, (before, after) in enumerate(pairwise(along[start:]), start + 2):
        low, high = min(low, after - before), max(high, after - before)
        if high - low > UNEVEN * high:
            return
        yield stop


def _clear(along: Float64[np.ndarray, "slice"], cuts: list[int]) -> bool:
    """Tell whether runs are clearly apart, so that uneven distances are not taken for groups."""
    for before, after in pairwise(np.split(along, cuts)):
        steps = [float(np.diff(run).max()) for run in (before, after) if len(run) > 1]
        gap = float(after[0] - before[-1])
        if min(len(before), len(after)) < ENOUGH and not gap > APART * max(steps, default=gap):
            return False
    return True
