"""Messages of the ISMRMRD / MRD version 1 stream, as scanners and containers exchange them.

Each message is a 16-bit id and a body whose length follows from its first bytes. Everything is
little endian. Ids and layouts are those of the reference library's ``serialization.py``.
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.mrd_images import IMAGE_HEADER
from mrirecon.raw.mrd_records import ACQUISITION_HEADER


class MessageId(IntEnum):
    """What follows."""

    CONFIG_FILE = 1
    CONFIG_TEXT = 2
    HEADER = 3
    CLOSE = 4
    TEXT = 5
    ACQUISITION = 1008
    IMAGE = 1022
    WAVEFORM = 1026
    ARRAY = 1030


CONFIG_FILE_BYTES = 1024
WAVEFORM_BYTES = 40
PIXEL_BYTES = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4, 6: 8, 7: 8, 8: 16}
"""Bytes per value by the data-type codes of images and arrays."""


Buffer = bytes | mmap.mmap


@dataclass(frozen=True)
class Message:
    """Where the body of a message lies in its stream: ``[start, stop)``."""

    id: MessageId
    start: int
    stop: int


def messages(stream: Buffer) -> Iterator[Message]:
    """Walk through a stream up to its CLOSE message, or its end.

    Raises:
        RawDataError: When an id is unknown, or the stream ends within a message.
    """
    place = 0
    while place < len(stream):
        (number,) = struct.unpack("<H", _take(stream, place, 2))
        if number not in MessageId._value2member_map_:
            raise RawDataError(
                f"byte {place} of the stream is the unknown message id {number}; expected an "
                "ISMRMRD (MRD version 1) stream. Is it damaged, or of MRD version 2? Convert that "
                "with mrd_to_ismrmrd"
            )
        message, start = MessageId(number), place + 2
        place = start + _length(message, stream, start)
        if place > len(stream):
            raise RawDataError(
                f"the stream ends within the {message.name} message at byte {start - 2}: it is "
                "truncated; send or copy it again"
            )
        yield Message(message, start, place)
        if message == MessageId.CLOSE:
            return


def _length(message: MessageId, stream: Buffer, start: int) -> int:
    if message == MessageId.CLOSE:
        return 0
    if message == MessageId.CONFIG_FILE:
        return CONFIG_FILE_BYTES
    if message in (MessageId.CONFIG_TEXT, MessageId.HEADER, MessageId.TEXT):
        return 4 + int(struct.unpack("<I", _take(stream, start, 4))[0])
    if message == MessageId.ACQUISITION:
        head = acquisition_head(stream, start)
        samples, channels = int(head["number_of_samples"]), int(head["active_channels"])
        trajectory = 4 * samples * int(head["trajectory_dimensions"])
        return ACQUISITION_HEADER.itemsize + trajectory + 8 * samples * channels
    if message == MessageId.WAVEFORM:
        samples, channels = struct.unpack("<HH", _take(stream, start + 28, 4))
        return WAVEFORM_BYTES + 4 * int(samples) * int(channels)
    if message == MessageId.IMAGE:
        size = IMAGE_HEADER.itemsize
        head = np.frombuffer(_take(stream, start, size), IMAGE_HEADER)[0]
        (attributes,) = struct.unpack("<Q", _take(stream, start + size, 8))
        values = int(np.prod(head["matrix_size"].astype(int))) * int(head["channels"])
        return size + 8 + int(attributes) + values * _value_bytes(int(head["data_type"]))
    kind, _, axes = struct.unpack("<HHH", _take(stream, start, 6))
    shape = struct.unpack(f"<{axes}Q", _take(stream, start + 6, 8 * axes))
    values = 1
    for size in shape:
        values *= size
    return 6 + 8 * int(axes) + values * _value_bytes(int(kind))


def acquisition_head(stream: Buffer, start: int) -> np.void:
    """Return the header of the ACQUISITION message whose body begins at ``start``."""
    size = ACQUISITION_HEADER.itemsize
    head: np.void = np.frombuffer(_take(stream, start, size), ACQUISITION_HEADER)[0]
    return head


def _value_bytes(kind: int) -> int:
    if kind not in PIXEL_BYTES:
        raise RawDataError(f"the stream has an image or array of unknown data type {kind}")
    return PIXEL_BYTES[kind]


def _take(stream: Buffer, start: int, count: int) -> bytes:
    found = stream[start : start + count]
    if len(found) < count:
        raise RawDataError(f"the stream ends at byte {len(stream)}, within a message: truncated")
    return found
