"""Places: of the shipped configuration, and where outputs may go."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from mrirecon.errors import OutputError
from mrirecon.files.partials import remove_leftovers


def real_path(path: Path) -> Path:
    """Return the absolute path without links; a link to itself stays, which is an error later.

    ``Path.resolve`` raises for such a link up to Python 3.12.
    """
    return Path(os.path.realpath(path))


def from_here(path: str | Path) -> Path:
    """Return a path as one would type it: without the working folder when it lies below that."""
    path, here = Path(path), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def conf_folder() -> Path:
    """Return the folder of the shipped configuration: inside the wheel, or beside the package."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "conf"
    return shipped if shipped.is_dir() else package.parent / "conf"


def output_folder(path: str | Path) -> Path:
    """Return an output folder, before anything is computed for it; ``~`` is the home folder.

    What a killed run left in it is removed.

    Raises:
        OutputError: When it is a file, or cannot be written.
    """
    try:
        folder = Path(path).expanduser()
        existing = _existing(folder)
    except OutputError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # too long, NUL, no such user's home
        reason = error.strerror if isinstance(error, OSError) else error
        raise OutputError(f"output: {str(path)[:200]!r} cannot be a folder: {reason}") from error
    if not existing.is_dir():
        raise OutputError(f"output: {existing} is a file, expected a folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OutputError(
            f"output: {existing} cannot be written ({error.strerror}); check its permissions or "
            "choose another folder"
        ) from error
    if folder.is_dir():
        remove_leftovers(folder)
    return folder


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there.

    Raises:
        OutputError: When a link on the way leads nowhere, or to itself.
    """
    for parent in (folder, *folder.absolute().parents):
        if parent.exists():
            return parent
        if parent.is_symlink():
            raise OutputError(
                f"output: {parent} is a link to {parent.readlink()}, which is not there; make that "
                "folder, or choose another one"
            )
    raise OutputError(f"output: {folder} is not there, nor anything above it")


class Untouchable:
    """Files that a run has read or has written already, under whatever name they are reached.

    Args:
        inputs: Files that are read; a folder that they lie in is not replaced, either.
    """

    def __init__(self, inputs: Iterable[Path]) -> None:
        folders: set[Path] = set()
        self._read: set[object] = set()
        for file in inputs:
            self._read.update(_identities(file))
            folders.update(real_path(file).parents)
        for folder in folders:
            self._read.update(_identities(folder))
        self._written: set[object] = set()

    def refuse(self, outputs: Iterable[Path]) -> None:
        """Raise OutputError when one of these outputs would replace an input or another output."""
        for path in outputs:
            own = set(_identities(path))
            if own & self._read:
                raise OutputError(
                    f"{path} would replace an input of this run; choose another output folder"
                )
            if own & self._written:
                raise OutputError(
                    f"{path} would replace what this run has just written for another input of a "
                    "similar name; reconstruct them into different folders"
                )

    def add(self, outputs: Iterable[Path]) -> None:
        """Note what was written."""
        for path in outputs:
            self._written.update(_identities(path))


def _identities(path: Path) -> Iterator[object]:
    """Yield what tells a file from all others: by name, and by place on the disk if it exists."""
    yield str(real_path(path))
    if path.exists():
        found = path.stat()
        yield (found.st_dev, found.st_ino)
