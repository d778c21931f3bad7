"""What the sessions of a server share, and how each of them ends."""

import queue
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from mrirecon.serving.budget import Budget
from mrirecon.serving.choosing import Chooser
from mrirecon.serving.limits import Limits
from mrirecon.serving.noise import NoiseStore

Job = Callable[[], None]


class Ending(Enum):
    """How a session ended."""

    SERVED = "served"
    PROBE = "probe"
    FAILED = "failed"
    ABORTED = "aborted"


@dataclass(frozen=True)
class Shared:
    """What the sessions of a server have in common.

    Attributes:
        chooser: Methods by the names that clients may use.
        limits: Bounds on each session.
        budget: Memory of all sessions.
        noise: Noise scans of earlier sessions.
        work: Jobs for the thread that computes.
    """

    chooser: Chooser
    limits: Limits
    budget: Budget
    noise: NoiseStore
    work: "queue.Queue[Job | None]"
