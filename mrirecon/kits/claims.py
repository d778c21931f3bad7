"""Several processes, on one computer or several, share the work in one folder.

Whoever works on something holds the lock of a file for as long as it lives; the lock of a process
that was killed is gone, and somebody else takes the work. Files are small, hidden, and removed when
the work is done.
"""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mrirecon.errors import OutputError

FOLDER = ".mrirecon-claims"
BUSY = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)
SUFFIX = ".lock"


class Claims:
    """Claims to the parts of the work in a folder.

    Args:
        folder: Folder of the outputs that processes share.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._told = False

    @contextmanager
    def claimed(self, what: str) -> Iterator[bool]:
        """Yield whether this process may work on something; nobody else may until the block ends.

        Args:
            what: Name of the work, a path below the folder of outputs.

        Raises:
            OutputError: When the folder cannot be written.
        """
        path = self._folder / f"{what}{SUFFIX}"
        handle = self._locked(path)
        if handle is None:
            yield False
            return
        try:
            yield True
        finally:
            with suppress(OSError):  # somebody cleans up as well
                path.unlink()
            os.close(handle)
            self._tidy(path.parent)

    def _locked(self, path: Path) -> int | None:
        """Return the open file that holds the lock; None while somebody else has it."""
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            except FileNotFoundError:  # the folder was empty, and somebody removed it
                continue
            except OSError as error:
                raise OutputError(f"{path} cannot be written: {error}") from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in BUSY:
                    os.close(handle)
                    return None
                self._tell(error)
                return handle
            if _is_at(handle, path):
                return handle
            os.close(handle)  # its owner was done and has removed it meanwhile

    def _tell(self, error: OSError) -> None:
        if not self._told:
            print(  # noqa: T201
                f"WARNING: the disk of {self._folder.parent} knows no locks ({error.strerror}); "
                "let only one process work there",
                file=sys.stderr,
            )
        self._told = True

    def _tidy(self, folder: Path) -> None:
        """Remove folders that are empty now."""
        with suppress(OSError):
            while folder.is_relative_to(self._folder):
                folder.rmdir()
                folder = folder.parent


def _is_at(handle: int, path: Path) -> bool:
    own = os.fstat(handle)
    try:
        there = path.stat()
    except OSError:
        return False
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)
