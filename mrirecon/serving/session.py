"""One session: from its first message to its last image."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mrirecon.errors import MriReconError, RawDataError
from mrirecon.raw.header import MeasurementHeader, parse_header
from mrirecon.raw.messages import MessageId
from mrirecon.serving.collector import Part
from mrirecon.serving.imaging import Imaging
from mrirecon.serving.limits import MB
from mrirecon.serving.outgoing import Outgoing
from mrirecon.serving.recording import Recording
from mrirecon.serving.shared import Ending, Shared
from mrirecon.serving.wire import Incoming, Wire, text_body

LOG = logging.getLogger(__name__)
MANY = 200
"""Sentences that a client is told; what a long series has to say more is left out."""


@dataclass
class _Asked:
    """What a client has said before its readouts."""

    config: str = ""
    settings: str = ""
    header: MeasurementHeader | None = None
    waveforms: int = 0


@dataclass
class Session:
    """A connected client, in a thread of its own that calls :meth:`serve`.

    Readouts are received in that thread, images are made in the one thread that computes, and sent
    by a third, so that neither a slow method nor a slow client keeps others waiting.

    Attributes:
        number: Number of the session, from 1.
        wire: Connection to the client.
        shared: What it shares with others.
        recording: File that what comes is saved in; None saves nothing.
        page: Path of the quality page; None makes none.
        ending: How it ended; None while it goes on.
        complete: Whether all readouts have come.
    """

    number: int
    wire: Wire
    shared: Shared
    recording: Recording | None = None
    page: Path | None = None
    ending: Ending | None = None
    complete: bool = False
    _asked: _Asked = field(default_factory=_Asked)
    _imaging: Imaging | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _done: threading.Event = field(default_factory=threading.Event)
    _outgoing: Outgoing = field(default_factory=Outgoing)
    _failure: str = ""
    _told: set[str] = field(default_factory=set)

    def serve(self) -> None:
        """Serve the client to the end."""
        started = time.monotonic()
        self.shared.budget.enter(self.number)
        sender = threading.Thread(target=self._send_all, name=f"sender-{self.number}", daemon=True)
        sender.start()
        self._done_well(self._receive)
        self._finish(sender)
        LOG.info(
            "session %d: %s%s after %.1f s: %d readouts, %d images",
            self.number,
            self.ending.value if self.ending else "",
            f" ({self._failure})" if self._failure else "",
            time.monotonic() - started,
            self._imaging.collector.count if self._imaging else 0,
            self._imaging.outlet.sent if self._imaging else 0,
        )
        self._imaging = None  # frees the readouts now: they refer to each other

    def fail(self, reason: str, ending: Ending = Ending.FAILED) -> None:
        """Tell the client why nothing more comes, and stop."""
        with self._lock:
            if self._stopped.is_set():
                return
            self._failure, self.ending = reason, ending
            self._stopped.set()
        self.tell("ERR", reason)
        self._outgoing.end()
        self._done.set()
        self.wire.stopped.set()

    def tell(self, kind: str, text: str) -> None:
        """Send a sentence to the client, once.

        Args:
            kind: Three letters: DBG, WRN or ERR.
            text: Text without line ends.
        """
        line = f"{kind} {' '.join(text.split())}"
        if line not in self._told and (len(self._told) < MANY or kind == "ERR"):
            self._told.add(line)
            level = {"ERR": logging.ERROR, "WRN": logging.WARNING}.get(kind, logging.INFO)
            LOG.log(level, "session %d: %s", self.number, line)
            self._outgoing.put(MessageId.TEXT, text_body(line))

    def _receive(self) -> None:
        while not self._stopped.is_set():
            message = self.wire.receive()
            if self._stopped.is_set():
                return
            if message is None or message.id == MessageId.CLOSE:
                if self.recording and message:
                    self.recording.add(message)
                self._end(closed=message is not None)
                return
            if self.recording:
                self.recording.add(message)
            self._take(message)

    def _take(self, message: Incoming) -> None:
        if message.id in (MessageId.CONFIG_FILE, MessageId.CONFIG_TEXT):
            self._asked.config = message.text.strip()
        elif message.id == MessageId.HEADER:
            if self._asked.header is not None:
                raise RawDataError("there is a second header, expected one measurement a session")
            self._asked.header = parse_header(message.text)
        elif message.id == MessageId.TEXT and self._imaging:
            self.tell("WRN", "settings that come after the first readout have no effect")
        elif message.id == MessageId.TEXT:
            self._asked.settings = message.text
        elif message.id == MessageId.WAVEFORM:
            self._asked.waveforms += 1
        elif message.id == MessageId.ACQUISITION:
            self._take_readout(message)
        else:
            raise RawDataError(
                f"a {message.id.name} message came, expected readouts: this server reconstructs "
                "raw data"
            )

    def _take_readout(self, message: Incoming) -> None:
        collector = (self._imaging or self._begin()).collector
        with self._lock:
            before = collector.held
            parts = collector.add(message.head, message.samples)
            kept = collector.held - before
        lent = sum(part.size for part in parts)
        if kept + lent > 0:
            self.shared.budget.take(self.number, kept + lent, self.shared.limits, lent)
        else:
            self.shared.budget.give(self.number, -kept - lent, -lent)
        for part in parts:
            self._schedule(part)

    def _begin(self) -> Imaging:
        """Choose the method, now that the first readout is there."""
        header = self._asked.header
        if header is None:
            raise RawDataError("a readout came before the header, expected the header first")
        choice, remarks = self.shared.chooser.choose(self._asked.config, self._asked.settings)
        for remark in remarks:
            self.tell("WRN", remark)

        def send(parts: tuple[bytes, ...]) -> None:
            limits = self.shared.limits
            if self._outgoing.put(MessageId.IMAGE, *parts) > limits.memory * MB:
                raise RawDataError(
                    f"more than {limits.memory:g} MB of images wait to be read by the client, the "
                    "bound of this server (memory=)"
                )

        self._imaging = Imaging(
            header,
            choice.method,
            choice.images,
            send,
            self.tell,
            self.shared.noise,
            bool(self.page),
        )
        LOG.info(
            "session %d: %s, %s, %s images",
            self.number, choice.name, choice.method.name, choice.images.pixels,
        )  # fmt: skip
        return self._imaging

    def _schedule(self, part: Part) -> None:
        def job() -> None:
            if not self._stopped.is_set() and (imaging := self._imaging):
                kept = 0

                def make() -> None:
                    nonlocal kept
                    kept = imaging.reconstruct(part, self._lock, streamed=True)

                self._done_well(make)
                self.shared.budget.give(self.number, part.size - kept, part.size)

        self.shared.work.put(job)

    def _done_well(self, action: Callable[[], None]) -> bool:
        """Do something; whatever goes wrong is told to the client and ends only this session."""
        try:
            action()
        except MriReconError as error:
            self.fail(str(error))
        except Exception:  # a fault of ours must not end the server, nor be shown on the wire
            LOG.exception("session %d", self.number)
            self.fail("internal error of the server; see its log")
        else:
            return True
        return False

    def _end(self, *, closed: bool) -> None:
        """All that the client wanted to send has come."""
        if self._asked.waveforms:
            self.tell("DBG", f"{self._asked.waveforms} waveforms were left out")
        if self._imaging is None:
            self.ending = Ending.PROBE
            self._close()
            return
        if not closed:
            self.tell("WRN", "the connection ended without a CLOSE message")
        self.complete = True
        self.wire.patience = self.shared.limits.stalled

        def last() -> None:
            stopped, imaging = self._stopped.is_set(), self._imaging
            if not stopped and imaging and self._done_well(lambda: imaging.finish(self._lock)):
                self._judge(imaging)
                self._close()

        self.shared.work.put(last)

    def _judge(self, imaging: Imaging) -> None:
        """Make the quality page, if one is wanted; the images are on their way, come what may."""
        if self.page is None:
            return
        try:
            imaging.judge(self.page)
        except Exception as error:  # noqa: BLE001 - see above
            LOG.warning("session %d: no quality page: %s", self.number, error)

    def _close(self) -> None:
        with self._lock:
            if self._stopped.is_set():
                return
            self._stopped.set()
            self.ending = self.ending or Ending.SERVED
        self._outgoing.put(MessageId.CLOSE)
        self._outgoing.end()
        self._done.set()

    def _send_all(self) -> None:
        """Send what is posted, in the thread of the sender, until the end is posted."""
        while (posted := self._outgoing.take()) is not None:
            try:
                self.wire.send(posted[0], *posted[1])
            except OSError as error:
                with self._lock:
                    if not self._failure:
                        self._failure = f"the client has left or does not read ({error})"
                        self.ending = Ending.FAILED
                    self._stopped.set()
                self._done.set()
                self.wire.stopped.set()
                return

    def _finish(self, sender: threading.Thread) -> None:
        self._done.wait()
        sender.join()
        self.wire.close()
        if self.recording:
            self.recording.close()
        self.shared.budget.leave(self.number)
