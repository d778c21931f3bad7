"""An index of the headers of a folder's files, so that a large folder opens at once.

Entries are JSON, keyed by path in the folder, size, modification time and how the file is read, and
are as old as the version of mrirecon that made them: a changed file or a new version is read again.
The index lies in the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``), not beside the
data.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from mrirecon import __version__
from mrirecon.errors import OutputError, RawDataError
from mrirecon.files import Kind, atomic
from mrirecon.header_json import header_from_json
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.readers.base import FileScan
from mrirecon.readers.naming import scan_name
from mrirecon.readers.stamp import Stamp
from mrirecon.sampling.sampled_plane import SampledPlane
from mrirecon.scan import Scan, ScanHeader
from mrirecon.terminal import draws_bars

if TYPE_CHECKING:
    import mrirecon.types

CONTENT = 4
"""Raised when readers understand files differently within one version of mrirecon."""
OPENED = 64
"""Scans kept open per process; one of single readouts holds their headers. Small ones all stay."""


class IndexedScan(Scan):
    """A scan whose header is known; its file is opened when the first slice is asked for.

    Attributes:
        path: Path of the file.
        folder: Folder of the data set, in or below which the file lies.
        reading: Read options, which override what the file says.
    """

    def __init__(self, path: Path, folder: Path, reading: ReadOptions, header: ScanHeader) -> None:
        self.path, self.folder, self.reading, self.header = path, folder, reading, header
        self._kept: tuple[Stamp, FileScan] | None = None

    def _read(self, index: int) -> "mrirecon.types.Sample":
        return self._file()[index]

    def _read_stored(self, index: int) -> "mrirecon.types.Sample":
        return self._file().stored(index)

    def sampled(self, index: int) -> SampledPlane:
        return self._file().sampled(index)

    def _file(self) -> FileScan:
        stamp = Stamp.of(self.path)
        if self._kept is not None and self._kept[0] == stamp:
            return self._kept[1]
        scan = _open(stamp, self.folder, self.reading)
        if scan.header != self.header:
            raise RawDataError(
                f"{self.path}: was changed since the folder was read: "
                f"{'; '.join(_differences(self.header, scan.header))}; start again"
            )
        self._kept = (stamp, scan) if scan.small else None
        return scan

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}


def _differences(old: ScanHeader, new: ScanHeader) -> list[str]:
    pairs = ((f.name, getattr(old, f.name), getattr(new, f.name)) for f in fields(ScanHeader))
    return [f"{name} was {was}, is {now}" for name, was, now in pairs if was != now]


@lru_cache(maxsize=OPENED)
def _open(stamp: Stamp, folder: Path, reading: ReadOptions) -> FileScan:
    return open_scan(stamp.path, reading, folder)


@dataclass(frozen=True)
class Contents:
    """What is in a folder: readable scans, and for the other files the reason why they are not."""

    scans: tuple[IndexedScan, ...]
    problems: tuple[str, ...]


def read_folder(files: Sequence[Path], folder: Path, reading: ReadOptions) -> Contents:
    """Return the scans among ``files``, in this order; reads only what the index does not know.

    Args:
        files: Paths of files in ``folder`` or below it.
        folder: Folder of the data set.
        reading: Read options, which override what the files say.
    """
    place = index_path(folder, reading)
    known = _load(place)
    entries: dict[str, Any] = {}
    names = {file: scan_name(file, folder) for file in files}
    unknown = [file for file in files if not _valid(known.get(names[file]), file)]
    progress = tqdm(
        unknown, desc="reading headers", unit="file", leave=False,
        disable=len(unknown) < 20 or not draws_bars(),
    )  # fmt: skip
    for file in progress:
        entries[names[file]] = _describe(file, folder, reading)
    if entries:
        _save(place, known | entries)
    scans, problems = [], []
    for file in files:
        entry = entries.get(names[file]) or known[names[file]]
        if "problem" in entry:
            problems.append(entry["problem"])
        else:
            scans.append(IndexedScan(file, folder, reading, header_from_json(entry["header"])))
    return Contents(tuple(scans), tuple(problems))


def index_path(folder: Path, reading: ReadOptions) -> Path:
    """Return where the index of a folder is kept."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"{folder.resolve()} {reading} {__version__} {CONTENT}"
    return caches / "mrirecon" / "index" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"


def _describe(file: Path, folder: Path, reading: ReadOptions) -> dict[str, Any]:
    stat = file.stat()
    entry: dict[str, Any] = {"size": stat.st_size, "modified": stat.st_mtime_ns}
    try:
        return entry | {"header": asdict(open_scan(file, reading, folder).header)}
    except RawDataError as error:
        # perhaps of a file that is missing beside it
        return entry | {"problem": str(error), "folder": file.parent.stat().st_mtime_ns}


def _valid(entry: Any, file: Path) -> bool:
    stat = file.stat()
    return (
        isinstance(entry, dict)
        and (entry.get("size"), entry.get("modified")) == (stat.st_size, stat.st_mtime_ns)
        and ("header" in entry or entry.get("folder") == file.parent.stat().st_mtime_ns)
    )


def _load(place: Path) -> dict[str, Any]:
    """Read an index; one that is missing or damaged is made anew."""
    try:
        found = json.loads(place.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _save(place: Path, entries: dict[str, Any]) -> None:
    try:
        with atomic(place, Kind.CACHE, overwrite=True) as temporary:
            temporary.write_text(json.dumps(dict(sorted(entries.items()))))
    except OutputError as error:  # it only costs time: say so, and go on
        print(f"The index of headers could not be kept: {error}", file=sys.stderr)  # noqa: T201
