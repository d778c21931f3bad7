"""A slice together with the slices around it."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.errors import ShapeError
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.types import Sample

FIELDS = ("kspace", "mask", "weights", "trajectory", "areas", "maps", "calibration", "acs")


def adjacent_slices(sample: Sample, context: int) -> Sample:
    """Return what was measured of the slices ``-context … context`` around each member.

    Args:
        sample: One slice or a batch, with its neighbours if ``context`` is not 0.
        context: Number of neighbours on each side.

    Returns:
        A Sample with one more batch axis, the last one, along which the slices lie in the order of
        the stack. It has no more than the measurement: no target, no scale, no key.

    Raises:
        ShapeError: When there are no neighbours or too few, or when they differ in form.
    """
    near = sample.neighbors
    batch = sample.kspace.ndim - 3
    if context and (
        near is None or near.kspace.shape[:-3] != (*sample.kspace.shape[:batch], 2 * context)
    ):
        found = "none" if near is None else f"a batch of {tuple(near.kspace.shape[:-3])}"
        raise ShapeError(
            f"a context of {context} needs {2 * context} slices around every slice, found {found} "
            "in sample.neighbors; let the data come with as many, or set model.context=0"
        )
    values: dict[str, Tensor] = {}
    for name in FIELDS:
        center = getattr(sample, name)
        others = getattr(near, name) if near is not None and context else None
        if center is None:
            continue
        if not context:
            values[name] = center.unsqueeze(batch)
            continue
        if others is None:
            raise ShapeError(
                f"the slice has {name}, the slices around it have none; prepare both alike"
            )
        values[name] = _joined(name, center.unsqueeze(batch), others, batch, context)
    kspace, mask = values.pop("kspace"), values.pop("mask")
    changes: dict[str, Any] = {**values, "image_grid": sample.image_grid}
    return replace(Sample(kspace, mask), **changes)


def scale_of_middle(sample: Sample, slices: Sample) -> Float32[Tensor, "*b slice 1 1"]:
    """Return what to divide all slices of a window by: the brightness of the one in the middle."""
    return data_scale(sample).unsqueeze(-3).expand(*slices.kspace.shape[:-3], 1, 1)


def _joined(name: str, center: Tensor, near: Tensor, axis: int, context: int) -> Tensor:
    if name in ("mask", "weights") and center.shape[axis + 1 :] != near.shape[axis + 1 :]:
        # a row stands for all rows
        h, w = (max(a, b) for a, b in zip(center.shape[-2:], near.shape[-2:], strict=True))
        center, near = (x.expand(*x.shape[:-2], h, w) for x in (center, near))
    if center.shape[axis + 1 :] != near.shape[axis + 1 :]:
        raise ShapeError(
            f"{name} of the slice and of those around it differ in shape: "
            f"{tuple(center.shape[axis + 1 :])} and {tuple(near.shape[axis + 1 :])}"
        )
    before, after = near.split(context, axis)
    return torch.cat([before, center, after], axis)
