"""MRD version 1 messages over a socket, for either end of the connection."""

import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex64, UInt8

from mrirecon.errors import RawDataError
from mrirecon.raw.messages import CONFIG_FILE_BYTES, MessageId, body_length
from mrirecon.raw.mrd_images import IMAGE_HEADER
from mrirecon.raw.mrd_records import ACQUISITION_HEADER
from mrirecon.serving.limits import Limits

ID_BYTES = 2
PIECE = 2**16
"""Bytes that are sent at once: so many must get through before the time is up."""
AHEAD = 2**18
"""Bytes that are received at once."""
WAKING = 0.2
"""Seconds after which it is looked whether the time is up."""
LINGER = 2.0
"""Seconds that the other end is given to read the end of a session."""


@dataclass(frozen=True)
class Incoming:
    """A message that has been received.

    Attributes:
        id: Kind of the message.
        body: Bytes that follow the id.
    """

    id: MessageId
    body: UInt8[np.ndarray, "_"]

    @property
    def size(self) -> int:
        """Bytes of the whole message."""
        return ID_BYTES + self.body.size

    @property
    def text(self) -> str:
        """Text of a message that is one, without what follows its terminating null."""
        skip = 0 if self.id == MessageId.CONFIG_FILE else 4
        return self.body[skip:].tobytes().partition(b"\0")[0].decode("utf-8", "replace")

    @property
    def head(self) -> np.void:
        """Header of an acquisition or of an image."""
        kind = IMAGE_HEADER if self.id == MessageId.IMAGE else ACQUISITION_HEADER
        head: np.void = np.frombuffer(self.body[: kind.itemsize], kind)[0]
        return head

    @property
    def samples(self) -> Complex64[np.ndarray, "coil sample"]:
        """Samples of an acquisition, whose trajectory is left out."""
        head = self.head
        samples, coils = int(head["number_of_samples"]), int(head["active_channels"])
        start = self.body.size - 8 * samples * coils
        values = self.body[start:].copy()  # aligned, and without the header
        return values.view("<c8").reshape(coils, samples).astype(np.complex64, copy=False)


class Wire:
    """One end of a connection. One thread receives; any number of threads send.

    Args:
        connection: Connected socket, which belongs to this object from now on.
        limits: Bounds on what the other end may send, and on how slow it may be.

    Attributes:
        patience: Seconds to wait for the other end to read something of what is sent.
        stopped: Set when no more is to be received; :meth:`receive` then ends soon.
    """

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        self._connection, self._limits = connection, limits
        self._connection.settimeout(WAKING)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ahead = memoryview(b"")
        self._sending = threading.Lock()
        self.patience = limits.idle
        self.stopped = threading.Event()

    def receive(self) -> Incoming | None:
        """Return the next message; None when the other end has left between two messages.

        Raises:
            RawDataError: When the message is none, is too large or incomplete, or does not come.
        """
        number = np.empty(ID_BYTES, np.uint8)
        late = f"no message came for {self._limits.idle:g} s"
        if not self._some(number.data[:1], time.monotonic() + self._limits.idle, late):
            return None
        self._fill(number.data[1:], "its id")
        (kind,) = struct.unpack("<H", number.tobytes())
        if kind not in MessageId._value2member_map_:
            raise RawDataError(f"message id {kind} is unknown, expected MRD version 1")
        message = MessageId(kind)
        return Incoming(message, self._body(message))

    def send(self, message: MessageId, *parts: bytes) -> None:
        """Send a message whose body is in parts.

        Raises:
            OSError: When the other end has left, or does not read for as long as ``patience``.
        """
        known = (struct.pack("<H", message), *parts)
        if sum(map(len, known)) <= PIECE:  # one packet instead of several
            known = (b"".join(known),)
        with self._sending:
            for part in known:
                for start in range(0, len(part), PIECE):
                    self._send_piece(memoryview(part)[start : start + PIECE])

    def _send_piece(self, piece: memoryview) -> None:
        started = time.monotonic()
        while len(piece):
            try:
                piece = piece[self._connection.send(piece) :]
            except TimeoutError:
                if time.monotonic() - started > self.patience:
                    raise

    def close(self) -> None:
        """End the connection, after the other end had a chance to read what was sent last."""
        deadline = time.monotonic() + LINGER
        with suppress(OSError):  # the other end may have gone
            self._connection.shutdown(socket.SHUT_WR)
            # closing while something is left to read would throw away what is on its way
            while self._connection.recv(AHEAD) and time.monotonic() < deadline:
                pass
        self._connection.close()

    def _body(self, message: MessageId) -> UInt8[np.ndarray, "_"]:
        known = bytearray()

        def take(place: int, count: int) -> bytes:
            if missing := place + count - len(known):
                self._refuse_long(message, len(known) + missing)
                known.extend(self._whole(missing, message.name))
            return bytes(known[place : place + count])

        length = body_length(message, take)
        self._refuse_long(message, length)
        body = np.empty(length, np.uint8)
        body[: len(known)] = np.frombuffer(known, np.uint8)
        self._fill(body.data[len(known) :], message.name)
        return body

    def _refuse_long(self, message: MessageId, length: int) -> None:
        longest = self._limits.longest(message)
        if length > longest:
            raise RawDataError(
                f"a {message.name} message announces {length} bytes, expected at most {longest}"
            )

    def _whole(self, count: int, what: str) -> bytes:
        found = bytearray(count)
        self._fill(memoryview(found), what)
        return bytes(found)

    def _fill(self, place: memoryview, what: str) -> None:
        """Fill memory, each piece of it within the time that a stalled connection is given."""
        for start in range(0, len(place), PIECE):
            piece, deadline = place[start : start + PIECE], time.monotonic() + self._limits.stalled
            while len(piece):
                late = f"a message ({what}) stopped for {self._limits.stalled:g} s"
                count = self._some(piece, deadline, late)
                if not count:
                    raise RawDataError(f"the connection ended within a message ({what})")
                piece = piece[count:]

    def _some(self, place: memoryview, deadline: float, late: str) -> int:
        """Receive at least one byte; returns how many, 0 at the end of the connection."""
        if not len(self._ahead) and not self._read_ahead(deadline, late):
            return 0
        count = min(len(place), len(self._ahead))
        place[:count] = self._ahead[:count]
        self._ahead = self._ahead[count:]
        return count

    def _read_ahead(self, deadline: float, late: str) -> bool:
        while not self.stopped.is_set():
            try:
                self._ahead = memoryview(self._connection.recv(AHEAD))
                return len(self._ahead) > 0
            except TimeoutError as error:
                if time.monotonic() > deadline:
                    raise RawDataError(late) from error
            except OSError as error:
                raise RawDataError(f"the connection was lost ({error})") from error
        return False


def text_body(text: str) -> bytes:
    """Return the body of a message that is text."""
    written = text.encode() + b"\0"
    return struct.pack("<I", len(written)) + written


def name_body(name: str) -> bytes:
    """Return the body of a CONFIG_FILE message."""
    return name.encode()[: CONFIG_FILE_BYTES - 1].ljust(CONFIG_FILE_BYTES, b"\0")
