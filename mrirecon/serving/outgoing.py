"""What waits to be sent to a client."""

import queue
import threading

from mrirecon.raw.messages import MessageId

Posted = tuple[MessageId, tuple[bytes, ...]]


class Outgoing:
    """Messages in the order in which they are to be sent, and how many bytes they have.

    Any thread puts messages; one takes them.
    """

    def __init__(self) -> None:
        self._messages: queue.Queue[Posted | None] = queue.Queue()
        self._lock = threading.Lock()
        self._size = 0

    def put(self, message: MessageId, *parts: bytes) -> int:
        """Add a message; returns the bytes that wait now."""
        with self._lock:
            self._size += sum(map(len, parts))
            size = self._size
        self._messages.put((message, parts))
        return size

    def end(self) -> None:
        """Let :meth:`take` find the end."""
        self._messages.put(None)

    def take(self) -> Posted | None:
        """Wait for the next message; None at the end."""
        posted = self._messages.get()
        if posted is not None:
            with self._lock:
                self._size -= sum(map(len, posted[1]))
        return posted
