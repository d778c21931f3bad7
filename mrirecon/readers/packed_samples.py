"""Samples of scans that mrirecon has packed: their fields as they are stored, and back."""

import zlib

import numpy as np
import torch
from torch import Tensor

from mrirecon.types import Sample


def as_tensor(values: np.ndarray) -> Tensor:
    """Return a field of a Sample as stored; half precision becomes complex32."""
    tensor = torch.from_numpy(values)
    return torch.view_as_complex(tensor) if tensor.dtype == torch.float16 else tensor


def as_array(values: Tensor) -> np.ndarray:
    """Return what is stored of a field of a Sample; undoes :func:`as_tensor`."""
    if values.dtype == torch.complex32:
        values = torch.view_as_real(values)
    return values.numpy()


def checksum(sample: Sample) -> int:
    """Return the CRC-32 of all fields of a Sample as stored, in the order of their names."""
    total = 0
    for _, values in sorted(sample.tensors().items()):
        total = zlib.crc32(as_array(values).tobytes(), total)
    return total
