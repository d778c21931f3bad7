"""Siemens twix files as bytes: measurements, readout headers (MDH) and samples.

``twixtools`` knows the records; the file is walked here, because its own reader goes on for ever in
a damaged file, prints instead of raising, and keeps every readout as an object of its own.

Software VB writes one measurement; VD, VE and XA begin with a table of up to 64 (multi-RAID).
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import Complex64, Int64

from mrirecon.errors import RawDataError

Mdh = np.ndarray
"""Structured array of readout headers, as ``twixtools`` names their fields."""

_RAID_ENTRIES = 64
_RAID_TABLE = 8 + 152 * _RAID_ENTRIES
_ACQEND, _SYNCDATA = 1 << 0, 1 << 5
_LARGEST = (1 << 25) - 1  # the length field of a readout has 25 bits


@dataclass(frozen=True)
class Part:
    """One measurement of a file: bytes ``[start, stop)``, and whether its layout is VB."""

    start: int
    stop: int
    name: str
    vb: bool


@dataclass(frozen=True)
class Lines:
    """Readout headers of one measurement, where they are, and the receive channels.

    Attributes:
        mdh: One header per readout; packets without samples (SYNCDATA) are left out.
        places: Position of each readout in the file.
        channels: Channel ids in the order in which the first readout stores them.
    """

    mdh: Mdh
    places: Int64[np.ndarray, "readout"]
    channels: tuple[int, ...]


@cache
def library(name: str) -> ModuleType:
    """Load one module of ``twixtools``, which only this format needs, without the package's others.

    Its own ``__init__`` imports what draws and transforms images, which takes longer than to read a
    file. The modules needed here are definitions that import none of it.

    Args:
        name: Name of the module: ``hdr_def``, ``mdh_def`` or ``twixprot``.

    Raises:
        RawDataError: When it is not installed.
    """
    package = find_spec("twixtools")
    found = package and PathFinder.find_spec(name, package.submodule_search_locations)
    if not found or not found.loader:
        raise RawDataError(
            "this is Siemens raw data (twix), which needs the package twixtools; "
            "install it with: pip install 'mrirecon[siemens]'"
        )
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Map a file for reading; nothing is read before it is used."""
    with path.open("rb") as stream:
        view = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            yield view
        finally:
            view.close()


def looks_like_twix(path: Path) -> bool:
    """Tell whether the file starts as twix files do; the library is not needed for this."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(32)
        if len(start) < 32:
            return False
        if _has_table(start):
            (offset,) = struct.unpack_from("<Q", start, 16)
            if not 0 < offset <= size - 32:
                return False
            stream.seek(offset)
            start = stream.read(32)
    return _starts_measurement(start)


def parts(view: mmap.mmap) -> list[Part]:
    """Return the measurements of a file.

    Raises:
        RawDataError: When the table of measurements is damaged or the file is cut off.
    """
    if not _has_table(view[:32]):
        return [Part(0, len(view), "", vb=True)]
    (count,) = struct.unpack_from("<I", view, 4)
    if len(view) < _RAID_TABLE:
        raise RawDataError(f"the file ends inside its table of {count} measurements; copy it again")
    table = np.frombuffer(view[:_RAID_TABLE], library("hdr_def").MultiRaidFileHeader)[0]
    found = []
    for number, entry in enumerate(table["entry"][:count]):
        start, length = int(entry["off_"]), int(entry["len_"])
        if not length and count == 1:  # written before the scan was finished
            length = len(view) - start
        if not _RAID_TABLE <= start <= len(view) - 32 or not 32 <= length <= len(view) - start:
            raise RawDataError(
                f"measurement {number} of {count} takes bytes {start} to {start + length}, the "
                f"file has {len(view)}: it is cut off or damaged; copy it again"
            )
        name = bytes(entry["protName_"]).decode("latin-1").strip()
        found.append(Part(start, start + length, name, vb=False))
    return found


def read_lines(view: mmap.mmap, part: Part) -> Lines:
    """Walk the readouts of a measurement and return their headers.

    Raises:
        RawDataError: When a header is damaged, or the measurement ends too early.
    """
    record, lead, samples_at, mask_at = _layout(part)
    (length,) = struct.unpack_from("<I", view, part.start)
    place = part.start + length
    places: list[int] = []
    while True:
        if place + record.itemsize > part.stop:
            raise RawDataError(
                f"the measurement ends after {len(places)} readouts without the mark of its end "
                "(ACQEND): the file is cut off, or the scan was aborted; copy or measure it again"
            )
        (mask,) = struct.unpack_from("<Q", view, place + mask_at)
        size = struct.unpack_from("<I", view, place)[0] & _LARGEST
        if mask & _ACQEND:
            break
        if not mask & _SYNCDATA:
            samples, channels = struct.unpack_from("<HH", view, place + samples_at)
            # the length in the header is not the whole one when readouts are packed
            size = (0 if part.vb else record.itemsize) + channels * (lead + 8 * samples)
            if not samples or not channels or place + size > part.stop:
                raise RawDataError(
                    f"readout {len(places)} at byte {place} claims {channels} channels of "
                    f"{samples} samples, {part.stop - place} bytes are left: the file is cut off "
                    "or damaged; copy it again"
                )
            places.append(place)
        elif size < record.itemsize:
            raise RawDataError(
                f"a packet at byte {place} claims a length of {size} bytes, less than its header; "
                "the file is damaged, copy it again"
            )
        place += size
    if not places:
        raise RawDataError("the measurement has no readouts; the acquisition was empty or aborted")
    mdh = np.frombuffer(b"".join(view[p : p + record.itemsize] for p in places), record)
    stray = np.flatnonzero(mdh["MeasUID"] != mdh["MeasUID"][0])
    if len(stray):
        raise RawDataError(
            f"readout {stray[0]} belongs to measurement {mdh['MeasUID'][stray[0]]}, those before to"
            f" {mdh['MeasUID'][0]}: the file is damaged; copy it again"
        )
    return Lines(mdh, np.array(places, np.int64), _channels(view, part, mdh[0], places[0]))


def read_samples(
    view: mmap.mmap, part: Part, lines: Lines, number: int
) -> Complex64[np.ndarray, "coil sample"]:
    """Return the samples of one readout as they were measured, oversampling included.

    Raises:
        RawDataError: When they are not finite, or the file has become shorter.
    """
    record, lead, _, _ = _layout(part)
    head = lines.mdh[number]
    channels, samples = int(head["UsedChannels"]), int(head["SamplesInScan"])
    start = int(lines.places[number]) + (0 if part.vb else record.itemsize)
    stop = start + channels * (lead + 8 * samples)
    if stop > len(view):
        raise RawDataError(f"readout {number} lies behind the end of the file; it has been changed")
    block = np.frombuffer(view[start:stop], np.uint8).reshape(channels, lead + 8 * samples)
    found = np.ascontiguousarray(block[:, lead:]).view("<c8").astype(np.complex64, copy=False)
    if not np.isfinite(found.view(np.float32)).all():
        raise RawDataError(
            f"readout {number} holds values that are not finite (NaN or infinity); the file is "
            "damaged, copy it again"
        )
    return found


def _has_table(start: bytes) -> bool:
    first, count = struct.unpack_from("<II", start)
    return first < 10000 and 1 <= count <= _RAID_ENTRIES and not _starts_measurement(start)


def _starts_measurement(start: bytes) -> bool:
    length, count = struct.unpack_from("<II", start)
    name = start[8:].split(b"\0")[0]
    return length > 32 and 1 <= count <= _RAID_ENTRIES and 4 <= len(name) < 20 and name.isalnum()


def _layout(part: Part) -> tuple[np.dtype, int, int, int]:
    """Return the MDH's dtype, bytes before each channel's samples, places of counts and flags."""
    structures = library("mdh_def")
    record = np.dtype(structures.VB17_header if part.vb else structures.Scan_header)
    lead = record if part.vb else np.dtype(structures.Channel_header)
    fields = record.fields or {}
    return record, lead.itemsize, fields["SamplesInScan"][1], fields["EvalInfoMask"][1]


def _channels(view: mmap.mmap, part: Part, head: np.void, place: int) -> tuple[int, ...]:
    record, lead, _, _ = _layout(part)
    of_channel = record if part.vb else np.dtype(library("mdh_def").Channel_header)
    at = (of_channel.fields or {})["ChannelId"][1] + (0 if part.vb else record.itemsize)
    step = lead + 8 * int(head["SamplesInScan"])
    count = int(head["UsedChannels"])
    return tuple(struct.unpack_from("<H", view, place + at + i * step)[0] for i in range(count))
