"""The contract of file readers."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Bool

from mrirecon.errors import RawDataError
from mrirecon.read_options import ReadOptions
from mrirecon.readers.stamp import Stamp
from mrirecon.scan import Scan


class FileScan(Scan):
    """A Scan that reads one file format, recognised by content and never by suffix.

    Constructing one reads the header; k-space is read slice by slice.

    Attributes:
        format: Short name, shown to users and kept in the header.
        layout: What the file must hold, for the message that lists supported formats.
        choices: Fields of :class:`~mrirecon.read_options.ReadOptions` that this format understands.
        along_trajectory: Reader of the same files when ``reading.trajectory`` tells the places of
            their samples; None when the format does not need one, or has no such files.
        small: Whether a scan that has been opened holds little memory, so that thousands may stay.
    """

    format: ClassVar[str]
    layout: ClassVar[str]
    choices: ClassVar[tuple[str, ...]] = ()
    along_trajectory: ClassVar["type[FileScan] | None"] = None
    small: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, path: Path, reading: ReadOptions | None = None) -> None:
        self.path, self.reading = path, reading or ReadOptions()
        self._stamps = [Stamp.of(part) for part in self.parts(path)]
        other = [name for name in self.reading.chosen() if name not in self.choices]
        if other:
            known = ", ".join(f"reading.{name}" for name in self.choices) or "none"
            raise RawDataError(
                f"{path}: reading.{other[0]} does not apply to {self.format} files; "
                f"leave it out (what applies: {known})"
            )

    @classmethod
    @abstractmethod
    def detect(cls, path: Path) -> bool:
        """Tell whether the file looks like this format; never raises for a readable file."""

    @classmethod
    def parts(cls, path: Path) -> tuple[Path, ...]:
        """Return the files that make up the scan at ``path``."""
        return (path,)

    def watch(self, paths: Iterable[Path]) -> None:
        """Note files, other than ``parts``, that the scan is read from."""
        self._stamps += [Stamp.of(path) for path in paths]

    def refuse_changed(self) -> None:
        """Refuse to go on with files that were changed since they were opened.

        Raises:
            RawDataError: When one was: places that are remembered would be wrong.
        """
        for stamp in self._stamps:
            stamp.check()

    def told_measured(self, index: int) -> Bool[np.ndarray, "#h w"] | None:  # noqa: ARG002
        """Return where mask and header say that k-space of a plane was measured.

        Zeros that are found elsewhere are left out of a Sample's mask, too. None where a file holds
        single readouts, so that nothing but these was measured.
        """
        return None

    def content(self) -> tuple[tuple[str, str], ...]:
        """Tell what the file holds besides the header, as ``(what, value)``."""
        return ()

    def verify(self) -> None:
        """Read everything.

        Raises:
            RawDataError: When some of it is damaged.
        """
        for index in range(len(self)):
            self[index]

    def __repr__(self) -> str:
        return f"<{self.format} scan {self.path}: {len(self)} slices>"

    def check(self, index: int) -> None:
        """Raise IndexError unless ``index`` is a slice of this scan; refuse a changed file."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path} has Samples 0..{len(self) - 1}, not {index}")
        self.refuse_changed()


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Put the path in front of the message of every RawDataError raised inside."""
    try:
        yield
    except RawDataError as error:
        if str(error).startswith(str(path)):
            raise
        raise RawDataError(f"{path}: {error}") from error
