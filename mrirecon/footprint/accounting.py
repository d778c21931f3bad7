"""Follows the memory that tensors hold while something is computed."""

import sys
import weakref
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mrirecon.footprint.workspace import workspace, written_out

_NOT_OURS = (str(Path(torch.__file__).parent), __file__, "<")  # "<": made by a program


class Accounting(TorchDispatchMode):
    """Sums up the bytes of all storages that live, after every operation as long as it is entered.

    A storage counts from the operation that makes or first uses it until nothing refers to it any
    more: the graph of a gradient keeps what it saves.

    Args:
        held: Tensors that live already.
        native: Whether libraries compute that take memory of their own, as those of the CPU do.

    Attributes:
        peaks: Largest number of bytes at every place: a line of a program and an operation in it.
        sizes: Sizes of all storages so far.
    """

    def __init__(self, held: Iterable[Tensor] = (), native: bool = True) -> None:
        super().__init__()
        self.native = native
        self.peaks: dict[tuple[str, int, str], int] = {}
        self.sizes: set[int] = set()
        self._live = 0
        self._known: dict[int, weakref.ref[UntypedStorage]] = {}
        for tensor in held:
            self._count(tensor)

    @property
    def live(self) -> int:
        """Bytes that live now."""
        return self._live

    @property
    def peak(self) -> int:
        """Largest number of bytes so far."""
        return max(self.peaks.values(), default=self._live)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((result, args, kwargs)):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        name = func.overloadpacket.__name__
        passing = written_out(name, args, result)
        if self.native:
            passing += workspace(name, args, result)
        place = (*_line(), name)
        self.peaks[place] = max(self.peaks.get(place, 0), self._live + passing)
        return result

    def _count(self, tensor: Tensor) -> None:
        """Count the storage of a tensor, unless it is known."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known[key] = weakref.ref(storage, partial(self._forget, key, size))
        self._live += size
        self.sizes.add(size)

    def _forget(self, key: int, size: int, _: object) -> None:
        del self._known[key]
        self._live -= size


def _line() -> tuple[str, int]:
    """Return file and line of the program that called into torch."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_code.co_filename.startswith(_NOT_OURS):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
