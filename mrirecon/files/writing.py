"""Outputs that appear complete or not at all and never take the place of anything else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from mrirecon.errors import OutputError
from mrirecon.files.marks import Kind, not_ours
from mrirecon.files.partials import NEW, OLD, partial_folder


class Existing(StrEnum):
    """What happens to an output that exists already.

    In every case nothing but our own outputs of the same kind is ever replaced.
    """

    REFUSE = "refuse"
    SKIP = "skip"
    OVERWRITE = "overwrite"


def refuse_existing(
    path: Path,
    overwrite: bool,
    kind: Kind | None = None,
    advice: str = "",
    choice: str = "set overwrite=true",
) -> None:
    """Raise OutputError when there is something at ``path`` that may not be replaced.

    Args:
        path: Path of an output.
        overwrite: Whether an output of the same kind may be replaced.
        kind: Kind of the output; None when nothing may be replaced whatever ``overwrite`` says.
        advice: Sentence about what else can be done.
        choice: Words for how the user says that it may be replaced.
    """
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise OutputError(f"{path} exists already; choose another output or {choice}{advice}")
    _refuse_foreign(path, path, kind)


@contextmanager
def atomic(path: Path, kind: Kind | None = None, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` when the block succeeds.

    Args:
        path: Path of the output.
        kind: Mark that the block leaves in the file, so that it can be replaced later.
        overwrite: Whether to replace an output of the same kind.

    Raises:
        OutputError: When ``path`` may not be replaced, or its folder cannot be written.
    """
    refuse_existing(path, overwrite, kind)
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial_folder(path.parent) as folder:
            part = folder / NEW / path.name
            yield part
            refuse_existing(path, overwrite, kind)  # a long time has passed
            if os.path.lexists(path):
                part.replace(path)
            else:
                _appear(part, path)


@contextmanager
def atomic_folder(
    path: Path, kind: Kind | None = None, *, overwrite: bool = False
) -> Iterator[Path]:
    """Like :func:`atomic` for a folder: yield an empty one that replaces ``path`` as a whole.

    An old folder is moved aside first, so that a failure at any moment leaves one of the two, and
    looked at once more there; each of its files is an output of the same kind.

    Raises:
        OutputError: When ``path`` may not be replaced, or cannot be written.
    """
    refuse_existing(path, overwrite, kind)
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial_folder(path.parent) as folder:
            part, old = folder / NEW / path.name, folder / OLD / path.name
            part.mkdir()
            yield part
            refuse_existing(path, overwrite, kind)
            if os.path.lexists(path):
                path.rename(old)
                _refuse_foreign(path, old, kind)  # partial_folder puts it back
            part.rename(path)
            if old.exists():
                _remove_folder(old, kind)


def _refuse_foreign(path: Path, place: Path, kind: Kind | None) -> None:
    """Raise OutputError when what was at ``path``, and is at ``place`` now, is not our output."""
    if reason := not_ours(place, kind):
        raise OutputError(
            f"{path} is not replaced, whatever overwrite= says: {reason}; choose another output, "
            "or move it away yourself"
        )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from error


def _appear(part: Path, path: Path) -> None:
    """Give a file its name, but never instead of one that somebody else has just made."""
    try:
        os.link(part, path)
    except FileExistsError:
        refuse_existing(path, overwrite=False)
    except OSError:  # a disk without hard links
        part.rename(path)


def _remove_folder(folder: Path, kind: Kind | None) -> None:
    """Remove an output folder file by file; what appeared in it meanwhile stays."""
    for file in folder.iterdir():
        if not not_ours(file, kind):
            file.unlink()
    folder.rmdir()
