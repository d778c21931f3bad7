"""Stamps that tell whether a file is still the one that was opened."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mrirecon.errors import RawDataError


@dataclass(frozen=True)
class Stamp:
    """Size, modification time and place on the disk of a file when it was opened."""

    path: Path
    size: int
    modified: int
    place: tuple[int, int]

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Look at a file.

        Raises:
            RawDataError: When it is not there any more.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise RawDataError(
                f"{path}: cannot be read any more ({error.strerror}); copy it there again"
            ) from error
        return cls(path, found.st_size, found.st_mtime_ns, (found.st_dev, found.st_ino))

    def check(self) -> None:
        """Look at the file again.

        Raises:
            RawDataError: When it was changed or replaced: what is known of it is true no more.
        """
        now = Stamp.of(self.path)
        if now != self:
            raise RawDataError(
                f"{self.path}: was changed since it was opened: it was {self._told()}, it is "
                f"{now._told()}{', another file' if now.place != self.place else ''}; open it again"
            )

    def _told(self) -> str:
        time = datetime.fromtimestamp(self.modified / 1e9).isoformat(" ", "milliseconds")
        return f"{self.size} bytes of {time}"
