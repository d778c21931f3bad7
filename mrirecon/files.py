"""Where configuration lies, and outputs that appear complete or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrirecon.errors import OutputError


def conf_folder() -> Path:
    """Return the folder of the shipped configuration: inside the wheel, or beside the package."""
    package = Path(__file__).resolve().parent
    shipped = package / "conf"
    return shipped if shipped.is_dir() else package.parent / "conf"


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise OutputError when ``path`` exists and may not be overwritten."""
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; choose another output or set overwrite=true")


def output_folder(path: str | Path) -> Path:
    """Return an output folder, before anything is computed for it; ``~`` is the home folder.

    Raises:
        OutputError: When it is a file, or cannot be written.
    """
    folder = Path(path).expanduser()
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
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
    return folder


@contextmanager
def atomic(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its name when the block succeeds.

    Raises:
        OutputError: When ``path`` exists already, or its folder cannot be written.
    """
    refuse_existing(path, overwrite)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{''.join(path.suffixes[-2:])}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from error


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Like :func:`atomic` for a folder: yield an empty one that replaces ``path`` as a whole.

    An old folder is moved aside first, so that a failure at any moment leaves one of the two.

    Raises:
        OutputError: When ``path`` exists already, or cannot be written.
    """
    refuse_existing(path, overwrite)
    part, old = (path.with_name(f".{path.name}.{os.getpid()}.{end}") for end in ("partial", "old"))
    try:
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield part
            if path.exists():
                path.replace(old)
            part.replace(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            if path.exists():
                remove(old)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from error


def remove(path: Path) -> None:
    """Remove a file or a folder with what is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
