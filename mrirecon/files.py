"""Where configuration lies, and outputs that appear complete or not at all."""

import os
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
    if not os.access(existing, os.W_OK):
        raise OutputError(f"output: {existing} cannot be written; check its permissions")
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
