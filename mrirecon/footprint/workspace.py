"""Memory that libraries take within an operation on the CPU, where PyTorch does not tell of it."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

_SORTED = ("_fft_c2c", "_fft_r2c", "_fft_c2r")
"""Operations that write their result twice: as the library orders it, then sorted."""
_READING_MARKS = ("mm", "addmm", "mv", "dot", "vdot", "clone", "copy_", "_to_copy", "_conj")
"""Operations that take a conjugate as it is; it is only a mark on a tensor until it is used."""
LANES = 16
"""Channels that oneDNN computes together; others are filled up to them."""


def workspace(name: str, arguments: Sequence[Any], result: Any) -> int:
    """Return the bytes that an operation takes beyond arguments and result.

    Convolutions copy what they read and write into blocks of channels; a kernel of one pixel is a
    product of matrices, whose gradient copies one of them. Measured with torch 2.4 to 2.9 on x86.

    Args:
        name: Name of the operation.
        arguments: Arguments of the operation.
        result: Result of the operation.
    """
    if name in _SORTED:
        return _size(result)
    if name == "convolution":
        x, weight = arguments[:2]
        if weight[0, 0].numel() == 1:
            return 0
        read, written = _blocked(x), _blocked(result)
        return max(read + written - _size(result), written)
    if name == "convolution_backward":
        gradient, x, weight = arguments[:3]
        if weight[0, 0].numel() == 1:
            return max(_size(gradient), _size(x))
        return _blocked(gradient) + _blocked(x)
    return 0


def written_out(name: str, arguments: Sequence[Any], result: Any) -> int:
    """Return the bytes of the conjugates that an operation, on any device, writes out for itself.

    Args:
        name: Name of the operation.
        arguments: Arguments of the operation.
        result: Result of the operation; one that is a view of an argument writes nothing.
    """
    marked = [x for x in arguments if isinstance(x, Tensor) and x.is_conj()]
    if not marked or name in _READING_MARKS:
        return 0
    if isinstance(result, Tensor) and any(_same(x, result) for x in marked):
        return 0
    return sum(map(_size, marked))


def _same(x: Tensor, y: Tensor) -> bool:
    return x.untyped_storage()._cdata == y.untyped_storage()._cdata


def _size(x: Tensor) -> int:
    return x.numel() * x.element_size()


def _blocked(x: Tensor) -> int:
    channels = x.shape[1]
    return _size(x) // channels * (-(-channels // LANES) * LANES)
