"""The readable scans of a folder."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from mrirecon.data.index import read_folder
from mrirecon.errors import RawDataError
from mrirecon.reading import Reading
from mrirecon.scan import Scan


def raw_files(path: str | Path) -> list[Path]:
    """Return ``path`` itself when it is a file, else the files in it (not below), sorted.

    Raises:
        RawDataError: When there is no such path, or no file in it.
    """
    path = Path(path)
    if not path.exists():
        raise RawDataError(f"{path}: no such file or folder (in {Path.cwd()})")
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RawDataError(
            f"{path}: is a pipe or a device, expected a file or a folder; pipe it in with "
            "`mrirecon reconstruct - < PIPE`"
        )
    files = sorted(f for f in path.iterdir() if f.is_file() and not f.name.startswith("."))
    # the two files of a BART array are one scan
    files = [f for f in files if not (f.suffix == ".cfl" and f.with_suffix(".hdr") in files)]
    if not files:
        raise RawDataError(f"{path.resolve()}: the folder holds no file; expected raw MRI files")
    return files


class Folder(Sequence[Scan]):
    """The scans of a folder, sorted by name; k-space is read on demand.

    Headers are kept in an index, so that only new and changed files are opened (see
    :mod:`mrirecon.data.index`).

    Args:
        path: The folder.
        pattern: Which files belong, as a shell pattern.
        skip_unreadable: Report and leave out files that cannot be read, instead of refusing.
        reading: What to override of what the files say.

    Raises:
        RawDataError: Naming every unreadable file with its reason.
    """

    def __init__(
        self,
        path: str | Path,
        pattern: str = "*",
        skip_unreadable: bool = False,
        reading: Reading | None = None,
    ) -> None:
        files = [file for file in raw_files(path) if file.match(pattern)]
        if not files:
            raise RawDataError(f"{path}: no file matches {pattern!r}")
        found = read_folder(files, reading or Reading())
        self._scans, problems = found.scans, found.problems
        report = "\n".join(f"  {problem}" for problem in problems)
        if problems and not (skip_unreadable and self._scans):
            raise RawDataError(
                f"{path}: {len(problems)} of {len(files)} files cannot be read:\n{report}\n"
                "Remove them, or leave them out with skip_unreadable=true (on the command line "
                "data.train.scans.skip_unreadable=true)."
            )
        if problems:
            print(f"{path}: left out {len(problems)} files:\n{report}", file=sys.stderr)  # noqa: T201

    @overload
    def __getitem__(self, index: int) -> Scan: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Scan, ...]: ...
    def __getitem__(self, index: int | slice) -> Scan | tuple[Scan, ...]:
        return self._scans[index]

    def __len__(self) -> int:
        return len(self._scans)

    def __iter__(self) -> Iterator[Scan]:
        return iter(self._scans)
