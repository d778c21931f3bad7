"""How values are written in yardl's binary encoding, and how they are read.

All kinds of values take at least one byte, so that reading takes no longer than the stream is long.
Arrays are not read, but told where they are.

References:
    The encoding: https://microsoft.github.io/yardl/reference/binary.html
"""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.readers.mrd.cursor import Cursor

MOST_AXES = 64
"""Axes of an array."""
MOST_KEPT = 2**16
"""Values of a list of which something is kept; those of MRD have a few hundred."""
LARGEST = 2**62
"""Bytes that one value may take at least."""
Read = Callable[[Cursor, bool], Any]
"""Reads a value; without the second argument it is walked over and nothing is kept."""


@dataclass(frozen=True, eq=False)
class Kind:
    """How values are written.

    Attributes:
        read: Reads one of them.
        least: Smallest number of bytes that one takes.
        dtype: Layout of elements of an array where all take the same bytes, else None.
        integer: Whether it is one integer of varying length.
        cases: Tags and kinds of the cases of a union; a missing value has no kind.
    """

    read: Read
    least: int = 1
    dtype: np.dtype | None = None
    integer: bool = False
    cases: tuple[tuple[str, "Kind | None"], ...] = ()

    def __post_init__(self) -> None:
        if self.least > LARGEST:
            raise ValueError(f"values of more than {LARGEST} bytes")


@dataclass(frozen=True)
class Stored:
    """An array, of which only the place is known.

    Attributes:
        place: Byte of the stream where it begins.
        shape: Sizes of its axes, the last one fastest.
        dtype: Layout of its elements; None where they differ in length.
    """

    place: int
    shape: tuple[int, ...]
    dtype: np.dtype | None


class Symbol(int):
    """The number of an enumeration, which may have a name."""

    name: str | None


def _text(cursor: Cursor, keep: bool) -> str:
    text = cursor.take(cursor.length(1))
    return text.decode("utf-8", "replace") if keep else ""


def _unsigned(cursor: Cursor, keep: bool) -> int:  # noqa: ARG001
    return cursor.unsigned()


def _signed(cursor: Cursor, keep: bool) -> int:  # noqa: ARG001
    return cursor.signed()


def _packed(layout: struct.Struct, cursor: Cursor, keep: bool) -> Any:  # noqa: ARG001
    values = layout.unpack_from(cursor.stream, cursor.skip(layout.size))
    return values[0] if len(values) == 1 else complex(*values)


def _fixed(code: str, dtype: str) -> Kind:
    layout = struct.Struct(f"<{code}")
    return Kind(partial(_packed, layout), layout.size, np.dtype(dtype))


UNSIGNED, SIGNED = Kind(_unsigned, integer=True), Kind(_signed, integer=True)
SIMPLE = {
    "bool": _fixed("?", "?"),
    "int8": _fixed("b", "i1"),
    "uint8": _fixed("B", "u1"),
    "float32": _fixed("f", "<f4"),
    "float64": _fixed("d", "<f8"),
    "complexfloat32": _fixed("ff", "<c8"),
    "complexfloat64": _fixed("dd", "<c16"),
    "string": Kind(_text),
    **dict.fromkeys(("uint16", "uint32", "uint64", "size"), UNSIGNED),
    **dict.fromkeys(("int16", "int32", "int64", "date", "time", "datetime"), SIGNED),
}


def union(cases: Sequence[tuple[str, Kind | None]]) -> Kind:
    """Return the kind of a choice between cases, by tag; a missing value has no kind."""
    if not cases:
        raise ValueError("a union without cases")
    return Kind(partial(_read_case, cases), cases=tuple(cases))


def chosen(cursor: Cursor, cases: Sequence[tuple[str, Kind | None]]) -> tuple[str, Kind | None]:
    """Read which case of a union comes next; returns its tag and kind.

    Raises:
        RawDataError: When there is no such case.
    """
    number = cursor.byte()
    if number >= len(cases):
        raise RawDataError(
            f"byte {cursor.place - 1} of the stream chooses case {number} of {len(cases)}: it is "
            "damaged; send or copy it again"
        )
    return cases[number]


def _read_case(cases: Sequence[tuple[str, Kind | None]], cursor: Cursor, keep: bool) -> Any:
    _, kind = chosen(cursor, cases)
    return None if kind is None else kind.read(cursor, keep)


def record(fields: Mapping[str, Kind]) -> Kind:
    """Return the kind of a record, whose fields come one after the other."""
    if not fields:
        raise ValueError("a record without fields")
    readers = [(name, kind.read) for name, kind in fields.items()]
    return Kind(partial(_read_record, readers), sum(kind.least for kind in fields.values()))


def _read_record(
    readers: Sequence[tuple[str, Read]], cursor: Cursor, keep: bool
) -> dict[str, Any] | None:
    if keep:
        return {name: read(cursor, True) for name, read in readers}
    for _, read in readers:
        read(cursor, False)
    return None


def enumeration(base: Kind, names: Mapping[int, str]) -> Kind:
    """Return the kind of numbers of which some have names."""
    return Kind(partial(_read_symbol, base.read, names), base.least, base.dtype, base.integer)


def _read_symbol(read: Read, names: Mapping[int, str], cursor: Cursor, keep: bool) -> Symbol:
    value = Symbol(read(cursor, keep))
    value.name = names.get(value)
    return value


def vector(items: Kind, length: int | None) -> Kind:
    """Return the kind of lists; their length stands before them unless it is given."""
    if length is None:
        return Kind(partial(_read_vector, items, None))
    _refuse_sizes([length])
    return Kind(partial(_read_vector, items, length), length * items.least)


def _read_vector(items: Kind, length: int | None, cursor: Cursor, keep: bool) -> list[Any] | None:
    count = cursor.length(items.least) if length is None else length
    if not keep:
        _skip(cursor, items, count)
        return None
    if count > MOST_KEPT:
        raise RawDataError(
            f"the list before byte {cursor.place} of the stream has {count} values, expected at "
            f"most {MOST_KEPT}: it is damaged; send or copy it again"
        )
    return [items.read(cursor, True) for _ in range(count)]


def _skip(cursor: Cursor, items: Kind, count: int) -> None:
    if items.dtype is not None:
        cursor.skip(count * items.least)
    elif items.integer:
        cursor.skip_integers(count)
    else:
        for _ in range(count):
            items.read(cursor, False)


def array(items: Kind, dimensions: Any) -> Kind:
    """Return the kind of arrays; sizes stand before the elements unless the schema tells them."""
    axes = len(dimensions) if isinstance(dimensions, list) else dimensions
    told = [one.get("length") for one in dimensions] if isinstance(dimensions, list) else []
    fixed = tuple(told) if told and None not in told else None
    _refuse_sizes([*(fixed or ()), *([] if axes is None else [axes])])
    least = 1 if fixed is None else math.prod(fixed) * items.least
    return Kind(partial(_read_array, items, axes, fixed), least)


def _read_array(
    items: Kind,
    axes: int | None,
    shape: tuple[int, ...] | None,
    cursor: Cursor,
    keep: bool,  # noqa: ARG001
) -> Stored:
    start = cursor.place
    if shape is None:
        count = cursor.length(1) if axes is None else axes
        if count > MOST_AXES:
            raise RawDataError(
                f"byte {start} of the stream announces an array of {count} axes, expected at most "
                f"{MOST_AXES}: it is damaged; send or copy it again"
            )
        shape = tuple(cursor.unsigned() for _ in range(count))
    values = math.prod(shape)
    cursor.check(values * items.least, start)
    place = cursor.place
    _skip(cursor, items, values)
    return Stored(place, shape, items.dtype)


def _refuse_sizes(sizes: list[Any]) -> None:
    if any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError(f"sizes {sizes}")
