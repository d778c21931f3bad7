"""The header of a GE P-file, for the revisions whose fields were checked against measured files.

See :mod:`mrirecon.readers.ge.layout` for where the fields are.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mrirecon.errors import RawDataError
from mrirecon.readers.ge.layout import (
    ACQUISITION_TABLE,
    COUNTS,
    EXAM,
    FIELD,
    IMAGE,
    LAYOUTS,
    LOGO,
    LOGO_PLACES,
    OF_IMAGE,
    PROTOCOL,
    SEQUENCE,
    SERIES,
)


@dataclass(frozen=True)
class PFileHeader:
    """What is understood of a P-file's header.

    Attributes:
        data: Place of the first byte of k-space.
        chopped: Every other view was measured with the opposite sign.
        coils, slices, views, samples: Shape of the data; views include the baseline.
        point_size: Bytes of one real number.
        frames: Views after the baseline, reference views included.
        lines: Phase-encoding lines of the image.
        echo_train: Echoes per excitation.
        image_size: Size of the scanner's square image.
        places: Number of each slice in the file, from 0, in anatomical order.
        view: Field of view along readout and phase encoding in mm; 0 when unknown.
        thickness: Thickness of a slice in mm.
        bandwidth: Receiver half bandwidth in kHz.
        times: TR, TE and TI in ms.
        flip_angle: Flip angle in degrees.
        field_strength: Field strength in T.
        sequence, protocol: Names of the pulse sequence and of the protocol.
    """

    data: int
    chopped: bool
    coils: int
    slices: int
    views: int
    samples: int
    point_size: int
    frames: int
    lines: int
    echo_train: int
    image_size: int
    places: tuple[int, ...]
    view: tuple[float, float]
    thickness: float
    bandwidth: float
    times: tuple[float, float, float]
    flip_angle: float
    field_strength: float
    sequence: str
    protocol: str


def looks_like_pfile(path: Path) -> bool:
    """Tell whether the file starts with a revision and GE's mark, in either byte order."""
    with path.open("rb") as stream:
        start = stream.read(128)
    if len(start) < 128:
        return False
    plausible = any(4.0 < struct.unpack_from(f"{order}f", start)[0] < 64.0 for order in "<>")
    return plausible and any(start[place : place + 2] == LOGO for place in LOGO_PLACES)


def read_pfile_header(path: Path) -> PFileHeader:
    """Read and check the header of a P-file.

    Raises:
        RawDataError: When the revision is unknown, the header is damaged, or the scan is of a kind
            whose order in the file is not known.
    """
    with path.open("rb") as stream:
        start = stream.read(max(layout.data for layout in LAYOUTS.values()))
    (revision,) = struct.unpack_from("<f", start)
    layout = LAYOUTS.get(int(revision)) if 4 < revision < 64 else None
    known = ", ".join(f"{number} ({LAYOUTS[number].data} bytes)" for number in LAYOUTS)
    advice = "convert the file to ISMRMRD with GE's Orchestra (ge_to_ismrmrd)"
    if layout is None:
        raise RawDataError(
            f"this is a GE P-file of revision {revision:g}, expected one of {known}; {advice}"
        )
    if len(start) < layout.data:
        raise RawDataError(
            f"the P-file has {len(start)} bytes, less than its header of {layout.data}: it is cut "
            "off; copy it again"
        )
    table = struct.unpack_from("<11i", start, layout.offsets)
    if table[0] != layout.data or not all(0 < offset < layout.data - 2048 for offset in table[1:]):
        raise RawDataError(
            f"the header of this P-file of revision {revision:g} says it is {table[0]} bytes long, "
            f"expected {known}; {advice}"
        )
    counts = _fields(start, COUNTS, layout.shift)
    first, last = struct.unpack_from("<hh", start, layout.receivers)
    image = _fields(start, OF_IMAGE, table[IMAGE])
    slices = int(counts["slices"])
    rows = [
        struct.unpack_from("<hh", start, table[ACQUISITION_TABLE] + number * layout.row)
        for number in range(min(slices, 2048))
        if table[ACQUISITION_TABLE] + (number + 1) * layout.row <= layout.data
    ]
    (gauss,) = struct.unpack_from("<i", start, table[EXAM] + FIELD)
    header = PFileHeader(
        data=layout.data,
        chopped=not int(counts["collect_type"]) & 1,
        coils=last - first + 1,
        slices=slices,
        views=int(counts["views"]),
        samples=int(counts["samples"]),
        point_size=int(counts["point_size"]),
        frames=int(counts["frames"]),
        lines=_whole(image["lines"]),
        echo_train=int(image["echo_train"]),
        image_size=int(counts["image_size"]),
        places=tuple(number - 1 for _, number in rows),
        view=(_sane(image["view"]), _sane(image["view_phase"])),
        thickness=_sane(image["thickness"]),
        bandwidth=_sane(image["bandwidth"]),
        times=(
            image["repetition_time"] / 1000,
            image["echo_time"] / 1000,
            image["inversion_time"] / 1000,
        ),
        flip_angle=float(image["flip_angle"]),
        field_strength=gauss / 1e4 if 0 < gauss < 300000 else 0.0,
        sequence=_text(start, table[IMAGE], SEQUENCE),
        protocol=_text(start, table[SERIES], PROTOCOL),
    )
    _refuse_unknown(header, counts)
    _check(header, path.stat().st_size)
    return header


def _refuse_unknown(header: PFileHeader, counts: Mapping[str, float]) -> None:
    reasons = {
        "several passes": counts["passes"] > 1,
        "several echoes": counts["echoes"] > 1,
        "3-D partitions": int(counts["collect_type"]) & 64,
        "EPI": "epi" in header.sequence,
        "spirals": "spiral" in header.sequence,
        "PROPELLER blades": "prop" in header.sequence,
        "spectroscopy": any(name in header.sequence for name in ("probe", "press", "csi", "fid")),
    }
    found = [name for name, present in reasons.items() if present]
    if found:
        raise RawDataError(
            f"this P-file (sequence {header.sequence!r}) holds {' and '.join(found)}, expected a "
            "2-D Cartesian scan with one echo and one pass; this is not supported. Convert it with "
            "GE's Orchestra"
        )


def _check(header: PFileHeader, size: int) -> None:
    shape = (header.coils, header.slices, header.views, header.samples)
    if min(shape) < 1 or header.point_size not in (2, 4):
        raise RawDataError(
            f"the header announces {shape} (coils, slices, views, samples) of {header.point_size} "
            "bytes, expected positive numbers of 2 or 4 bytes; the file is damaged"
        )
    values = header.coils * header.slices * header.views * header.samples
    expected = header.data + 2 * header.point_size * values
    if size != expected:
        raise RawDataError(
            f"the file has {size} bytes, but a header of {header.data} and {shape} (coils, slices, "
            f"views, samples) of {2 * header.point_size} bytes make {expected}: it is cut off, "
            "damaged, or of a kind that is not supported"
        )
    if sorted(header.places) != list(range(header.slices)):
        raise RawDataError(
            f"the table of slices lists {[place + 1 for place in header.places]}, expected each of "
            f"1 to {header.slices} once; the file is damaged or of a kind that is not supported"
        )
    surplus = header.frames - header.lines
    if header.views != header.frames + 1 or surplus not in (0, max(header.echo_train, 2)):
        raise RawDataError(
            f"{header.views} views hold one baseline and {header.frames} frames for an image of "
            f"{header.lines} lines with an echo train of {header.echo_train}; expected as many "
            "frames as lines, or one echo train more (reference views). Partial Fourier and "
            "accelerated P-files are not supported"
        )


def _fields(start: bytes, fields: Mapping[str, tuple[int, str]], base: int) -> dict[str, float]:
    return {
        name: struct.unpack_from(f"<{kind}", start, base + place)[0]
        for name, (place, kind) in fields.items()
    }


def _text(start: bytes, base: int, field: tuple[int, int]) -> str:
    raw = start[base + field[0] : base + sum(field)].split(b"\0")[0]
    return raw.decode("latin-1").strip()


def _sane(value: float) -> float:
    """Return a positive finite number below 1e5, or 0."""
    return value if 0.0 < value < 1e5 else 0.0


def _whole(value: float) -> int:
    return int(value) if 0.0 < value < 65536 and value == int(value) else 0
