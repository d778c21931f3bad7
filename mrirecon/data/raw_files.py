"""The raw files that a path means: itself, or those of a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrirecon.errors import RawDataError


def raw_files(path: str | Path, pattern: str = "*") -> list[Path]:
    """Return ``path`` itself when it is a file, else the files in it, sorted; no hidden ones.

    Args:
        path: A file or a folder.
        pattern: Shell pattern of the files that belong. One with a slash is relative to the folder
            and finds files below it, ``P*/cine_lax.mat`` or ``**/*.mat`` (which follows no links to
            folders); others do not.

    Raises:
        RawDataError: When there is no such path, or no such file in it.
    """
    path = Path(path)
    with readable(path):
        return _raw_files(path, pattern)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Name a file or folder that its permissions or its disk keep from being looked at.

    A folder is listed first: patterns pass over one that cannot be, as if it were empty.

    Raises:
        RawDataError: Instead of OSError.
    """
    try:
        if path.is_dir():
            os.scandir(path).close()
        yield
    except OSError as error:
        raise RawDataError(
            f"{path}: cannot be read ({error.strerror or error}); check its permissions"
        ) from error


def _raw_files(path: Path, pattern: str) -> list[Path]:
    if not path.exists():
        raise RawDataError(f"{path}: {absent(path)}")
    if not path.is_file() and not path.is_dir():
        raise RawDataError(
            f"{path}: is a pipe or a device, expected a file or a folder; pipe it in with "
            "`mrirecon reconstruct - < PIPE`"
        )
    try:
        path.match(pattern)  # an empty one is refused also where there is nothing to match
        if path.is_file():
            files = [path] if path.match(pattern) else []
        else:
            files = _scans_in(path, pattern)
    except RawDataError:
        raise
    except (ValueError, NotImplementedError) as error:
        raise RawDataError(
            f"{path}: pattern={pattern!r} cannot be used ({error}); expected one relative to the "
            "folder, '**/*.h5', say"
        ) from error
    if not files:
        raise RawDataError(f"{path}: no file matches {pattern!r}")
    return files


def absent(path: Path) -> str:
    """Say why there is nothing at a path: no such file, or a link that leads nowhere."""
    if path.is_symlink():
        return f"is a link to {path.readlink()}, which is not there; mount or copy what it means"
    return f"no such file or folder (in {Path.cwd()})"


def data_folder(path: str | Path) -> Path:
    """Return the folder that scans of :func:`raw_files` are named relative to."""
    path = Path(path)
    return path if path.is_dir() else path.parent


def files_of_scan(file: Path) -> list[Path]:
    """Return the files that a scan consists of: two for a BART array, else one."""
    data = file.with_suffix(".cfl")
    return [file, data] if file.suffix == ".hdr" and data.is_file() else [file]


def _scans_in(folder: Path, pattern: str) -> list[Path]:
    below = "/" in pattern
    candidates = folder.glob(pattern) if below else folder.iterdir()
    files = {f for f in candidates if f.is_file() and not _hidden(f.relative_to(folder))}
    if not files and not below:
        raise RawDataError(
            f"{folder.resolve()}: the folder holds no file; expected raw MRI files "
            "(pattern='**/*' finds those in folders below)"
        )
    companions = {data for file in files for data in files_of_scan(file)[1:]}
    return sorted(f for f in files - companions if below or f.match(pattern))


def _hidden(path: Path) -> bool:
    """Tell whether a file or a folder above it is hidden, or lies outside (``..``)."""
    return any(part.startswith(".") for part in path.parts)
