"""The server: accepts clients, one thread each, and computes for all of them in one more."""

import errno
import logging
import queue
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from mrirecon.errors import ConfigError
from mrirecon.raw.messages import MessageId
from mrirecon.serving.limits import Limits
from mrirecon.serving.recording import Folders
from mrirecon.serving.session import Session
from mrirecon.serving.shared import Ending, Shared
from mrirecon.serving.wire import WAKING, Wire, text_body

LOG = logging.getLogger(__name__)
REFUSALS = 64
"""Clients that are being told at once that there is no place for them; others are just left."""
HINTS = {
    errno.EADDRINUSE: "another program listens there: choose another port",
    errno.EACCES: "ports below 1024 are for root: choose another port",
}
OTHER_HOST = "expected the name or address of an interface of this machine, 127.0.0.1 or 0.0.0.0"
HASTY = Limits(stalled=2.0, idle=2.0)


@dataclass(frozen=True)
class Place:
    """Where the server listens, and how many clients it serves at once.

    Attributes:
        host: Address of the interface that it listens on.
        port: Port; 0 takes any that is free.
        sessions: Clients that may be connected at once.
    """

    host: str = "127.0.0.1"
    port: int = 9002
    sessions: int = 32


class Server:
    """An MRD version 1 streaming server.

    Args:
        place: Address, and number of clients.
        shared: What all sessions have in common.
        folders: Folders of files about sessions; None makes none.

    Raises:
        ConfigError: When the address cannot be listened on.
    """

    def __init__(self, place: Place, shared: Shared, folders: Folders | None = None) -> None:
        self._place, self._shared, self._folders = place, shared, folders or Folders()
        self._sessions: dict[int, tuple[Session, threading.Thread]] = {}
        self._number = 0
        self._refusals = threading.Semaphore(REFUSALS)
        try:
            self._socket = _listening(place)
        except (OSError, OverflowError, UnicodeError) as error:
            number = (error.errno or 0) if isinstance(error, OSError) else 0
            raise ConfigError(
                f"host={place.host} port={place.port}: cannot be listened on ({error}); "
                f"{HINTS.get(number, OTHER_HOST)}"
            ) from error
        self._socket.settimeout(WAKING)
        self._computing = threading.Thread(target=_compute, args=(shared.work,), daemon=True)
        self._computing.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    @property
    def computing(self) -> bool:
        """Whether the thread that computes is there still; :meth:`close` asks it to end."""
        return self._computing.is_alive()

    def serve(self, stopping: Callable[[], bool]) -> None:
        """Serve clients until ``stopping()`` is True, which is asked several times a second."""
        while not stopping():
            try:
                connection, peer = self._socket.accept()
            except TimeoutError:
                continue
            except OSError as error:  # too many open files, say: others may end meanwhile
                LOG.error("a client could not be accepted: %s", error)
                time.sleep(WAKING)
                continue
            self._welcome(connection, str(peer[0]))
        self._socket.close()

    def close(self, grace: float) -> str:
        """End all sessions; returns how many were finished and how many aborted, in words.

        Args:
            grace: Seconds that sessions get whose readouts have all come.
        """
        sessions = self._living()
        for session, _ in sessions:
            if not session.complete:
                session.fail("the server shuts down", Ending.ABORTED)
        deadline = time.monotonic() + grace
        for session, thread in sessions:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                session.fail("the server shuts down", Ending.ABORTED)
                thread.join(HASTY.idle)
        self._shared.work.put(None)
        self._computing.join(HASTY.idle)
        endings = Counter(session.ending for session, _ in sessions)
        finished = endings[Ending.SERVED] + endings[Ending.PROBE]
        return f"{finished} sessions finished, {len(sessions) - finished} aborted"

    def _living(self) -> list[tuple[Session, threading.Thread]]:
        for number, (_, thread) in list(self._sessions.items()):
            if not thread.is_alive():
                del self._sessions[number]
        return list(self._sessions.values())

    def _welcome(self, connection: socket.socket, peer: str) -> None:
        if len(self._living()) >= self._place.sessions:
            self._refuse(connection, peer)
            return
        self._number += 1
        LOG.info("session %d: from %s", self._number, peer)
        recording = self._folders.recording(self._number)
        page = self._folders.page(self._number)
        wire = Wire(connection, self._shared.limits)
        session = Session(self._number, wire, self._shared, recording, page)
        thread = threading.Thread(target=session.serve, name=f"session-{self._number}", daemon=True)
        self._sessions[self._number] = (session, thread)
        thread.start()

    def _refuse(self, connection: socket.socket, peer: str) -> None:
        LOG.warning("%s: refused, %d clients are connected", peer, self._place.sessions)
        if self._refusals.acquire(blocking=False):
            threading.Thread(target=self._tell_full, args=(connection,), daemon=True).start()
        else:
            connection.close()

    def _tell_full(self, connection: socket.socket) -> None:
        wire = Wire(connection, HASTY)
        try:
            many = f"{self._place.sessions} clients are connected"
            wire.send(MessageId.TEXT, text_body(f"ERR {many}, as many as this server takes"))
            wire.send(MessageId.CLOSE)
        except OSError as error:
            LOG.info("a refused client has left: %s", error)
        wire.close()
        self._refusals.release()


def _listening(place: Place) -> socket.socket:
    """Return a socket that listens; of a name with several addresses, at that of IP version 4."""
    try:
        versions = {ip_address(place.host).version}
    except ValueError:  # a name, which is looked up
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        versions = {4 if family == socket.AF_INET else 6 for family, *_ in found}
    family = socket.AF_INET if 4 in versions else socket.AF_INET6
    return socket.create_server((place.host, place.port), family=family, backlog=128)


def _compute(work: "queue.Queue[Callable[[], None] | None]") -> None:
    while (job := work.get()) is not None:
        job()
