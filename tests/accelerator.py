"""A device that is none: what breaks on a GPU, found on a machine without one.

Inside :class:`Accelerator` tensors that were moved to :data:`DEVICE` say that they are there
(``device``, ``is_cuda``) while their numbers stay where they are. Whatever mixes them with tensors
of the host raises :class:`WrongDeviceError`; so do NumPy and generators of the host. Indices on the
host, which PyTorch would copy for each use, count as mixing, too. What the host would have to wait
for is listed in ``waits``.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("cuda", 0)
WAITING = (
    "_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim",
    "_linalg_check_errors", "bincount", "repeat_interleave",
)  # fmt: skip
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")
FILLING = ("tensor", "as_tensor", "asarray", "new_tensor")
_ANSWERS = {"device": DEVICE, "is_cuda": True, "is_cpu": False}


class WrongDeviceError(AssertionError):
    """An operation that fails on a GPU, or would copy between host and device unasked."""


class Accelerator:
    """Pretends that there is a :data:`DEVICE` as long as it is entered.

    Attributes:
        waits: What the host waited for: the operation and the line that called it.
    """

    def __init__(self) -> None:
        self.waits: list[str] = []
        self._held: dict[int, StorageWeakRef] = {}
        self._pinned: list[StorageWeakRef] = []
        self._calls, self._operations = _Calls(self), _Operations(self)

    def __enter__(self) -> "Accelerator":
        self._patch = self._patches()
        self._patch.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._patch.__exit__(*error)

    @contextmanager
    def _patches(self) -> Iterator[None]:
        engine, autocast = torch.autograd._engine_run_backward, torch.autocast.__init__

        def backward(*args: Any, **kwargs: Any) -> Any:
            with self._calls:  # it was left for the call that led here
                return engine(*args, **kwargs)

        def on_host(this: torch.autocast, device_type: str, *args: Any, **kwargs: Any) -> None:
            kind = "cpu" if device_type == DEVICE.type else device_type
            autocast(this, kind, *args, **kwargs)

        with (
            mock.patch("torch.autograd._engine_run_backward", backward),
            mock.patch.object(torch.autocast, "__init__", on_host),
            self._operations,
            self._calls,
        ):
            yield

    def holds(self, x: Any) -> bool:
        """Tell whether a tensor says that it is on the device."""
        if not isinstance(x, Tensor):
            return False
        if torch._C._functorch.is_functorch_wrapped_tensor(x):
            return self.holds(torch._C._functorch.get_unwrapped(x))
        return x.untyped_storage()._cdata in self._held

    def place(self, x: Any, on_device: bool = True) -> Any:
        """Declare where all tensors in ``x`` are."""
        for tensor in tree_leaves(x):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if on_device:  # the weak reference keeps the address from being used again
                    self._held.setdefault(storage._cdata, StorageWeakRef(storage))
                else:
                    self._held.pop(storage._cdata, None)
        return x

    def pin(self, x: Tensor) -> Tensor:
        """Declare that a tensor of the host lies where it can be copied from asynchronously."""
        assert not self.holds(x), "only tensors of the host can be pinned"
        self._pinned = [one for one in self._pinned if not one.expired()]
        self._pinned.append(StorageWeakRef(x.untyped_storage()))
        return x

    def pinned(self, x: Tensor) -> bool:
        """Tell whether a tensor was pinned."""
        place = x.untyped_storage()._cdata
        return any(one.cdata == place and not one.expired() for one in self._pinned)

    def wait(self, name: str) -> None:
        frame = sys._getframe(1)
        while frame.f_back and "/mrirecon/" not in frame.f_code.co_filename:
            frame = frame.f_back
        path = frame.f_code.co_filename.rpartition("/mrirecon/")[2]
        self.waits.append(f"{name} at {path}:{frame.f_lineno}")


class _Move(torch.autograd.Function):
    """Copy from one place to the other; its gradient takes the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, device: Accelerator, there: bool) -> Tensor:  # type: ignore[override]
        ctx.device, ctx.there = device, there
        return device.place(x.clone(), there)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return ctx.device.place(g.clone(), not ctx.there), None, None


class _Operations(TorchDispatchMode):
    """Follows the tensors of the device through every kernel, those of the gradient included."""

    def __init__(self, device: Accelerator) -> None:
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs or {})) if isinstance(x, Tensor)]
        here = [self.device.holds(x) for x in tensors]
        name = func.overloadpacket.__name__
        if any(here) and name != "copy_":
            mixed = [x for x, there in zip(tensors, here, strict=True) if x.ndim and not there]
            if mixed:
                raise WrongDeviceError(
                    f"{name} got tensors of the device, and of the host {tuple(mixed[0].shape)}"
                )
            if name in WAITING or (name in INDEXING and _by_mask(args[1])):
                self.device.wait(name)
        result = func(*args, **(kwargs or {}))
        if any(here) and name != "copy_":
            self.device.place(result)
        return result


def _by_mask(index: Any) -> bool:
    """Tell whether an index is a mask, whose True elements are counted on the host."""
    return any(one is not None and one.dtype == torch.bool for one in index)


class _Calls(TorchFunctionMode):
    """Answers where tensors are, makes new ones there, and moves them."""

    def __init__(self, device: Accelerator) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        first = args[0] if args else None
        there = self.device.holds(first)
        if name == "__get__" and there:
            return _ANSWERS.get(getattr(func.__self__, "__name__", ""), func(*args, **kwargs))
        if name in ("to", "cuda", "cpu"):
            return self._moved(name, *args, **kwargs)
        if name in ("numpy", "__array__") and there:
            raise WrongDeviceError(f"{name} of a tensor of the device")
        if name in ("__getitem__", "__setitem__") and there:
            args = (first, self._index(args[1]), *args[2:])
        if name == "pin_memory":
            return self.device.pin(first)
        if name == "tolist" and there:
            self.device.wait(name)
        if "device" not in kwargs:
            if name == "new_tensor" and there:
                self.device.wait(name)
            result = func(*args, **kwargs)
            return self.device.place(result) if name.startswith("new_") and there else result
        on_device = torch.device(kwargs.pop("device") or "cpu").type == DEVICE.type
        if on_device and name in FILLING and not there:
            self.device.wait(name)
        if on_device and kwargs.get("generator") is not None:
            raise WrongDeviceError(f"{name} on the device with a generator of the host")
        return self.device.place(func(*args, **kwargs, device="cpu"), on_device)

    def _moved(self, name: str, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        target: Any = {"cuda": DEVICE, "cpu": "cpu"}.get(name)
        options = {k: v for k, v in kwargs.items() if k in ("dtype", "memory_format") and v}
        for value in (*args, kwargs.get("device")):
            if isinstance(value, Tensor):
                target, options["dtype"] = (
                    (DEVICE if self.device.holds(value) else "cpu"),
                    value.dtype,
                )
            elif isinstance(value, torch.dtype):
                options["dtype"] = value
            elif isinstance(value, str | torch.device):
                target = value
        x = x.to(**options) if options else x
        there = self.device.holds(x)
        wanted = there if target is None else torch.device(target).type == DEVICE.type
        if there and not wanted:
            self.device.wait("cpu")
        elif wanted and not there and not (kwargs.get("non_blocking") and self.device.pinned(x)):
            self.device.wait("to")
        return x if there == wanted else _Move.apply(x, self.device, wanted)

    def _index(self, index: Any) -> Any:
        """Put lists where they would be put: PyTorch copies them to the tensor's device."""
        if isinstance(index, tuple):
            return tuple(self._index(part) for part in index)
        if not isinstance(index, list):
            return index
        self.device.wait("index of a list")
        return self.device.place(torch.tensor(index))
