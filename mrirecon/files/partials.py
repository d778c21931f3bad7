"""Hidden folders in which outputs are written until they are complete, and what is left of them.

A folder is ours when it is named like one and holds ``MARK`` with our text. Its owner keeps that
file locked for as long as it lives, on whatever machine, so that nobody else takes it away; the
lock of a process that was killed is gone.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mrirecon.interruption import shielded

PREFIX, SUFFIX = ".mrirecon-", ".partial"
MARK, NEW, OLD = "mark", "new", "old"
TEXT = b"An output that mrirecon has not completed yet.\n"
_SEEN: set[Path] = set()


@contextmanager
def partial_folder(parent: Path) -> Iterator[Path]:
    """Yield a new hidden folder in ``parent`` with the folders ``new`` and ``old`` in it.

    What is in ``new`` goes away at the end. ``old`` holds an output that is being replaced.
    """
    if parent not in _SEEN:  # once: a cache may hold many files
        _SEEN.add(parent)
        remove_leftovers(parent)
    folder, handle = None, None
    try:
        with shielded():  # a signal must not come between making it and knowing it
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, suffix=SUFFIX, dir=parent))
            handle = os.open(folder / MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with suppress(OSError):  # a disk without locks: then nobody takes it away
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(handle, TEXT)
            (folder / NEW).mkdir()
            (folder / OLD).mkdir()
        yield folder
    finally:
        with shielded():
            if folder is not None:
                _remove(folder)
            if handle is not None:
                os.close(handle)


def remove_leftovers(parent: Path) -> list[Path]:
    """Remove what killed runs left in ``parent``; put an old output back whose place is empty.

    Returns:
        The hidden folders that were removed.
    """
    return [path for path in sorted(parent.glob(f"{PREFIX}*{SUFFIX}")) if _abandoned(path)]


def _abandoned(folder: Path) -> bool:
    """Remove a folder that is ours and whose owner is dead; tell whether it was."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        handle = os.open(folder / MARK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # not ours, another user's, or gone meanwhile
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.read(handle, len(TEXT) + 1) != TEXT:
            return False
        _remove(folder)
    except OSError:  # its owner lives, or the disk knows no locks
        return False
    finally:
        os.close(handle)
    return not folder.exists()


def _remove(folder: Path) -> None:
    """Remove a folder of ours, but only what is ours in it: nothing that a link leads to."""
    if any((folder / name).is_symlink() for name in (NEW, OLD)):
        return
    for entry in (folder / OLD).glob("*"):
        home = folder.parent / entry.name
        if not os.path.lexists(home):
            entry.rename(home)
    with suppress(OSError):
        (folder / OLD).rmdir()  # stays with what nobody knows in it
    shutil.rmtree(folder / NEW, ignore_errors=True)
    if not (folder / OLD).exists():
        (folder / MARK).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
