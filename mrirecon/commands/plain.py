"""The base of commands that take plain arguments instead of a configuration."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mrirecon.choices import documentation
from mrirecon.errors import MriReconError


def plain_parser(name: str, text: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the text of the command's module.

    Args:
        name: Name of the command.
        text: Docstring of its module.
    """
    return argparse.ArgumentParser(
        f"mrirecon {name}",
        description=text,
        epilog=documentation(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


@contextmanager
def told(name: str) -> Iterator[None]:
    """Print an error that was raised on purpose as one message, and end with exit status 1."""
    try:
        yield
    except MriReconError as error:
        sys.exit(f"mrirecon {name}: {error}")
