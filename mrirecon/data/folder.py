"""The readable scans of a folder."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from mrirecon.data.index import IndexedScan, read_folder
from mrirecon.data.raw_files import data_folder, raw_files
from mrirecon.errors import RawDataError
from mrirecon.read_options import ReadOptions


class Folder(Sequence[IndexedScan]):
    """The scans of a folder, sorted by name; k-space is read on demand.

    Scans in folders below are named by their path relative to ``path`` (see
    :mod:`mrirecon.readers.naming`), and those whose file tells no patient get the first folder of
    it as their subject: give the folder that holds the patients' folders.

    Headers are kept in an index, so that only new and changed files are opened (see
    :mod:`mrirecon.data.index`).

    Args:
        path: Path of the folder.
        pattern: Shell pattern of the files that belong; one with a slash finds files in folders
            below, as :func:`~mrirecon.data.raw_files.raw_files` does.
        skip_unreadable: Report and leave out files that cannot be read, instead of refusing.
        reading: Read options, which override what the files say; None overrides nothing.

    Raises:
        RawDataError: Naming every unreadable file with its reason.
    """

    def __init__(
        self,
        path: str | Path,
        pattern: str = "*",
        skip_unreadable: bool = False,
        reading: ReadOptions | None = None,
    ) -> None:
        files = raw_files(path, pattern)
        found = read_folder(files, data_folder(path), reading or ReadOptions())
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
    def __getitem__(self, index: int) -> IndexedScan: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[IndexedScan, ...]: ...
    def __getitem__(self, index: int | slice) -> IndexedScan | tuple[IndexedScan, ...]:
        return self._scans[index]

    def __len__(self) -> int:
        return len(self._scans)

    def __iter__(self) -> Iterator[IndexedScan]:
        return iter(self._scans)
