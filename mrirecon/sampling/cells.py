"""Cells of the Cartesian grid that samples along a trajectory lie in."""

import torch
from jaxtyping import Bool
from torch import Tensor

from mrirecon.types import Sample


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


def covered(hit: Bool[Tensor, "*b h w"]) -> Bool[Tensor, "*b h w"]:
    """Mark cells that hold a sample or have one right beside them, along either axis."""
    padded = torch.nn.functional.pad(hit.float(), (1, 1, 1, 1))
    beside = (padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
              + padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1])  # fmt: skip
    return hit | (beside > 0)
