"""Standard output and error when nobody reads them any more, or when there are none."""

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from mrirecon.interruption import PIPE, ask

NAMES = {1: "stdout", 2: "stderr"}


class _Heard(io.FileIO):
    """A standard stream; when its reader is gone, what is written vanishes and the program stops.

    It stops as by SIGPIPE, which ends other programs then: a training saves itself first.
    """

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if threading.current_thread() is threading.main_thread():
                ask(PIPE)
            return memoryview(data).nbytes


@contextmanager
def heard() -> Iterator[None]:
    """Let this process stop as by SIGPIPE when nobody reads its standard output or error any more.

    Streams that the caller of the program has closed become empty ones, so that no other file gets
    their number. Streams that something else has taken over, such as a test, are left to it.
    """
    for number in (0, 1, 2):
        _open(number)
    before = {name: getattr(sys, name) for name in NAMES.values()}
    for number, name in NAMES.items():
        stream = before[name]
        if stream is None:  # Python has found it closed
            setattr(sys, f"__{name}__", _like(stream, number))
        if stream is None or stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _like(stream, number))
    try:
        yield
    finally:
        for name, stream in before.items():
            getattr(sys, name).flush()
            setattr(sys, name, stream)


def _open(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)  # the least number that is free
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)


def _like(stream: TextIO | None, number: int) -> TextIO:
    """Return a text stream to a file descriptor that is as buffered as another one."""
    if stream is not None:
        stream.flush()
    terminal, unbuffered = os.isatty(number), bool(getattr(stream, "write_through", False))
    raw = _Heard(number, "w", closefd=False)
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),  # type: ignore[arg-type]
        encoding=getattr(stream, "encoding", None),
        errors=getattr(stream, "errors", "replace"),
        line_buffering=bool(getattr(stream, "line_buffering", False)) or terminal,
        write_through=unbuffered,
    )
