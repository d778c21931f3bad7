"""How many threads and processes compute, and how they wait for one another.

Libraries count the processors of the machine and let threads that wait keep a processor busy. On a
machine that others use, or in a container that may use a part of it, this makes a computation
slower many times over. What decides is read from the environment when these libraries are loaded,
so :func:`prepare` comes before; what the user has chosen stays.
"""

import math
import os
import sys
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mrirecon.container import ROOT, cpu_quota

BRIEF, SHORT = {"GOMP_SPINCOUNT": "1000"}, {"GOMP_SPINCOUNT": "10000"}
"""How long GNU's threads spin before they sleep, on busy machines and on others. Sleeping at once
is no choice: waking up takes so long that many small steps, as of a network on one slice, become
several times slower (``benchmarks/README.md``)."""
MANY = 1 / 8
"""Part of the processors that others keep busy on a busy machine."""
LOOKS, PAUSE = 3, 0.002
"""How often it is looked who is running, and seconds between."""
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""Variables by which users choose how threads wait."""
THREADS = "OMP_NUM_THREADS"
"""Variable by which users choose how many there are; OpenBLAS and MKL read it, too."""


@dataclass(frozen=True)
class Processors:
    """The processors that this process may use.

    Attributes:
        machine: Number of processors of the machine.
        affinity: Number of those that this process may run on.
        quota: How many processors' time the container may use; None for no limit.
        others: Number of threads of others that keep processors busy.
    """

    machine: int
    affinity: int
    quota: float | None = None
    others: int = 0

    @property
    def contended(self) -> bool:
        """Whether threads that spin while they wait would take time from those that compute."""
        crowded = self.others + self.affinity > self.machine
        return self.usable < self.affinity or (crowded and self.others >= self.machine * MANY)

    @property
    def usable(self) -> int:
        """How many can be kept busy; a part of one counts, or 1.9 would be as good as 1."""
        allowed = self.affinity if self.quota is None else math.ceil(self.quota)
        return max(1, min(self.affinity, allowed))

    @property
    def limit(self) -> str | None:
        """What keeps a process from using the whole machine, in one line; None if nothing does."""
        if self.usable >= self.machine:
            return None
        if self.quota is not None and self.usable < self.affinity:
            return f"a quota of {self.quota:g} of {self.machine} CPUs"
        return f"this process may run on {self.affinity} of {self.machine} CPUs"


@lru_cache(maxsize=8)
def processors(root: Path = ROOT) -> Processors:
    """Return the processors that this process may use.

    Args:
        root: Folder in which ``proc`` and the mounts of the control groups lie.
    """
    machine = os.cpu_count() or 1
    affinity = getattr(os, "sched_getaffinity", None)
    own = len(affinity(0)) if affinity else machine
    return Processors(machine, own, cpu_quota(root), running_others(root))


def running_others(root: Path = ROOT) -> int:
    """Return how many threads of others want a processor, by the least of a few looks.

    The load average would tell of what this user has just ended, too.

    Args:
        root: Folder in which ``proc`` lies.
    """
    seen = []
    for _ in range(LOOKS):
        try:
            running, _ = (root / "proc/loadavg").read_text().split()[3].split("/")
            seen.append(int(running) - 1)  # this one runs as well
        except (OSError, ValueError, IndexError):  # no Linux
            return 0
        time.sleep(PAUSE)
    return max(0, min(seen))


def prepare(
    found: Processors | None = None, environment: MutableMapping[str, str] | None = None
) -> None:
    """Let threads wait as suits the machine, and let there be no more than the container may use.

    On a busy machine and under a quota they spin for a tenth of the time before they sleep. Where
    nothing limits the container, the libraries choose the number: they know the affinity, and that
    two threads of one core gain little.

    Args:
        found: Processors that this process may use; None to look.
        environment: Variables of the environment, of which those that the user has set stay; None
            for that of this process.
    """
    environment = os.environ if environment is None else environment
    found = found or processors()
    if not any(name in environment for name in WAITING):
        environment.update(BRIEF if found.contended else SHORT)
    if found.usable < found.affinity:
        environment.setdefault(THREADS, str(found.usable))


def prepare_unless_late() -> None:
    """Prepare, unless torch is loaded already: its threads are the business of who loaded it."""
    if "torch" not in sys.modules:
        prepare()


def computing(environment: Mapping[str, str] | None = None) -> int:
    """Return how many threads compute a transform: as many as the user says, or can be kept busy.

    Args:
        environment: Variables of the environment; None for that of this process.
    """
    told = (os.environ if environment is None else environment).get(THREADS, "")
    return int(told) if told.isdecimal() and int(told) else processors().usable


def workers_beside(asked: int, processes: int = 1, usable: int | None = None) -> int:
    """Return how many processes prepare data beside one that computes.

    Args:
        asked: Number that the user wants; none stays none.
        processes: Number of processes that compute on this machine, each with workers of its own.
        usable: Number of processors for all of them; None for those that can be kept busy.
    """
    free = (usable or processors().usable) // processes - 1
    return min(asked, max(1, free))
