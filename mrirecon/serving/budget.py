"""Memory that all sessions share: when it is used up, all but the oldest session wait."""

import threading

from mrirecon.errors import RawDataError
from mrirecon.serving.limits import MB, Limits


class Budget:
    """Bytes of readouts and images that may be held at once.

    The oldest session never waits, so that sessions which have begun cannot block one another; the
    memory held is at most that of the budget and of one session.

    Args:
        megabytes: Size of the budget in units of 2^20 bytes.
    """

    def __init__(self, megabytes: float) -> None:
        self.size = int(megabytes * MB)
        self._held: dict[int, int] = {}
        self._lent: dict[int, int] = {}
        self._changed = threading.Condition()

    def enter(self, session: int) -> None:
        """Let a session take part; sessions are as old as the order in which they enter."""
        with self._changed:
            self._held[session] = self._lent[session] = 0

    def leave(self, session: int) -> None:
        """Give back all that a session holds."""
        with self._changed:
            self._held.pop(session, None)
            self._lent.pop(session, None)
            self._changed.notify_all()

    def take(self, session: int, count: int, limits: Limits, lent: int = 0) -> None:
        """Take bytes, and wait until there are enough.

        Args:
            session: Number of the session.
            count: Bytes that it needs.
            limits: Bounds on the session.
            lent: Bytes of these that come back when work that waits is done.

        Raises:
            RawDataError: When the session has used up its own part, or waited too long.
        """
        largest = int(limits.memory * MB)
        with self._changed:

            def settled() -> bool:
                """Whether there is room, or no hope that the session's own work makes some."""
                room = self._held[session] + count <= largest
                return self._fits(session, count) if room else not self._lent[session]

            waited = self._changed.wait_for(settled, limits.idle)
            if self._held[session] + count > largest:
                raise RawDataError(
                    f"the session holds more than {limits.memory:.0f} MB of readouts and images, "
                    "the bound of this server (memory=)"
                )
            if not waited:
                raise RawDataError(
                    f"other sessions use up the memory of this server ({self.size / MB:.0f} MB, "
                    "total=); try again later"
                )
            self._held[session] += count
            self._lent[session] += lent

    def give(self, session: int, count: int, lent: int = 0) -> None:
        """Give bytes back.

        Args:
            session: Number of the session.
            count: Bytes that it needs no more.
            lent: Bytes of these that were lent to work which is done.
        """
        with self._changed:
            if session in self._held:
                self._held[session] -= count
                self._lent[session] -= lent
                self._changed.notify_all()

    def _fits(self, session: int, count: int) -> bool:
        oldest = next(iter(self._held)) == session
        return oldest or sum(self._held.values()) + count <= self.size
