"""What a method would take of memory for a file that is inspected."""

from collections.abc import Sequence
from pathlib import Path

from mrirecon.commands.footprints import needed_by
from mrirecon.commands.method import find_device
from mrirecon.commands.method_words import build_by_words
from mrirecon.footprint.need import Need, size
from mrirecon.footprint.room import room
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan


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

    def need(self, path: Path, reading: ReadOptions) -> Need | None:
        """Return what an image of a file takes; None when that cannot be told."""
        return needed_by(open_scan(path, reading), self._method)

    def line(self, need: Need) -> str:
        """Say it, and how much there is."""
        there = room(self._method.device)
        free = "" if there.free is None else f"; {size(there.free)} are free {there.where}"
        return f"{self.name} takes about {need.told()} at its peak{free}"
