"""Threads that give way: while a command computes, no more than there are processors free.

Threads meet after every step, so that one which waits for its turn keeps the others waiting; beside
others that are busy, a reconstruction takes several times longer with two threads than with one.
How busy others are changes in the hours that a training takes, so it is looked for anew.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mrirecon.container import ROOT
from mrirecon.threads import THREADS

EVERY = 1.0
"""Seconds between two looks, at the least: processors are counted in hundredths of a second."""
LEAST = 1 / 4
"""Part of the threads that always stays: beside others who give way, too, none would be left."""
WAITING = (3, 4)
"""Places of the times in ``/proc/stat`` when a processor had nothing to do, or waited for a disk;
what comes after place 7 is counted in earlier ones."""


@dataclass(frozen=True)
class Used:
    """Seconds until a moment.

    Attributes:
        clock: Seconds by the clock.
        all: Seconds that the processors which this process may use have worked.
        own: Seconds that they have worked for this process.
    """

    clock: float
    all: float
    own: float


class Sharing:
    """Looks how many processors other processes leave, those that this one has started among them.

    Args:
        tell: What tells the user that fewer threads compute.
        root: Folder in which ``proc`` lies.
    """

    def __init__(self, tell: Callable[[str], object], root: Path = ROOT) -> None:
        self.tell, self.root = tell, root
        self.cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
        self._last = self._used()
        self._most: int | None = None
        self._wanted, self._told, self._process = 0, False, os.getpid()

    def threads(self, most: int) -> int | None:
        """Return how many threads of ``most`` have a processor of their own; None: ask later.

        Args:
            most: Number of threads when nobody else computes.
        """
        before = self._last
        if before is None or time.monotonic() - before.clock < EVERY:
            return None
        now = self._last = self._used()
        if now is None:
            return None
        others = (now.all - before.all - (now.own - before.own)) / (now.clock - before.clock)
        free = round(len(self.cpus) - max(0.0, others))
        return max(math.ceil(most * LEAST), min(free, most))

    def apply(self) -> None:
        """Let so many threads compute; call it in the thread that starts them, between steps."""
        if os.getpid() != self._process:  # a fork, of which the times begin anew
            return
        import torch  # whoever computes has loaded it; a command that does not need not

        running = torch.get_num_threads()
        self._most = self._most or running
        wanted = self.threads(self._most)
        if wanted is None:
            return
        before, self._wanted = self._wanted, wanted
        wanted = min(wanted, max(before, running))  # more only if they were free the time before
        if wanted == running:
            return
        torch.set_num_threads(wanted)
        if not self._told:
            self._told = True
            self.tell(
                f"note: {wanted} of {running} threads, for other processes compute, too; "
                f"{THREADS}={running} keeps them all"
            )

    def _used(self) -> Used | None:
        """Return what was used until now; None where the system does not tell."""
        try:
            lines = (self.root / "proc/stat").read_text().splitlines()
            tick = os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, AttributeError):
            return None
        worked = 0
        for line in lines:
            name, _, times = line.partition(" ")
            if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in self.cpus:
                worked += sum(int(t) for i, t in enumerate(times.split()[:8]) if i not in WAITING)
        return Used(time.monotonic(), worked / tick, time.process_time())


_SHARING: Sharing | None = None


def begin(tell: Callable[[str], object]) -> None:
    """Begin to look, for a command; the number of threads that a user has chosen stays.

    Args:
        tell: What tells the user that fewer threads compute.
    """
    global _SHARING
    _SHARING = None if THREADS in os.environ else Sharing(tell)


def give_way(device: str) -> None:
    """Let as many threads compute as have a processor, if it is time to look and a command runs.

    The last digits of sums depend on the number of threads. In Python the number of threads is the
    business of the program around this library, so nothing happens there.

    Args:
        device: Type of the device that computes; only threads of ``cpu`` give way.
    """
    if _SHARING and device == "cpu":
        _SHARING.apply()
