"""k-space that is in memory already, as a Scan."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mrirecon.errors import ShapeError
from mrirecon.scan import Scan, ScanHeader
from mrirecon.types import Sample


class MemoryScan(Scan):
    """A Scan of an array: centred k-space of an orthonormal Fourier transform.

    Args:
        kspace: Complex array of shape ``(coil, h, w)`` or ``(slice, coil, h, w)``: readout ``h``,
            phase encoding ``w``, k = 0 at ``n // 2``. Samples that are zero in all coils are taken
            for not measured, unless the whole slice is zero, which is taken to be sampled as the
            others are; lines that were measured completely become a line pattern.
        name: Name of the scan; seeds masks.

    Raises:
        ShapeError: When the array has another shape, or is not complex.
    """

    def __init__(self, kspace: np.ndarray | Tensor, name: str = "array") -> None:
        self.kspace = as_kspace(kspace)
        slices, coils, h, w = self.kspace.shape
        self.header = ScanHeader(
            name=name, format="array", slices=slices, coils=coils, grid=(h, w), canvas=(h, w),
            matrix=(h, w),
        )  # fmt: skip

    def _read(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.header.name} has Samples 0..{len(self) - 1}, not {index}")
        kspace = self.kspace[index]
        mask = (kspace != 0).any(0)
        if not mask.any():  # an empty slice tells nothing about the sampling
            mask = (self.kspace != 0).any(1).any(0)
        lines = mask.any(0, keepdim=True)
        mask = lines if mask.equal(lines.expand_as(mask)) else mask
        return Sample(kspace=kspace, mask=mask, key=(self.header.name, index))


class SampleScan(Scan):
    """A Scan of one Sample, which stays as it is.

    Args:
        sample: Sample of one slice.
    """

    def __init__(self, sample: Sample) -> None:
        if sample.kspace.ndim != 3:
            raise ShapeError(
                "expected the Sample of one slice, with k-space (coil, h, w); got a batch of "
                f"shape {tuple(sample.kspace.shape)}"
            )
        self.sample = sample
        coils, h, w = sample.kspace.shape
        name = str(sample.key[0]) if sample.key else "sample"
        self.header = ScanHeader(
            name=name, format="Sample", slices=1, coils=coils, grid=(h, w), canvas=(h, w),
            matrix=(h, w),
        )  # fmt: skip

    def _read(self, index: int) -> Sample:
        if index != 0:
            raise IndexError(f"{self.header.name} has one Sample, not one of index {index}")
        return self.sample


def as_kspace(values: Any) -> Tensor:
    """Return an array or tensor of k-space as complex64 ``slice coil h w``.

    Raises:
        ShapeError: When it has another shape, or is not complex.
    """
    tensor, found = values, type(values).__name__
    if isinstance(values, np.ndarray):
        found = f"{values.shape} {values.dtype}"
        if values.dtype.kind == "c":  # also of the other byte order, and in double precision
            tensor = torch.from_numpy(np.ascontiguousarray(values, np.complex64))
    elif isinstance(values, Tensor):
        found = f"{tuple(tensor.shape)} {tensor.dtype}".replace("torch.", "")
    whole = isinstance(tensor, Tensor) and tensor.is_complex() and tensor.numel()
    if whole and tensor.ndim in (3, 4):
        return tensor.reshape(-1, *tensor.shape[-3:]).to(torch.complex64)
    raise ShapeError(
        "k-space: expected a complex array of shape (coil, h, w) or (slice, coil, h, w), readout "
        f"h and phase encoding w; got {found}"
    )
