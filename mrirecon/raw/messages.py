"""Messages of the ISMRMRD / MRD version 1 stream, as scanners and containers exchange them.

Each message is a 16-bit id and a body whose length follows from its first bytes. Everything is
little endian. Ids and layouts are those of the reference library's ``serialization.py``.
"""

import math
import mmap
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

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


TEXTS = (MessageId.CONFIG_TEXT, MessageId.HEADER, MessageId.TEXT)
"""Messages that are a number of bytes and so many bytes of text."""
Buffer = bytes | mmap.mmap
Take = Callable[[int, int], bytes]


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
        place = start + body_length(message, partial(_body, stream, start))
        if place > len(stream):
            raise RawDataError(
                f"the stream ends within the {message.name} message at byte {start - 2}: it is "
                "truncated; send or copy it again"
            )
        yield Message(message, start, place)
        if message == MessageId.CLOSE:
            return


def body_length(message: MessageId, take: Take) -> int:
    """Return the bytes of a message's body, its announced lengths included, whatever they are.

    Args:
        message: Kind of the message.
        take: Function that returns bytes of the body by their place and number; those before the
            first one whose number is not known yet are asked for, and no others.

    Raises:
        RawDataError: When the body has values of an unknown type.
    """
    if message == MessageId.CLOSE:
        return 0
    if message == MessageId.CONFIG_FILE:
        return CONFIG_FILE_BYTES
    if message in TEXTS:
        return 4 + int(struct.unpack("<I", take(0, 4))[0])
    if message == MessageId.ACQUISITION:
        size = ACQUISITION_HEADER.itemsize
        head = np.frombuffer(take(0, size), ACQUISITION_HEADER)[0]
        samples, channels = int(head["number_of_samples"]), int(head["active_channels"])
        trajectory = 4 * samples * int(head["trajectory_dimensions"])
        return size + trajectory + 8 * samples * channels
    if message == MessageId.WAVEFORM:
        samples, channels = struct.unpack("<HH", take(28, 4))
        return WAVEFORM_BYTES + 4 * int(samples) * int(channels)
    if message == MessageId.IMAGE:
        size = IMAGE_HEADER.itemsize
        head = np.frombuffer(take(0, size), IMAGE_HEADER)[0]
        (attributes,) = struct.unpack("<Q", take(size, 8))
        shape = (*head["matrix_size"].tolist(), head["channels"].item())
        return size + 8 + int(attributes) + math.prod(shape) * _value_bytes(int(head["data_type"]))
    kind, _, axes = struct.unpack("<HHH", take(0, 6))
    shape = struct.unpack(f"<{axes}Q", take(6, 8 * axes))
    return 6 + 8 * int(axes) + math.prod(shape) * _value_bytes(int(kind))


def acquisition_head(stream: Buffer, start: int) -> np.void:
    """Return the header of the ACQUISITION message whose body begins at ``start``."""
    size = ACQUISITION_HEADER.itemsize
    head: np.void = np.frombuffer(_take(stream, start, size), ACQUISITION_HEADER)[0]
    return head


def _body(stream: Buffer, start: int, place: int, count: int) -> bytes:
    return _take(stream, start + place, count)


def _value_bytes(kind: int) -> int:
    if kind not in PIXEL_BYTES:
        raise RawDataError(f"the stream has an image or array of unknown data type {kind}")
    return PIXEL_BYTES[kind]


def _take(stream: Buffer, start: int, count: int) -> bytes:
    found = stream[start : start + count]
    if len(found) < count:
        raise RawDataError(f"the stream ends at byte {len(stream)}, within a message: truncated")
    return found
