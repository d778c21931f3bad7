"""Headers of scans as JSON: what an index and packed files keep of them."""

from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from mrirecon.scan import ScanHeader


def header_from_json(value: dict[str, Any]) -> ScanHeader:
    """Turn what JSON makes of ``asdict(header)`` back into the header.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: When it is something else.
    """
    header: ScanHeader = _restored(ScanHeader, value)
    return header


def _restored(hint: Any, value: Any) -> Any:
    """Turn JSON back into dataclasses and tuples, as the type hints say."""
    if is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        return hint(**{f.name: _restored(hints[f.name], value[f.name]) for f in fields(hint)})
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        inner = [argument for argument in arguments if argument is not NoneType]
        return None if value is None else _restored(inner[0], value)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_restored(arguments[0], item) for item in value)
        return tuple(_restored(a, item) for a, item in zip(arguments, value, strict=True))
    return value
