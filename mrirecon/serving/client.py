"""The other end of a session: sends a measurement as a scanner does, and keeps the images."""

import json
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mrirecon.errors import MriReconError, RawDataError
from mrirecon.raw.messages import MessageId
from mrirecon.raw.mrd_images import IMAGE_HEADER
from mrirecon.raw.readouts import Readouts
from mrirecon.serving.images import Image
from mrirecon.serving.limits import MB, Limits
from mrirecon.serving.received import PIXELS, read_meta
from mrirecon.serving.wire import Incoming, Wire, name_body, text_body

SHOWN = 500
"""Characters of a server's sentence that are shown."""
MANY = 200
"""Different sentences of a server that are shown."""
LONGEST_META = 2**18
"""Bytes of the attributes of an image; those of consoles have less than a tenth of it."""
OVERHEAD = 2**15
"""Bytes that an image takes beside its message."""
LAST_WORDS = 3.0
"""Seconds in which a server that stops reading may still say why."""
Pause = Callable[[np.void, np.void], float]
"""Seconds between two readouts, from their headers."""


@dataclass(frozen=True)
class Order:
    """What a client sends before its readouts.

    Attributes:
        header: Text of the ISMRMRD header.
        config: Name of a configuration, or the text of one: XML or JSON, or of several lines.
        settings: Settings by name, as the console of a scanner sends them; empty for none.
    """

    header: str
    config: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def messages(self) -> tuple[tuple[MessageId, bytes], ...]:
        """Return the messages and their bodies."""
        text = self.config.lstrip().startswith(("<", "{")) or "\n" in self.config
        kind = MessageId.CONFIG_TEXT if text else MessageId.CONFIG_FILE
        body = text_body(self.config) if text else name_body(self.config)
        said = [(kind, body), (MessageId.HEADER, text_body(self.header))]
        if self.settings:
            written = json.dumps({"parameters": dict(self.settings)})
            said.append((MessageId.TEXT, text_body(written)))
        return tuple(said)


class Client:
    """Sends one measurement in the calling thread; a second one takes what comes back.

    Args:
        connection: Connected socket, which belongs to this object from now on.
        timeout: Seconds that the server may be silent after the last readout, or not read before.
        memory: Megabytes (2^20 bytes) of images that are kept at most.
        tell: Function that is given what the server says; called by the second thread.
    """

    def __init__(
        self,
        connection: socket.socket,
        timeout: float,
        memory: float,
        tell: Callable[[str], None],
    ) -> None:
        # while readouts are sent, perhaps slowly, the server may be silent for as long as it wants
        self._wire = Wire(connection, Limits(memory, idle=math.inf, stalled=timeout))
        self._wire.patience = timeout
        self._timeout, self._memory, self._tell = timeout, int(memory * MB), tell
        self._images: list[Image] = []
        self._said: set[str] = set()
        self._held = 0
        self._heard = time.monotonic()
        self._problem = ""
        self._closed = False
        self._ended = threading.Event()

    def exchange(
        self, order: Order, readouts: Iterable[Readouts], pause: Pause | None = None
    ) -> list[Image]:
        """Send everything; returns the images, in the order in which they came.

        Args:
            order: What comes before the readouts.
            readouts: Readouts in the order in which they were measured, some at a time.
            pause: Function that tells how long to wait between two readouts; None does not wait.

        Raises:
            MriReconError: When the server refuses the measurement, leaves before it has closed the
                session, falls silent, or sends something else than messages and images.
        """
        receiver = threading.Thread(target=self._receive, name="receiver", daemon=True)
        receiver.start()
        try:
            lost = self._send(order, readouts, pause)
            if not lost:
                self._await()
            elif not self._ended.wait(LAST_WORDS):
                self._problem = f"the server does not read what is sent ({lost})"
        finally:
            self._wire.stopped.set()
            receiver.join()
            self._wire.close()
        if self._problem:
            raise MriReconError(self._problem)
        if not self._closed:
            raise MriReconError(
                "the server ended the connection without a CLOSE message, after "
                f"{len(self._images)} images; its log may tell why"
            )
        return self._images

    def _send(self, order: Order, readouts: Iterable[Readouts], pause: Pause | None) -> str:
        """Send until the server ends the session; returns why nothing more can be sent."""
        heads = None
        try:
            for message, body in order.messages():
                self._wire.send(message, body)
            for some in readouts:
                for head, samples in zip(some.heads, some.samples, strict=True):
                    if pause and heads is not None:
                        self._ended.wait(pause(heads, head))
                    if self._ended.is_set():
                        return ""
                    self._send_readout(head, samples)
                    heads = head
            self._wire.send(MessageId.CLOSE)
        except OSError as error:
            return str(error) or "timed out"
        return ""

    def _send_readout(self, head: np.void, samples: np.ndarray) -> None:
        head = head.copy()
        head["trajectory_dimensions"] = 0  # Cartesian: the counters tell all
        values = np.ascontiguousarray(samples, "<c8").tobytes()
        self._wire.send(MessageId.ACQUISITION, head.tobytes(), values)

    def _await(self) -> None:
        """Wait for the end of the session, for as long as the server says or sends something."""
        self._heard = time.monotonic()
        while not self._ended.wait(max(0.01, self._heard + self._timeout - time.monotonic())):
            if time.monotonic() >= self._heard + self._timeout:
                self._problem = (
                    f"the server has been silent for {self._timeout:g} s after the last readout, "
                    f"with {len(self._images)} images sent; give it more time with timeout="
                )
                return

    def _receive(self) -> None:
        try:
            while (message := self._wire.receive()) is not None:
                self._heard = time.monotonic()
                if message.id == MessageId.CLOSE:
                    self._closed = True
                    break
                self._take(message)
                if self._problem:
                    break
        except RawDataError as error:
            self._problem = self._problem or f"the server: {error}"
        finally:
            self._ended.set()

    def _take(self, message: Incoming) -> None:
        if message.id == MessageId.TEXT:
            text = shown(message.text)
            if text[:3].upper() == "ERR":
                self._problem = f"the server says: {text}"
            else:
                self._tell_once(text)
        elif message.id == MessageId.IMAGE:
            image = image_of(message)
            self._held += message.size + OVERHEAD
            if self._held > self._memory:
                self._problem = (
                    f"the server sends more than {self._memory / MB:.0f} MB of images, the bound "
                    "of this client (memory=)"
                )
                return
            self._images.append(image)
        else:
            self._tell_once(f"a {message.id.name} message came and was left out")

    def _tell_once(self, text: str) -> None:
        """Pass on what the server says, so that no server can fill a terminal or a log."""
        if text in self._said or len(self._said) > MANY:
            return
        self._said.add(text)
        self._tell(text if len(self._said) <= MANY else "the server says more; it is left out")


def shown(text: str) -> str:
    """Return a server's sentence without what a terminal could take for a command."""
    printable = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(printable.split())[:SHOWN]


def image_of(message: Incoming) -> Image:
    """Return the image that a message holds.

    Raises:
        RawDataError: When its attributes cannot be read.
    """
    head, start = message.head.copy(), IMAGE_HEADER.itemsize
    (count,) = struct.unpack("<Q", message.body[start : start + 8].tobytes())
    if count > LONGEST_META:
        raise RawDataError(
            f"the attributes of an image have {count} bytes, expected at most {LONGEST_META}"
        )
    text = message.body[start + 8 : start + 8 + count].tobytes()
    values = message.body[start + 8 + count :].copy()  # aligned
    shape = (int(head["channels"]), *(int(one) for one in head["matrix_size"][::-1]))
    pixels = values.view(PIXELS[int(head["data_type"])]).reshape(shape)
    return Image(head, pixels, read_meta(text))
