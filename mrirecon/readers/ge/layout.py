"""Places of the fields of a GE P-file header.

GE does not publish the layout. Offsets are those that public readers agree on; they were verified
on a 2-D gradient echo (revision 26) and a 2-D fast spin echo (revision 20): counts against the file
size, matrix, field of view, slice distances, echo times, flip angles and bandwidth against each
other. Other revisions move fields and are refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LOGO = b"GE"
LOGO_PLACES = (34, 110)
ACQUISITION_TABLE, EXAM, SERIES, IMAGE = 3, 7, 8, 9  # places in the table of offsets


@dataclass(frozen=True)
class Layout:
    """Where the fields of one revision are.

    Attributes:
        data: Size of the header in bytes; k-space follows.
        offsets: Place in bytes of the table of offsets, which begins with ``data``.
        shift: Number of bytes that is added to the places of the scan's counts.
        receivers: Place in bytes of the first and last receiver.
        row: Size of a row of the acquisition table in bytes.
    """

    data: int
    offsets: int
    shift: int
    receivers: int
    row: int


LAYOUTS = {
    20: Layout(data=149788, offsets=1468, shift=0, receivers=200, row=48),
    26: Layout(data=213684, offsets=4, shift=76, receivers=264, row=72),
}
COUNTS: Mapping[str, tuple[int, str]] = {
    "collect_type": (56, "h"),
    "passes": (64, "h"),
    "slices": (68, "H"),
    "echoes": (70, "h"),
    "frames": (74, "h"),
    "point_size": (82, "h"),
    "samples": (102, "H"),
    "views": (104, "h"),
    "image_size": (110, "h"),
}
OF_IMAGE: Mapping[str, tuple[int, str]] = {
    "view": (304, "f"),
    "view_phase": (308, "f"),
    "thickness": (316, "f"),
    "bandwidth": (352, "f"),
    "lines": (684, "f"),
    "repetition_time": (1056, "i"),
    "inversion_time": (1060, "i"),
    "echo_time": (1064, "i"),
    "flip_angle": (1412, "h"),
    "echo_train": (1484, "h"),
}
SEQUENCE, PROTOCOL, FIELD = (1632, 33), (982, 65), 572
