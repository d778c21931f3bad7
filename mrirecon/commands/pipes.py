"""Standard input and output, so that a container can be piped through."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import BinaryIO

from mrirecon.errors import ConfigError, OutputError

STANDARD = "-"


@contextmanager
def standard_input() -> Iterator[Path]:
    """Copy standard input to a temporary file named ``stdin``, whatever format it has.

    Raises:
        ConfigError: When standard input is a terminal.
    """
    if sys.stdin.isatty():
        raise ConfigError("input=- reads standard input, which is a terminal; pipe a raw file in")
    # what is copied may be a patient's; SIGTERM raises, so that it is removed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Yield standard output for bytes; what is printed meanwhile goes to standard error.

    Raises:
        ConfigError: When standard output is a terminal.
        OutputError: When nobody reads it any more.
    """
    if sys.stdout.isatty():
        raise ConfigError("output=- sends MRD images to standard output; pipe or redirect it")
    try:
        with redirect_stdout(sys.stderr):
            yield sys.__stdout__.buffer  # type: ignore[union-attr, misc]
    except BrokenPipeError as error:
        raise OutputError("standard output was closed before all images were sent") from error
