"""Siemens raw data (twix, ``.dat``): VB, and the multi-RAID files of VD, VE and XA.

Nothing is removed, averaged or corrected here: oversampling goes after whitening, as for every
format. Protocol and readout headers are translated to what ISMRMRD has, with the conventions of
siemens_to_ismrmrd.
"""

from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.acquired_scan import Measurement
from mrirecon.raw.readouts import Heads, Index, Readouts, classify
from mrirecon.raw.whitening import NoiseScan, noise_scan
from mrirecon.readers.acquisitions import AcquisitionScan
from mrirecon.readers.siemens.file import (
    Lines,
    Part,
    looks_like_twix,
    mapped,
    parts,
    read_lines,
    read_samples,
)
from mrirecon.readers.siemens.header import measurement_header
from mrirecon.readers.siemens.heads import SLICE_ACCEL_REFSCAN, convert, has_bit
from mrirecon.readers.siemens.protocol import (
    Protocol,
    coil_names,
    dwell_time,
    noise_dwell_time,
    read_protocol,
)

_RAW_DATA_CORRECTION = 10
_BLADE = (40, 41, 42)


@dataclass(frozen=True)
class TwixMeasurement(Measurement):
    """A measurement that knows where its readouts are, so that slices need no second search."""

    part: Part | None = None
    lines: Lines | None = None


class SiemensScan(AcquisitionScan):
    """Cartesian acquisitions as a Siemens scanner exports them.

    Raises:
        RawDataError: When the file is damaged, holds something that is not supported, or when the
            optional package ``twixtools`` is missing.
    """

    format = "Siemens twix"
    layout = "protocol and readouts of a .dat file, software VB to XA"

    def measurement(self) -> Measurement:
        with mapped(self.path) as view:
            found = parts(view)
            number, part, lines, notes = _choose(view, found, self.reading.measurement)
            told = read_protocol(view, part)
            heads = _heads(part, told, lines)
            _refuse(lines, told)
            header = measurement_header(told, heads, lines.channels, int(lines.mdh["MeasUID"][0]))
            kinds = classify(heads, None)
            noise = None
            if not len(kinds.noise):
                others = [other for other in range(len(found)) if other != number]
                noise = _noise_elsewhere(self.path, view, found, others)
        if has_bit(lines.mdh[kinds.imaging], _RAW_DATA_CORRECTION).any():
            notes = (
                *notes,
                "The scanner would scale each coil by a raw-data correction factor: not applied.",
            )
        return TwixMeasurement(str(number), header, heads, noise, notes, part=part, lines=lines)

    def fetch(self, measurement: Measurement, numbers: Index) -> Readouts:
        assert isinstance(measurement, TwixMeasurement)
        assert measurement.part is not None and measurement.lines is not None
        with mapped(self.path) as view:
            samples = [
                read_samples(view, measurement.part, measurement.lines, int(number))
                for number in numbers
            ]
        return Readouts(measurement.heads[numbers], samples)

    @classmethod
    def detect(cls, path: Path) -> bool:
        return looks_like_twix(path)

    @classmethod
    def noise_scan(cls, path: Path) -> NoiseScan | None:
        """Return the noise adjustment in a file, or None when there is none."""
        with mapped(path) as view:
            found = parts(view)
            return _noise_elsewhere(path, view, found, list(range(len(found))))


def _choose(
    view: mmap, found: list[Part], wanted: str | int | None
) -> tuple[int, Part, Lines, tuple[str, ...]]:
    """Return the wanted measurement; else the last one with imaging lines."""
    if wanted is not None:
        number = _named(found, wanted)
        return number, found[number], read_lines(view, found[number]), ()
    number, lines = len(found) - 1, None
    for number in reversed(range(len(found))):
        lines = read_lines(view, found[number])
        if len(classify(convert(lines.mdh, 0.0, 0.0), None).imaging):
            break
    assert lines is not None
    if len(found) == 1:
        return number, found[number], lines, ()
    note = (
        f"Of the measurements {_list(found)} the last one with imaging lines was read: "
        f"{number}; reading.measurement chooses another."
    )
    return number, found[number], lines, (note,)


def _named(found: list[Part], wanted: str | int) -> int:
    try:
        return range(len(found))[int(wanted)]
    except (ValueError, IndexError):
        for number, part in enumerate(found):
            if part.name == wanted:
                return number
    raise RawDataError(
        f"there is no measurement {wanted!r}; expected a number or a name of {_list(found)} "
        "for reading.measurement"
    )


def _list(found: list[Part]) -> str:
    return ", ".join(f"{number} {part.name}".strip() for number, part in enumerate(found))


def _heads(part: Part, told: Protocol, lines: Lines) -> Heads:
    noise = has_bit(lines.mdh, 25)
    samples = int(np.median(lines.mdh["SamplesInScan"][noise])) if noise.any() else 0
    interval = noise_dwell_time(told, samples, part.vb) if samples else 0.0
    return convert(lines.mdh, dwell_time(told), interval)


def _refuse(lines: Lines, told: Protocol) -> None:
    if has_bit(lines.mdh, SLICE_ACCEL_REFSCAN).any():
        raise RawDataError(
            "single-band reference lines show that slices were excited at once (multi-band, SMS); "
            "this is not supported yet"
        )
    if any(has_bit(lines.mdh, bit).any() for bit in _BLADE):
        raise RawDataError(
            f"the sequence {told.sequence!r} measured blades (BLADE, propeller), expected "
            "Cartesian lines; this is not supported yet"
        )


def _noise_elsewhere(
    path: Path, view: mmap, found: list[Part], numbers: list[int]
) -> NoiseScan | None:
    for number in reversed(numbers):
        part = found[number]
        lines = read_lines(view, part)
        if not has_bit(lines.mdh, 25).any():
            continue
        told = read_protocol(view, part)
        heads = _heads(part, told, lines)
        index = classify(heads, None).noise
        if len(index):
            samples = [read_samples(view, part, lines, int(i)) for i in index]
            labels = coil_names(told, lines.channels)
            origin = f"measurement {number} ({part.name}) of {path.name}"
            return noise_scan(Readouts(heads[index], samples), labels, origin)
    return None
