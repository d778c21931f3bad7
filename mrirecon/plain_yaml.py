"""YAML of files from elsewhere: plain containers, and no more of them than the text looks like."""

from typing import Any

import yaml

MOST = 200_000
"""Values in the largest tree that is read; those of an alias count wherever it stands."""


def plain_yaml(text: str) -> Any:
    """Return what a text holds as plain containers of plain values.

    A few lines of aliases of aliases stand for more values than any memory holds, and whatever
    walks through the tree would never end.

    Args:
        text: Content of a YAML file.

    Raises:
        yaml.YAMLError: When it is none, or holds too much, or itself.
    """
    try:
        tree = yaml.safe_load(text)
    except (RecursionError, ValueError, TypeError) as error:  # of its parser, numbers and dates
        raise yaml.YAMLError(f"it cannot be read: {error}") from error
    waiting, count = [tree], 0
    while waiting:
        value = waiting.pop()
        children: list[Any] = []
        if isinstance(value, dict):
            children = [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set):
            children = list(value)
        count += 1 + len(children)
        if count > MOST:
            raise yaml.YAMLError(
                f"it holds more than {MOST} values, perhaps by aliases (*) of aliases; expected "
                "far fewer"
            )
        waiting += children
    return tree
