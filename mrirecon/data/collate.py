"""Stack Samples into a batch."""

from collections.abc import Sequence
from dataclasses import fields

from torch import Tensor

from mrirecon.buffers import stacked
from mrirecon.errors import ShapeError
from mrirecon.types import Sample


def collate(samples: Sequence[Sample]) -> Sample:
    """Add a leading batch axis to every tensor of equally shaped Samples.

    A line mask (one row) and a full mask may meet in one batch; the row is repeated.

    Raises:
        ShapeError: When a field differs in shape, or is missing from some members.
    """
    first = samples[0]
    grids = {sample.grid for sample in samples if not sample.cartesian}
    if len(grids) > 1:
        raise ShapeError(
            f"cannot batch Samples along trajectories for images of several sizes {sorted(grids)}; "
            "set data.batch_size=1"
        )
    neighbors = [sample.neighbors for sample in samples if sample.neighbors is not None]
    if 0 < len(neighbors) < len(samples):
        lonely = [sample.key for sample in samples if sample.neighbors is None]
        raise ShapeError(f"cannot batch: {lonely} have no neighbors, the others do")
    targets = [sample.target is not None for sample in samples]
    tensors: dict[str, Tensor | None] = {}
    for field in fields(Sample):
        values = [getattr(sample, field.name) for sample in samples]
        present = [isinstance(value, Tensor) for value in values]
        if not any(present):
            continue
        if field.name == "peak" and not all(present) and not any(targets):
            tensors["peak"] = None  # that of a reference which only some will have
            continue
        if not all(present):
            missing = [s.key for s, p in zip(samples, present, strict=True) if not p]
            raise ShapeError(
                f"cannot batch: {missing} have no {field.name}, the others do; "
                "set data.batch_size=1"
            )
        if field.name == "mask" and len({v.shape for v in values}) > 1:
            values = [v.expand(*s.kspace.shape[-2:]) for v, s in zip(values, samples, strict=True)]
        if len({v.shape for v in values}) > 1:
            shapes = ", ".join(
                f"{s.key}: {tuple(v.shape)}" for s, v in zip(samples, values, strict=True)
            )
            raise ShapeError(
                f"cannot batch Samples whose {field.name} differ in shape ({shapes}); "
                "scans of one format and size are expected to agree; set data.batch_size=1"
            )
        tensors[field.name] = stacked(values)
    frames = tuple(sample.frame for sample in samples)
    seeds = tuple(sample.seed for sample in samples if isinstance(sample.seed, int))
    return first.replace(
        **tensors,
        neighbors=collate(neighbors) if neighbors else None,
        key=tuple(sample.key for sample in samples),
        frame=None if None in frames else frames,
        seed=seeds if len(seeds) == len(samples) else None,
    )
