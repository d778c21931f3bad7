"""The header of MRD version 2, which is made of typed records, as that of version 1.

Version 2 has renamed the elements of the XML header and keeps their order and meaning. So its
records are given their former names, and both versions are understood by the same code.
"""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.header import MeasurementHeader, header_of
from mrirecon.readers.mrd.yardl_kinds import Symbol

FORMER = {
    "systemFieldStrengthT": "systemFieldStrength_T",
    "h1resonanceFrequencyHz": "H1resonanceFrequency_Hz",
    "fieldOfViewMm": "fieldOfView_mm",
    "multibandFactor": "multiband_factor",
    "tR": "TR",
    "tE": "TE",
    "tI": "TI",
    "flipAngleDeg": "flipAngle_deg",
}
"""Former names of what :func:`~mrirecon.raw.header.header_of` reads, where they are others."""
NUMBERED = re.compile(r"(kspaceEncodingStep|user)(\d)")
NOT_TOLD = {"calibrationMode": "noacceleration"}
"""Values that stand for a missing element."""


def typed_header(record: object) -> MeasurementHeader:
    """Return what the header of a stream of version 2 tells.

    Args:
        record: Mapping by the names of the stream's schema.

    Raises:
        RawDataError: When it is no header, or has no encoding.
    """
    if not isinstance(record, Mapping):
        raise RawDataError("the stream has no header, expected one before the readouts")
    root = Element("header")
    _add(root, record)
    return header_of(root, form="typed")


def _add(parent: Element, record: Mapping[str, Any]) -> None:
    for name, value in record.items():
        for one in value if isinstance(value, list) else [value]:
            text = _text(one)
            if one is None or NOT_TOLD.get(name) == text:
                continue
            element = Element(_former(name))
            parent.append(element)
            if isinstance(one, Mapping):
                _add(element, one)
            else:
                element.text = text.upper() if name == "patientPosition" else text


def _former(name: str) -> str:
    numbered = NUMBERED.fullmatch(name)
    if numbered:
        return f"{'kspace_encoding_step' if name[0] == 'k' else 'user'}_{numbered[2]}"
    return FORMER.get(name, name)


def _text(value: object) -> str:
    """Write a value; numbers in single precision get no more digits than they have."""
    if isinstance(value, Symbol):
        return value.name or str(int(value))
    if isinstance(value, float):
        with np.errstate(over="ignore"):
            single = np.float32(value)
        return str(single) if single == value else repr(value)
    return str(value)
