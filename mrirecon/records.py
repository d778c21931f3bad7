"""Dataclasses of what a YAML file holds: every key and every kind of value is checked."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
LARGEST = 2**62
"""No number of a file is larger, so that sums and arrays hold it."""


def record(kind: type[T], tree: Any, place: str = "it") -> T:
    """Make a dataclass of plain containers; lists of dataclasses in it, too.

    Args:
        kind: Dataclass whose fields are words, some of certain words, numbers, dataclasses, tuples
            of these, dicts of anything, anything, or None.
        tree: Containers as YAML has them.
        place: Name of what they are, for the message.

    Raises:
        ValueError: When keys are missing or unknown, or a value is of another kind.
    """
    if not isinstance(tree, Mapping):
        raise ValueError(f"{place}: expected keys, got {shown(tree)}")
    known: dict[str, Any] = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    wrong = [f"{name} is no key of {place}" for name in tree if name not in known]
    wrong += [
        f"{place} lacks {name}"
        for name, field in known.items()
        if field.default is MISSING and name not in tree
    ]
    if wrong:
        raise ValueError(", ".join(wrong))
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], value, name) for name, value in tree.items()})


def _value(hint: Any, value: Any, name: str) -> Any:
    if hint is Any:
        return value
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        (hint,) = (one for one in get_args(hint) if one is not types.NoneType)
    if get_origin(hint) is dict:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise ValueError(f"{name}: expected names and values, got {shown(value)}")
        return value
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise ValueError(f"{name}: expected one of {', '.join(get_args(hint))}, got {shown(value)}")
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{name}: expected a list, got {shown(value)}")
        return tuple(_value(get_args(hint)[0], one, name) for one in value)
    if is_dataclass(hint):
        return record(hint, value, name)  # type: ignore[arg-type]
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
            raise ValueError(f"{name}: expected a whole number, got {shown(value)}")
        return value
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= LARGEST:  # neither NaN
            raise ValueError(f"{name}: expected a number, got {shown(value)}")
        return float(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name}: expected words, got {shown(value)}")
    words = " ".join(value.split())
    return words if words.isprintable() else words.encode("unicode_escape").decode()


def shown(value: Any, most: int = 100) -> str:
    """Return a value as a message shows it: printable, and not longer than the message."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
