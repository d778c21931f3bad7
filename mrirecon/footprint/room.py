"""The memory that there is, and refusals of what does not fit."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from mrirecon.container import ROOT, memory_left
from mrirecon.errors import ConfigError
from mrirecon.footprint.need import Need, size


@dataclass(frozen=True)
class Room:
    """Memory that is free.

    Attributes:
        free: Number of bytes; None where nobody tells.
        where: Words on where they are.
    """

    free: int | None
    where: str


@dataclass(frozen=True)
class Choice:
    """A setting that takes less memory.

    Attributes:
        setting: Words of the command line.
        need: Memory that it takes.
    """

    setting: str
    need: Need


def room(device: torch.device, root: Path = ROOT) -> Room:
    """Return the memory that is free on a device; of a machine, what its container allows.

    Args:
        device: Torch device that computes.
        root: Folder in which ``proc`` and the mounts of the control groups lie.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        spare = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return Room(free + spare, f"on {device}")
    machine, left = _available(root / "proc/meminfo"), memory_left(root)
    known = [one for one in (machine, left) if one is not None]
    contained = left is not None and (machine is None or left < machine)
    return Room(min(known, default=None), "in this container" if contained else "on this machine")


def _available(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    return None


def refuse_more(what: str, need: Need, room: Room, choices: Iterable[Choice]) -> None:
    """Refuse what takes more memory than there is, beside the weights that are there already.

    Args:
        what: Words for what takes it.
        need: Memory that it takes.
        room: Memory that is free.
        choices: Settings that take less, those that cost least first; not tried if it fits.

    Raises:
        ConfigError: With the settings that fit; without any, the one that takes least.
    """
    if room.free is None or need.beyond <= room.free:
        return
    tried = list(choices)
    fitting = [one for one in tried if one.need.beyond <= room.free]
    if fitting:
        advice = "; ".join(f"{one.setting} takes {size(one.need.total)}" for one in fitting)
    else:
        least = min(tried, key=lambda one: one.need.total, default=None)
        advice = f"even {least.setting} takes {size(least.need.total)}; " if least else ""
        advice += "choose a smaller model, fewer coils or a smaller matrix, or another machine"
    raise ConfigError(
        f"{what} takes about {need.told()}, but {size(room.free)} are free {room.where}: {advice}"
    )
