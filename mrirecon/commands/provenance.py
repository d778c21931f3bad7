"""The command line in the record of an output."""

import shlex

from mrirecon.commands.base import command_words
from mrirecon.privacy import Disclosure, private_command


def chosen_disclosure(name: str) -> Disclosure:
    """Return the choice of this name.

    Raises:
        ValueError: When there is none.
    """
    if name not in set(Disclosure):
        raise ValueError(f"provenance: expected one of {', '.join(Disclosure)}, got {name!r}")
    return Disclosure(name)


def told_command(disclosure: Disclosure, file: str = "") -> str:
    """Return the command line as it was typed, or without folders.

    Args:
        disclosure: Choice of what may be told.
        file: Name of the raw file that stands for what ``input`` found.
    """
    words = command_words()
    return shlex.join(words if disclosure is Disclosure.FULL else private_command(words, file))
