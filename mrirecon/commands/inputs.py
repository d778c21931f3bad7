"""The raw files that a command line names: files, folders, patterns, or a list of these."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from mrirecon.data.raw_files import data_folder, files_of_scan, raw_files
from mrirecon.errors import RawDataError


def input_files(inputs: str | Sequence[str], pattern: str = "*") -> tuple[list[Path], Path | None]:
    """Return the files, and the folder that scans and outputs are named relative to.

    Of one file or folder that is the folder; of several, and of a pattern, it is what they have in
    common when file names alone would not tell them apart, else None: they go by their file names.

    Args:
        inputs: One path or several, each a file, a folder, or a shell pattern such as
            ``scans/P*/cine_lax.mat``.
        pattern: Shell pattern of the files of folders that belong; see :func:`raw_files`.

    Raises:
        RawDataError: When one of them names no file.
    """
    named = [inputs] if isinstance(inputs, str) else list(inputs)
    if not named:
        raise RawDataError("input: the list is empty; give files, folders or patterns")
    first = Path(named[0]).expanduser()
    if len(named) == 1 and first.exists():
        return raw_files(first, pattern), data_folder(first)
    found = [file for one in named for file in _files(Path(one).expanduser(), pattern)]
    data = {part for file in found for part in files_of_scan(file)[1:]}
    files = list({file.resolve(): file for file in found if file not in data}.values())
    stems = {file.stem for file in files}
    if len(stems) == len(files):
        return files, None
    absolute = [file.absolute() for file in files]
    return absolute, Path(os.path.commonpath([file.parent for file in absolute]))


def _files(path: Path, pattern: str) -> list[Path]:
    if path.exists() or not glob.has_magic(str(path)):
        return raw_files(path, pattern)
    found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute, too
    files = [file for file in found if file.is_file()]
    if not files:
        raise RawDataError(f"{path}: no file matches (in {Path.cwd()})")
    return files
