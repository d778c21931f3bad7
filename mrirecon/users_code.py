"""Calls of functions that a user has brought: what they raise is told as theirs."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mrirecon.errors import ConfigError, MriReconError

PACKAGE, FOLDER = __name__.partition(".")[0], Path(__file__).parent
LENGTH = 300
"""At most so many characters of a message of theirs are shown."""


def described(function: Any) -> str:
    """Return the full name of a function, or of the class of an object that can be called."""
    function = getattr(function, "func", function)  # of a partial
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


@contextmanager
def users_code(key: str, function: Callable[..., Any]) -> Iterator[None]:
    """Turn what a user's function raises into one message that says whose it is, and where.

    An exit is told, too: it would end the program as if all were well. What parts of this package
    raise stays as it is.

    Args:
        key: Place where the user has named it, for instance ``segmenter``.
        function: Function, class or object that is called in the block.

    Raises:
        ConfigError: When the block raises anything but an error of this package or a signal.
    """
    name = described(function)
    try:
        yield
    except (Exception, SystemExit) as error:
        signal = isinstance(error, SystemExit) and type(error) is not SystemExit
        if signal or isinstance(error, MriReconError) or name.startswith(f"{PACKAGE}."):
            raise
        said = " ".join(str(error).split())[:LENGTH]
        raise ConfigError(
            f"{key}: {name}, which is no part of {PACKAGE}, raised {type(error).__name__}"
            f"{f': {said}' if said else ''}{_place(error)}"
        ) from error


def _place(error: BaseException) -> str:
    """Say in which line of the user's file it happened; empty when the call itself is wrong."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in frames if FOLDER not in Path(one.filename).parents]
    own = [one for one in theirs if one.filename == theirs[0].filename]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
