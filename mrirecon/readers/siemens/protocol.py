"""Siemens' protocol, asked for what it tells."""

import math
import mmap
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.readers.siemens.file import Part, library

_MOST_SECTIONS = 64
_HUGE_INDEX = re.compile(r"\[\d{5,}\]")


@dataclass(frozen=True)
class Protocol:
    """The parsed sections of a protocol, asked tolerantly: what is missing is None."""

    sections: dict[str, Any]

    def value(self, path: str) -> Any:
        """Return an entry of MeasYaps, for instance ``sSliceArray.asSlice[0].dPhaseFOV``."""
        node: Any = self.sections.get("MeasYaps", {})
        for name in re.findall(r"\w+", path):
            try:
                node = node[int(name)] if isinstance(node, list) else node[name]
            except (KeyError, IndexError, ValueError, TypeError):
                return None
        return node

    def number(self, path: str) -> float | None:
        """Return an entry of MeasYaps when it is a finite number."""
        return as_number(self.value(path))

    def derived(self, *names: str) -> Any:
        """Return the first entry of these names that is set in another section."""
        for section in ("Meas", "Dicom", "Config"):
            for name in names:
                value = self.sections.get(section, {}).get(name)
                if value not in (None, "", []):
                    return value
        return None

    def positive(self, *names: str) -> float | None:
        """Return a derived entry when it is a positive number."""
        number = as_number(self.derived(*names))
        return number if number is not None and number > 0 else None

    @property
    def name(self) -> str:
        """Name of the protocol."""
        return str(self.derived("tProtocolName", "ProtocolName") or "").strip('"')

    @property
    def sequence(self) -> str:
        """Name of the sequence without its folder, lower case."""
        path = str(self.value("tSequenceFileName") or "").strip('"')
        return re.split(r"[\\/]", path)[-1].lower()


def read_protocol(view: mmap.mmap, part: Part) -> Protocol:
    """Parse the protocol sections that matter: MeasYaps, Meas, Dicom and Config.

    Raises:
        RawDataError: When they are missing or cannot be parsed.
    """
    length, count = struct.unpack_from("<II", view, part.start)
    texts: dict[str, str] = {}
    place, end = part.start + 8, min(part.start + length, part.stop)
    for _ in range(min(count, _MOST_SECTIONS)):
        stop = view.find(b"\0", place, min(place + 64, end))
        if stop < 0 or stop + 5 > end:
            break
        name = view[place:stop].decode("latin-1")
        (size,) = struct.unpack_from("<I", view, stop + 1)
        texts[name] = view[stop + 5 : min(stop + 5 + size, end)].decode("latin-1")
        place = stop + 5 + size
    if "MeasYaps" not in texts:
        found = ", ".join(name for name in texts if name.isalnum()) or "nothing"
        raise RawDataError(
            f"the protocol lacks the section MeasYaps (found: {found}); the file is damaged or "
            "was stripped of its protocol; export it again"
        )
    parse = library("twixprot").parse_buffer
    parsed = {}
    for name in ("MeasYaps", "Meas", "Dicom", "Config"):
        try:
            parsed[name] = parse(_without_huge_indices(texts.get(name, "")))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise RawDataError(
                f"the protocol section {name} cannot be parsed ({error!r}); export the file again"
            ) from error
    return Protocol(parsed)


def dwell_time(protocol: Protocol) -> float:
    """Return the sampling interval in µs, oversampling included, or 0 when unknown."""
    return max(protocol.number("sRXSPEC.alDwellTime[0]") or 0.0, 0.0) / 1000.0


def noise_dwell_time(protocol: Protocol, samples: int, vb: bool) -> float:
    """Return the sampling interval of the noise adjustment in µs; the protocol has the image's.

    The scanner's constants by software version, as siemens_to_ismrmrd has them.
    """
    name = protocol.sequence
    version = str(protocol.derived("SoftwareVersions") or "").upper()
    if vb:
        return 1e6 / samples / 130.0
    if "quiet" in name and "adj" in name:
        return 4.0
    if "XA" in version or "NX" in version or "adjcoilsens" in name:
        return 5.0
    return math.floor(76800 / samples) / 10.0


def coil_names(protocol: Protocol, channels: Sequence[int]) -> dict[int, str]:
    """Name the channels; empty when the protocol does not list as many coil elements.

    Channel ids count from 0, the ADC channels of the coil list from 1. Some lists give every
    element the same ADC channel: then their order counts.
    """
    elements = protocol.value("sCoilSelectMeas.aRxCoilSelectData[0].asList")
    if elements is None:
        elements = protocol.value("asCoilSelectMeas[0].asList")
    elements = [element for element in elements or () if isinstance(element, dict)]
    elements = [element for element in elements if as_number(element.get("lRxChannelConnected"))]
    if len(elements) != len(channels):
        return {}
    names = []
    for element in elements:
        coil = element.get("sCoilElementID", {})
        parts = (coil.get("tCoilID"), coil.get("lCoilCopy"), coil.get("tElement"))
        names.append(":".join(str(part).strip('"') for part in parts if part is not None))
    if len(set(names)) != len(names):
        return {}
    wired = [int(as_number(element.get("lADCChannelConnected")) or 0) for element in elements]
    if len(set(wired)) == len(wired):
        order = np.argsort(wired)
        names = [names[place] for place in order]
        wired = sorted(wired)
        if set(channels) == {channel - 1 for channel in wired}:
            return {i: names[wired.index(channel + 1)] for i, channel in enumerate(channels)}
    ranks = np.argsort(np.argsort(channels))
    return {i: names[rank] for i, rank in enumerate(ranks)}


def as_number(value: Any) -> float | None:
    """Return a finite number, decimal or hexadecimal, or None."""
    if isinstance(value, str):
        try:
            value = int(value, 16) if value.lower().startswith("0x") else float(value)
        except ValueError:
            return None
    if isinstance(value, (int, float)) and abs(value) < 1e12:  # neither nan nor infinity
        return float(value)
    return None


def _without_huge_indices(text: str) -> str:
    """Drop lines like ``a[123456789] = 1``, for which the parser would fill the memory."""
    lines = (line for line in text.splitlines(keepends=True) if not _HUGE_INDEX.search(line))
    return "".join(lines)
