"""Results of large operations in memory that was used before; tensors from hosts to devices."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Complex64, Shaped
from torch import Tensor
from torch.utils.data import get_worker_info

from mrirecon.memory_pool import empty

_PART: ContextVar[float] = ContextVar("part", default=1.0)
_NUMPY = {torch.complex64: np.complex64, torch.float32: np.float32}


def at_once(count: int) -> int:
    """Return how many elements of what is done piece by piece are held at a time.

    Args:
        count: Number of elements, unless a small problem stands for a larger one.
    """
    return max(1, round(count * _PART.get()))


@contextmanager
def in_part(part: float) -> Iterator[None]:
    """Make pieces smaller, as a problem is that stands for a larger one.

    Args:
        part: Size of the problem relative to the larger one.
    """
    token = _PART.set(part)
    try:
        yield
    finally:
        _PART.reset(token)


def empty_like(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return uninitialised memory for a tensor like ``x``, contiguous and on the same device."""
    dtype = dtype or x.dtype
    if x.device.type != "cpu" or dtype not in _NUMPY:
        return torch.empty_like(x, dtype=dtype, memory_format=torch.contiguous_format)
    return torch.from_numpy(empty(x.shape, _NUMPY[dtype]))


def masked(
    kspace: Complex64[Tensor, "*b coil h w"], mask: Bool[Tensor, "*b #h #w"]
) -> Complex64[Tensor, "*b coil h w"]:
    """Return ``kspace`` where ``mask`` is True, else zero."""
    if kspace.requires_grad:
        return kspace * mask.unsqueeze(-3)
    return torch.mul(kspace, mask.unsqueeze(-3), out=empty_like(kspace))


def divided(x: Tensor, divisor: Tensor) -> Tensor:
    """Return ``x / divisor`` for a real divisor; complex numbers are divided part by part."""
    if x.requires_grad or divisor.requires_grad:
        return x / divisor
    out = empty_like(x)
    if x.is_complex():
        parts = torch.view_as_real(x.resolve_conj())
        torch.div(parts, divisor.unsqueeze(-1), out=torch.view_as_real(out))
        return out
    return torch.div(x, divisor, out=out)


def sent(
    values: Tensor | Sequence[Any] | float, device: torch.device, dtype: torch.dtype | None = None
) -> Shaped[Tensor, "..."]:
    """Return numbers of the host on a device, for whose work the host does not wait.

    Args:
        values: Numbers of the host, or a tensor of them.
        device: Device where they are wanted.
        dtype: Type of the numbers; None keeps that of ``values``.
    """
    x = torch.as_tensor(values, dtype=dtype)
    if device.type != "cuda" or x.is_cuda:
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)  # from other memory, the copy waits


def stacked(tensors: Sequence[Shaped[Tensor, "..."]]) -> Shaped[Tensor, "n ..."]:
    """Return ``torch.stack(tensors)``; one alone is not copied, unless a worker has to send it.

    What a worker sends is moved to shared memory with all that its storage holds: views of a mapped
    file or of a cache would take everything with them.
    """
    alone = len(tensors) == 1 and get_worker_info() is None
    return tensors[0].unsqueeze(0) if alone else torch.stack(list(tensors))
