"""A folder of cached files, of which only what was written here is ever read, replaced or removed.

The folder is marked when it is made (Cache Directory Tagging Specification, bford.info/cachedir),
and its entries have names of their own. A folder with anything in it that is not marked is refused:
it may be a folder of raw data.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mrirecon.errors import OutputError
from mrirecon.files import Kind, atomic

MARK = "CACHEDIR.TAG"
MARKED = """Signature: 8a477f597d28d172789f06886806bc55
# Coil sensitivities kept by mrirecon; entries are removed when they take too much room.
"""
ENDING = ".coilmaps"
"""No raw format uses it."""
ENTRY = re.compile(rf"[0-9a-f]{{32}}{re.escape(ENDING)}", re.ASCII)
UNMARKED = re.compile(rf"\.{re.escape(MARK)}\.[0-9a-f]{{16}}", re.ASCII)
"""The mark of another process that makes the same folder just now."""


class CacheFolder:
    """Entries by key: 32 hexadecimal digits.

    Args:
        path: The folder; made when it is not there.
        gigabytes: Size above which the entries that were not used for longest are removed.
    """

    def __init__(self, path: Path, gigabytes: float) -> None:
        self.path, self.gigabytes = path, gigabytes

    def entry(self, key: str) -> Path:
        """Return where an entry lies, or would."""
        return self.path / f"{key}{ENDING}"

    def check(self) -> bool:
        """Tell whether the folder is there and marked.

        Raises:
            OutputError: When it holds something but is not marked.
        """
        mark = self.path / MARK
        try:
            if _is_own(mark) and mark.read_bytes() == MARKED.encode():
                return True
            found = sorted(f.name for f in self.path.iterdir() if not UNMARKED.fullmatch(f.name))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise OutputError(f"sensitivity.folder={self.path} cannot be read: {error}") from error
        if found:
            some = f"{', '.join(found[:3])}{', …' if len(found) > 3 else ''}"
            raise OutputError(
                f"sensitivity.folder={self.path} is no cache of coil sensitivities: it holds "
                f"{len(found)} files ({some}) that no cache wrote. Entries of a cache are removed "
                "when they take too much room, so give a folder that is new or empty, or leave "
                "sensitivity.folder out"
            )
        return False

    def read(self, key: str) -> BinaryIO | None:
        """Open an entry and note that it was used; None when there is none."""
        path = self.entry(key)
        if not self.check() or not _is_own(path):
            return None
        try:
            file = path.open("rb")
        except OSError:
            return None
        with suppress(OSError):  # used: cleaned last, unless it is another user's
            os.utime(file.fileno())
        return file

    @contextmanager
    def write(self, key: str) -> Iterator[BinaryIO]:
        """Yield a file that becomes the entry when the block succeeds.

        Raises:
            OutputError: When the folder cannot be written, is not marked, or something else has
                the name of the entry.
        """
        self._make()
        path = self.entry(key)
        if path.is_symlink() or (path.exists() and not _is_own(path)):
            raise OutputError(f"{path} exists and is no entry of the cache; remove it")
        with atomic(path, Kind.CACHE, overwrite=True) as temporary, temporary.open("xb") as file:
            yield file

    def clean(self) -> None:
        """Remove the entries that were not used for longest until the rest fits."""
        if not self.check():
            return
        entries = []
        for path in self.path.iterdir():
            with suppress(OSError):  # another process removed it
                found = path.lstat()
                if ENTRY.fullmatch(path.name) and _own(found):
                    entries.append((found.st_mtime, found.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.gigabytes * 1e9:
                return
            with suppress(OSError):  # another user's stays
                path.unlink(missing_ok=True)
            total -= size

    def _make(self) -> None:
        """Make the folder and mark it, unless it is marked; several processes may do so at once."""
        if self.check():
            return
        part = self.path / f".{MARK}.{secrets.token_hex(8)}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with part.open("x") as file:
                file.write(MARKED)
            part.replace(self.path / MARK)  # there is none, or another process's that is the same
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error}") from error


def _is_own(path: Path) -> bool:
    """Tell whether a path is a plain file, by this name only."""
    try:
        return _own(path.lstat())
    except OSError:
        return False


def _own(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1
