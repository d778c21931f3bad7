"""Signals that ask the program to stop.

SIGINT is Ctrl-C; SIGTERM is sent by Slurm, Docker and ``timeout``; SIGUSR1 by Slurm's
``--signal=USR1@120``, before the time of a job is used up; SIGHUP when the terminal is closed or
its connection lost, and stays ignored under ``nohup``. They end a command with the exit status
that shells give, 130, 143, 138 and 129, after everything has been cleaned up. While
:func:`deferred` holds, the first one is only noted, so that a training can finish its update and
save itself; the second one stops at once.
"""

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import cast

NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
SIGNALS = tuple(signal.Signals[one] for one in NAMES if hasattr(signal, one))  # fewer on Windows
HANGUP = getattr(signal, "SIGHUP", None)
PIPE = int(getattr(signal, "SIGPIPE", 13))
"""Number of the signal that ends other programs when nobody reads what they write."""
SAME = 1.0
"""Seconds within which further signals are the same request: ``timeout`` sends two at once."""


class Interrupted(SystemExit):
    """A signal asked this process to stop; uncaught, it ends it with the right exit status.

    Args:
        number: Number of the signal.
        note: Note for the user, for instance how to go on.

    Attributes:
        code: Exit status, 128 plus the number.
    """

    def __init__(self, number: int, note: str = "") -> None:
        super().__init__(128 + number)
        self.number, self.note = number, note

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        return f"interrupted ({name})" + (f"; {self.note}" if self.note else "")


class _Watch:
    """What has been asked of this process; signals belong to the process, so there is one."""

    def __init__(self) -> None:
        self.process = 0  # that watches; 0 before any does
        self.deferring = False
        self.requested: int | None = None
        self.since = float("-inf")
        self.shields, self.pending = 0, cast(int | None, None)
        self.say = ""
        self.forward: Callable[[int], None] | None = None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self.process:  # forked: Ctrl-C reaches it too, but its parent decides
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        if number == HANGUP:
            _leave_the_terminal()
        now = time.monotonic()
        if self.requested is not None and now - self.since < SAME:
            return
        first, self.requested, self.since = self.requested is None, number, now
        if not (first and self.deferring):
            self.stop(number)
            return
        if self.say:
            with suppress(BrokenPipeError):  # not print, which must not be entered twice
                os.write(2, f"\n{signal.Signals(number).name}: {self.say}\n".encode())
        if self.forward is not None:
            self.forward(number)

    def stop(self, number: int) -> None:
        """Raise Interrupted, once no shield is held any more."""
        self.pending = number
        if not self.shields:
            self.pending = None
            raise Interrupted(number)


_WATCH = _Watch()


def _leave_the_terminal() -> None:
    """Let what is still written to a terminal that is gone vanish, instead of raising errors."""
    for descriptor in (1, 2):
        with suppress(OSError):  # it may be closed
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


def requested() -> int | None:
    """Return the number of the signal that has asked this process to stop, None if none has."""
    return _WATCH.requested


def answered() -> None:
    """Forget the request to stop: what it asked for has been done, and is no failure."""
    _WATCH.requested = None


def ask(number: int) -> None:
    """Ask this process to stop as by a signal of this number."""
    _WATCH.handle(number, None)


def watch() -> None:
    """Take over these signals, in this process; does nothing outside its main thread."""
    if threading.current_thread() is threading.main_thread():
        _WATCH.process = os.getpid()
        for number in SIGNALS:
            if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, _WATCH.handle)


def watch_again() -> None:
    """Take the signals back from a library that took them over, where this process watched them."""
    if _WATCH.process == os.getpid():
        watch()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let signals raise :class:`Interrupted`; what was done about them before comes back after."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    _WATCH.requested, _WATCH.deferring = None, False
    watch()
    try:
        yield
    except KeyboardInterrupt as error:  # of a library that has its own handler
        raise Interrupted(signal.SIGINT) from error
    finally:
        _WATCH.process, _WATCH.requested = 0, None
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def deferred(forward: Callable[[int], None] | None = None, say: str = "") -> Iterator[None]:
    """Note the first signal instead of stopping; the block looks at :func:`requested`.

    Args:
        forward: Called with its number, to tell other processes.
        say: What the user is told then.
    """
    _WATCH.deferring, _WATCH.forward, _WATCH.say = True, forward, say
    try:
        yield
    finally:
        _WATCH.deferring, _WATCH.forward, _WATCH.say = False, None, ""


@contextmanager
def shielded() -> Iterator[None]:
    """Let signals wait for the end of the block: short steps that belong together, cleaning up."""
    _WATCH.shields += 1
    try:
        yield
    finally:
        _WATCH.shields -= 1
        if _WATCH.pending is not None and not _WATCH.shields:
            _WATCH.stop(_WATCH.pending)
        if sys.exc_info()[0] is None and not _WATCH.shields:
            _stop_again()


def _stop_again() -> None:
    """Stop if that was asked for and came to nothing.

    Python drops what is raised while it removes an object (``Exception ignored in ...``).
    """
    if _WATCH.requested is not None and not _WATCH.deferring and _WATCH.process == os.getpid():
        raise Interrupted(_WATCH.requested)


def left_to_the_parent(_worker: int = 0) -> None:
    """Let a worker process live until its parent ends it.

    Signals often reach all processes of a group. The second SIGTERM ends a worker all the same.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)

    for number in SIGNALS:
        signal.signal(number, handle if number == signal.SIGTERM else signal.SIG_IGN)


def run(name: str, program: Callable[[], None]) -> None:
    """Run a program that these signals end, with one line and the exit status of the signal.

    Where nobody reads what it writes there is nothing to say, unless it tells how to go on.
    """
    try:
        with interruptible():
            program()
            _stop_again()
    except Interrupted as stop:
        if stop.number != PIPE or stop.note:
            print(f"{name}: {stop}", file=sys.stderr)  # noqa: T201
        raise
