"""Whether progress bars can be drawn where the output goes."""

import os
import sys
from typing import Protocol, runtime_checkable


@runtime_checkable
class Stream(Protocol):
    """What is asked of a stream."""

    def isatty(self) -> bool: ...

    def fileno(self) -> int: ...


def draws_bars(*streams: Stream) -> bool:
    """Tell whether all of these are terminals that can draw a line anew; standard error by default.

    A file, a pipe and a dumb terminal (of an editor, say) would get another line for each step; on
    a terminal without width nothing would be seen.
    """
    if os.environ.get("TERM") == "dumb":
        return False
    return all(_has_width(stream) for stream in streams or (sys.stderr,))


def _has_width(stream: Stream) -> bool:
    if not stream.isatty():
        return False
    try:
        return os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, ValueError):  # no file behind it
        return False
