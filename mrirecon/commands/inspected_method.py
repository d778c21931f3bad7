"""What a method would take of memory and time for a file that is inspected."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mrirecon.commands.durations import seconds_for
from mrirecon.commands.footprints import needed_by
from mrirecon.commands.method import find_device
from mrirecon.commands.method_words import build_by_words
from mrirecon.footprint.need import Need, size
from mrirecon.footprint.room import room
from mrirecon.inspection import duration
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan


@dataclass(frozen=True)
class Cost:
    """What the images of a file take.

    Attributes:
        need: Memory at the peak; None when that cannot be told.
        seconds: Time for the scan on this CPU; None when that cannot be told.
    """

    need: Need | None
    seconds: float | None


class InspectedMethod:
    """A method that is chosen beside the files.

    Args:
        words: Choices of ``mrirecon reconstruct``.

    Attributes:
        name: Class of the method.

    Raises:
        ConfigError: When it cannot be built.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._method = build_by_words(words, find_device("auto"), (), learned=False)
        self.name = self._method.name

    def cost(self, path: Path, reading: ReadOptions) -> Cost:
        """Return what the images of a file take."""
        scan = open_scan(path, reading)
        need = needed_by(scan, self._method)
        return Cost(need, seconds_for(scan, self._method) if need else None)

    def line(self, cost: Cost) -> str:
        """Say it, and how much there is; empty when nothing can be told."""
        if cost.need is None:
            return ""
        there = room(self._method.device)
        free = "" if there.free is None else f" ({size(there.free)} are free {there.where})"
        told = (
            ""
            if cost.seconds is None
            else f", and {duration(cost.seconds)} for the scan on this CPU"
        )
        return f"{self.name} takes about {cost.need.told()} at its peak{free}{told}"
