"""A smaller problem of the same kind."""

from typing import Any

import torch
from torch import Tensor

from mrirecon.image import center_fit
from mrirecon.types import Sample

Grid = tuple[int, int]


def shrunk(sample: Sample, grid: Grid) -> Sample:
    """Return the centre of k-space, with all that belongs to it, for an image of this grid.

    Patterns, coils, the fully sampled centre and a separate reference scan stay as they are.

    Args:
        sample: Batch of slices of any scan.
        grid: Size of the image, nowhere larger than that of the batch.
    """
    old = sample.grid
    if tuple(grid) == tuple(old):
        return sample
    changes = _measured(sample, grid) if sample.cartesian else _fewer_readouts(sample, grid)
    if sample.maps is not None:
        changes["maps"] = center_fit(sample.maps, grid)
    if sample.target is not None:
        y, x = sample.target.shape[-2:]
        changes["target"] = center_fit(sample.target, scaled((y, x), old, grid))
    if sample.calibration is not None:
        changes["calibration"] = center_fit(
            sample.calibration, _at_most(sample.calibration.shape[-2:], grid)
        )
    if sample.acs is not None:
        changes["acs"] = sample.acs.minimum(sample.acs.new_tensor(grid))
    if sample.region is not None:
        share = torch.tensor(grid) / torch.tensor(old)
        changes["region"] = (sample.region * share.to(sample.region.device)).long().clamp_min(1)
    if sample.neighbors is not None:
        changes["neighbors"] = shrunk(sample.neighbors, grid)
    return sample.replace(**changes)


def with_coils(sample: Sample, coils: int) -> Sample:
    """Return the batch with the first coils only."""
    fields = {"kspace": sample.kspace, "maps": sample.maps, "calibration": sample.calibration}
    changes = {name: x if x is None else x[..., :coils, :, :] for name, x in fields.items()}
    near = sample.neighbors and with_coils(sample.neighbors, coils)
    return sample.replace(**changes, neighbors=near)


def scaled(size: Grid, old: Grid, new: Grid) -> Grid:
    """Return what becomes of a size where a grid gets a new one, at least one pixel."""
    h, w = (max(1, round(n * b / a)) for n, a, b in zip(size, old, new, strict=True))
    return h, w


def _measured(sample: Sample, grid: Grid) -> dict[str, Any]:
    fields = {"kspace": sample.kspace, "mask": sample.mask, "weights": sample.weights}
    return {name: None if x is None else _cut(x, grid) for name, x in fields.items()}


def _cut(x: Tensor, grid: Grid) -> Tensor:
    """Keep the centre; an axis of one entry, that broadcasts, stays as it is."""
    return center_fit(x, _at_most(x.shape[-2:], grid))


def _at_most(shape: torch.Size, grid: Grid) -> list[int]:
    return [min(old, new) for old, new in zip(shape, grid, strict=True)]


def _fewer_readouts(sample: Sample, grid: Grid) -> dict[str, Any]:
    """Leave out samples and readouts in proportion to the image, and scale the trajectory."""
    assert sample.trajectory is not None
    h, w = sample.kspace.shape[-2:]
    fewer = scaled((h, w), sample.grid, grid)
    rows, columns = (
        torch.linspace(0, old - 1, new, device=sample.kspace.device).round().long()
        for old, new in zip((h, w), fewer, strict=True)
    )

    def chosen(x: Tensor, last: int) -> Tensor:
        for axis, index in ((x.ndim - last - 2, rows), (x.ndim - last - 1, columns)):
            x = x if x.shape[axis] == 1 else x.index_select(axis, index)
        return x

    share = torch.tensor(grid) / torch.tensor(sample.grid)
    return {
        "kspace": chosen(sample.kspace, 0),
        "mask": chosen(sample.mask, 0),
        "weights": None if sample.weights is None else chosen(sample.weights, 0),
        "trajectory": chosen(sample.trajectory, 1) * share.to(sample.trajectory),
        "image_grid": tuple(grid),
    }
