"""The mark by which an output is known again: what kind it is, and that nobody changed it since.

It reads ``mrirecon output: KIND CHECK``, where CHECK is a checksum of everything else in the file.
It stands where a format has a place for it: an attribute of HDF5, ``descrip`` of NIfTI, the meta
header of DICOM, a text chunk of PNG, ``<meta name="generator">`` of HTML, a key of JSON. Tables
(CSV) have none: the JSON report beside them tells their checksums. Archives of torch have checksums
of their own; their first entry, which is stored as it is, holds the mark.
"""

import gzip
import io
import re
import struct
import zlib
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

BEGIN = "mrirecon output:"
BLANK = "0" * 8
HDF5_ATTRIBUTE = "mrirecon_output"
REPORT, STRESS_REPORT = "scores.json", "stress.json"
"""Either tells the checksums of the tables beside it."""
_MARK = re.compile(rb"mrirecon output: ([A-Za-z0-9 ]+?) ([0-9a-f]{8})")
_PNG_HEADER = 33
"""Bytes of a PNG before its second chunk."""
_DIGEST = re.compile(r"[0-9a-f]{24,64}")
"""Name of an entry of a cache: made of what is in it, so nobody else has a file of that name."""
_UNCHECKED = re.compile(rb"mrirecon output: ([A-Za-z0-9 ]+?) unchecked")
_BEGINNING = 1 << 16
"""Bytes among which the mark is looked for, before anything else is read."""


class Kind(StrEnum):
    """What an output is; it is replaced only by one of the same kind."""

    VOLUME = "volume"
    NIFTI = "NIfTI image"
    SIDECAR = "sidecar"
    PICTURE = "picture"
    PAGE = "quality page"
    DICOM = "DICOM image"
    MRD = "MRD images"
    MAPS = "coil sensitivities"
    RAW = "simulated raw data"
    REFERENCE = "simulated reference"
    PACKED = "packed scan"
    SCORES = "scores"
    TABLE = "table of scores"
    EVALUATION = "report of scores"
    CHECKPOINT = "converted checkpoint"
    CACHE = "cache entry"
    CARD = "model card"
    AUDIT = "audit"
    COMPARISON = "comparison of scores"
    STRESS = "stress test"
    CALIBRATION = "calibration"
    CALIBRATION_PAGE = "page of a calibration"


def mark(kind: Kind, *, checked: bool = True) -> str:
    """Return the mark for content that is still to be checked (see :func:`stamped`), or never."""
    return f"{BEGIN} {kind} {BLANK if checked else 'unchecked'}"


def stamped(content: bytes, kind: Kind) -> bytes:
    """Put the checksum of all other bytes into the mark that they hold.

    Raises:
        ValueError: When they hold no ``mark(kind)``.
    """
    blank = mark(kind).encode()
    place = content.index(blank) + len(blank) - len(BLANK)
    return content[:place] + _check(content) + content[place + len(BLANK) :]


def mark_hdf5(file: "h5py.File", kind: Kind) -> None:
    """Mark a file that is complete; objects or attributes that are added later are noticed."""
    file.attrs[HDF5_ATTRIBUTE] = f"{BEGIN} {kind} {_structure(file)}"


def mark_png(content: bytes, kind: Kind) -> bytes:
    """Return a PNG with the mark as its ``Software``, right after the header."""
    text = b"tEXtSoftware\0" + f"{BEGIN} {kind} ".encode() + _check(content)
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return content[:_PNG_HEADER] + chunk + content[_PNG_HEADER:]


def tables_mark(tables: dict[str, bytes]) -> dict[str, str]:
    """Return the checksums of the tables beside a report, by name."""
    return {name: _check(content).decode() for name, content in tables.items()}


def not_ours(path: Path, kind: Kind | None) -> str:
    """Return why ``path`` is no output of this kind; empty if it is one.

    A folder is one when all that is in it is, and something is.
    """
    if path.is_symlink():
        return "it is a link"
    if path.is_dir():
        if kind is not Kind.DICOM:
            return "it is a folder"
        files = sorted(path.iterdir())
        reasons = [f"{file.name} in it: {why}" for file in files if (why := _file(file, kind))]
        return reasons[0] if reasons else "" if files else "it is an empty folder"
    return _file(path, kind)


def _file(path: Path, kind: Kind | None) -> str:
    if path.is_symlink():
        return "it is a link"
    if not path.is_file():
        return "it is no regular file"
    if kind is Kind.CACHE and _DIGEST.fullmatch(path.stem):
        return ""  # however damaged
    try:
        found = _table(path) if kind is Kind.TABLE else found_kind(path)
    except (OSError, EOFError, ValueError, KeyError, zlib.error):
        found = None  # damaged, of another kind or unreadable
    if found is None:
        return "it is no output of mrirecon, or was changed since"
    return "" if found is kind else f"it is another output of mrirecon ({found})"


def found_kind(path: Path) -> Kind | None:
    """Return of which kind an unchanged output of mrirecon is; None for everything else.

    Raises:
        OSError, EOFError, ValueError, KeyError, zlib.error: When it cannot be read as what it
            looks like.
    """
    with path.open("rb") as stream:
        start = stream.read(_BEGINNING)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _hdf5(path)
    if start.startswith(b"PK"):
        return _known(found[1]) if (found := _UNCHECKED.search(start)) else None
    png, packed = start.startswith(b"\x89PNG\r\n\x1a\n"), start.startswith(b"\x1f\x8b")
    with gzip.open(path) if packed else path.open("rb") as content:
        return _stamped_kind(content, png)


def _stamped_kind(content: io.BufferedIOBase, png: bool) -> Kind | None:
    """The first mark counts: it is ours, whatever a header repeats after it."""
    start = content.read(_BEGINNING)
    found = _MARK.search(start)
    if found is None:
        return None
    if png:  # the whole chunk was put in
        start = start[:_PNG_HEADER] + start[found.end() + 4 :]
    else:
        start = start[: found.start(2)] + BLANK.encode() + start[found.end(2) :]
    check = zlib.crc32(start)
    while block := content.read(1 << 20):
        check = zlib.crc32(block, check)
    return _known(found[1]) if found[2] == f"{check:08x}".encode() else None


def _hdf5(path: Path) -> Kind | None:
    import h5py

    with h5py.File(path, "r") as file:
        told = file.attrs.get(HDF5_ATTRIBUTE)
        if not isinstance(told, str) or (found := _MARK.fullmatch(told.encode())) is None:
            return None
        return _known(found[1]) if found[2].decode() == _structure(file) else None


def _structure(file: "h5py.File") -> str:
    """Return a checksum of which objects and attributes there are, without reading the data."""
    lines = [f"@{name}" for name in file.attrs if name != HDF5_ATTRIBUTE]

    def visit(name: str, member: object) -> None:
        facts = (getattr(member, "shape", None), getattr(member, "dtype", None))
        lines.extend([f"{name} {facts}", *(f"{name}@{one}" for one in member.attrs)])  # type: ignore[attr-defined]

    file.visititems(visit)
    lines += [f"{name} link" for name in file]  # also those that lead elsewhere
    return _check("\n".join(sorted(lines)).encode()).decode()


def _table(path: Path) -> Kind | None:
    import json

    check = _check(path.read_bytes()).decode()
    for name, kind in ((REPORT, Kind.SCORES), (STRESS_REPORT, Kind.STRESS)):
        report = path.with_name(name)
        if report.is_symlink() or not report.is_file() or found_kind(report) is not kind:
            continue
        if json.loads(report.read_text("utf-8")).get("tables", {}).get(path.name) == check:
            return Kind.TABLE
    return None


def _known(name: bytes) -> Kind | None:
    return Kind(name.decode()) if name.decode() in set(Kind) else None


def _check(content: bytes) -> bytes:
    return f"{zlib.crc32(content):08x}".encode()
