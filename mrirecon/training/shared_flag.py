"""A flag that one process raises and all of them act on, without waiting for a GPU."""

from typing import Generic, TypeVar

import torch
from torch import Tensor, distributed

About = TypeVar("About")


class SharedFlag(Generic[About]):
    """Tells every process whether any of them has raised a flag.

    All processes call :meth:`exchange` at the same points and get an answer at the same one, so
    that they act together. On a GPU the answer is that of the call before: its value has arrived by
    then, and nothing waits for what is being computed.
    """

    def __init__(self) -> None:
        self._pending: tuple[Tensor, torch.cuda.Event, About] | None = None

    def exchange(self, flag: bool | Tensor, device: torch.device, about: About) -> list[About]:
        """Give this process's flag.

        Args:
            flag: A tensor where it is known to the device alone.
            device: Torch device that trains.
            about: What this process's flag is about.

        Returns:
            What the raised flags are about, one entry for each process that raised it; usually
            none.
        """
        several = _several()
        if not several and (isinstance(flag, bool) or device.type != "cuda"):
            return [about] if flag else []
        own = torch.as_tensor(flag, device=device).to(torch.int32)
        anyone = own.clone()
        if several:
            distributed.all_reduce(anyone, distributed.ReduceOp.MAX)
        both = torch.stack([own, anyone])
        if device.type != "cuda":
            return _raised(both, about)
        return self._delayed(both, about)

    def _delayed(self, both: Tensor, about: About) -> list[About]:
        """Send these numbers to the host, and return what the earlier ones tell."""
        before = self._pending
        arriving = torch.empty(2, dtype=torch.int32, pin_memory=True)
        arriving.copy_(both, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        self._pending = arriving, arrived, about
        if before is None:
            return []
        values, earlier, about = before
        earlier.synchronize()
        return _raised(values, about)


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _raised(values: Tensor, about: About) -> list[About]:
    own, anyone = values.tolist()
    if not anyone:
        return []
    mine = [about] if own else []
    if not _several():
        return mine
    gathered: list[list[About]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(gathered, mine)
    return [one for process in gathered for one in process]
