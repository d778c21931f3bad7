"""Many files in one run: one that fails does not stop the others."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrirecon.errors import MriReconError


class Failures:
    """The files of a run that failed, each told as soon as it did."""

    def __init__(self) -> None:
        self.files: list[Path] = []

    @contextmanager
    def of(self, file: Path) -> Iterator[None]:
        """Work on a file; whatever fails is printed and remembered."""
        try:
            yield
        except MriReconError as error:
            named = "" if str(file) in str(error) else f"{file}: "
            self._tell(file, f"{named}{error}")
        except Exception as error:  # noqa: BLE001 - out of memory, say: the other files may do
            self._tell(file, f"{file}: {type(error).__name__}: {error}")

    def _tell(self, file: Path, reason: str) -> None:
        self.files.append(file)
        print(f"FAILED {reason}", file=sys.stderr)

    def problem(self, total: int) -> str:
        """Return how many of ``total`` files failed, in words; empty when none did."""
        return f"{len(self.files)} of {total} files failed" if self.files else ""
