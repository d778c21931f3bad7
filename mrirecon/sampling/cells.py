"""Cells of the Cartesian grid that samples along a trajectory lie in."""

import torch
from jaxtyping import Bool
from torch import Tensor

from mrirecon.sampling.calibration import center_slice
from mrirecon.types import Sample

DENSE = 0.9
"""Part of the cells of a square that must hold a sample."""


def cells(sample: Sample) -> Bool[Tensor, "*b hi wi"]:
    """Mark the cells of the Cartesian grid that hold a measured sample."""
    h, w = sample.grid
    if sample.trajectory is None:
        return sample.mask.expand(*sample.kspace.shape[:-3], h, w)
    center = torch.tensor([h // 2, w // 2], device=sample.trajectory.device)
    index = sample.trajectory.round().long() + center
    inside = ((index >= 0) & (index < torch.tensor([h, w], device=index.device))).all(-1)
    counted = inside & sample.mask
    place = torch.where(counted, index[..., 0] * w + index[..., 1], h * w).flatten(-2)
    hit = torch.zeros(*place.shape[:-1], h * w + 1, dtype=torch.bool, device=place.device)
    hit = hit.scatter(-1, place, True)
    return hit[..., :-1].unflatten(-1, (h, w))


def dense_width(hit: Bool[Tensor, "h w"]) -> int:
    """Return the width of the largest centred square of which nearly all cells hold a sample.

    Spokes leave single cells free long before their distance is two cells, which does not hurt what
    is found in the square; of every other line no square is wide.
    """
    h, w = hit.shape
    counts = [int(hit[center_slice(h, n), center_slice(w, n)].sum()) for n in range(min(h, w) + 1)]
    return max(n for n, count in enumerate(counts) if count >= DENSE * n * n)
