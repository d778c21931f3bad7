"""How values are written in yardl's binary encoding, by the schema that a stream carries.

The schema is as foreign as the rest of a file. All kinds that it defines take at least one byte, so
that reading takes no longer than the stream is long, and kinds that contain themselves are refused.
Arrays are not read, but told where they are.

References:
    The encoding: https://microsoft.github.io/yardl/reference/binary.html
"""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.readers.mrd.cursor import Cursor

DEEPEST, MOST = 64, 20_000
"""Kinds within kinds, and kinds altogether, that a schema may have; MRD has 12 and 500."""
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


def _fixed(code: str, dtype: str) -> Kind:
    layout = struct.Struct(f"<{code}")

    def read(cursor: Cursor, keep: bool) -> Any:  # noqa: ARG001
        return layout.unpack_from(cursor.stream, cursor.skip(layout.size))[0]

    return Kind(read, np.dtype(dtype).itemsize, np.dtype(dtype))


def _complex(code: str, dtype: str) -> Kind:
    layout = struct.Struct(f"<{code}{code}")

    def read(cursor: Cursor, keep: bool) -> complex:  # noqa: ARG001
        return complex(*layout.unpack_from(cursor.stream, cursor.skip(layout.size)))

    return Kind(read, layout.size, np.dtype(dtype))


UNSIGNED = Kind(lambda cursor, _keep: cursor.unsigned(), integer=True)
SIGNED = Kind(lambda cursor, _keep: cursor.signed(), integer=True)
SIMPLE = {
    "bool": _fixed("?", "?"),
    "int8": _fixed("b", "i1"),
    "uint8": _fixed("B", "u1"),
    "float32": _fixed("f", "<f4"),
    "float64": _fixed("d", "<f8"),
    "complexfloat32": _complex("f", "<c8"),
    "complexfloat64": _complex("d", "<c16"),
    "string": Kind(_text),
    **dict.fromkeys(("uint16", "uint32", "uint64", "size"), UNSIGNED),
    **dict.fromkeys(("int16", "int32", "int64", "date", "time", "datetime"), SIGNED),
}


class Schema:
    """The named types of a schema, made into kinds when they are asked for.

    Raises:
        ValueError, LookupError, TypeError: When it is not as it should be.
    """

    def __init__(self, types: list[dict[str, Any]]) -> None:
        self._types = {one["name"]: one for one in types}
        self._made: dict[tuple[str, tuple[Kind, ...]], Kind] = {}
        self._count = self._depth = 0

    def kind(self, told: Any, arguments: Mapping[str, Kind] | None = None) -> Kind:
        """Return the kind of a type as the schema writes it.

        Args:
            told: A name, a list of cases, or a mapping with what the type is made of.
            arguments: Kinds that stand for the parameters of a generic type.
        """
        self._count += 1
        self._depth += 1
        if self._depth > DEEPEST or self._count > MOST:
            raise ValueError("types within types without an end")
        try:
            return self._kind(told, arguments or {})
        finally:
            self._depth -= 1

    def _kind(self, told: Any, arguments: Mapping[str, Kind]) -> Kind:
        if isinstance(told, str):
            if told in arguments:
                return arguments[told]
            return SIMPLE[told] if told in SIMPLE else self._named(told, ())
        if isinstance(told, list):
            return self._union(told, arguments)
        if "name" in told:
            given = tuple(self.kind(one, arguments) for one in told.get("typeArguments", ()))
            return self._named(told["name"], given)
        ((form, inside),) = told.items()
        if form == "map":
            pair = _record({end: self.kind(inside[end], arguments) for end in ("keys", "values")})
            return _vector(pair, None)
        items = self.kind(inside["items"], arguments)
        if form == "stream":
            return items
        if form == "vector":
            return _vector(items, inside.get("length"))
        if form == "array":
            return _array(items, inside.get("dimensions"))
        raise ValueError(f"unknown type {form!r}")

    def _named(self, name: str, given: tuple[Kind, ...]) -> Kind:
        key = (name.rpartition(".")[2], given)
        if key not in self._made:
            told = self._types[key[0]]
            arguments = dict(zip(told.get("typeParameters", ()), given, strict=True))
            if "fields" in told:
                fields = {one["name"]: self.kind(one["type"], arguments) for one in told["fields"]}
                self._made[key] = _record(fields)
            elif "values" in told:
                names = {one["value"]: one["symbol"] for one in told["values"]}
                self._made[key] = _enumeration(SIMPLE[told.get("base", "int32")], names)
            else:
                self._made[key] = self.kind(told["type"], arguments)
        return self._made[key]

    def _union(self, told: list[Any], arguments: Mapping[str, Kind]) -> Kind:
        cases: list[tuple[str, Kind | None]] = []
        for one in told:
            tagged = isinstance(one, dict) and "tag" in one
            inside = one["type"] if tagged else one
            kind = None if inside is None else self.kind(inside, arguments)
            cases.append((str(one["tag"]) if tagged else str(one), kind))
        if not cases:
            raise ValueError("a union without cases")

        def read(cursor: Cursor, keep: bool) -> Any:
            kind = chosen(cursor, cases)[1]
            return None if kind is None else kind.read(cursor, keep)

        return Kind(read, cases=tuple(cases))


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


def _record(fields: Mapping[str, Kind]) -> Kind:
    if not fields:
        raise ValueError("a record without fields")
    readers = [(name, kind.read) for name, kind in fields.items()]

    def read(cursor: Cursor, keep: bool) -> dict[str, Any] | None:
        if keep:
            return {name: one(cursor, True) for name, one in readers}
        for _, one in readers:
            one(cursor, False)
        return None

    return Kind(read, sum(kind.least for kind in fields.values()))


def _enumeration(base: Kind, names: Mapping[int, str]) -> Kind:
    def read(cursor: Cursor, keep: bool) -> Symbol:
        value = Symbol(base.read(cursor, keep))
        value.name = names.get(value)
        return value

    return Kind(read, base.least, base.dtype, base.integer)


def _vector(items: Kind, length: int | None) -> Kind:
    if length is not None:
        _refuse_sizes([length])

    def read(cursor: Cursor, keep: bool) -> list[Any] | None:
        count = cursor.length(items.least) if length is None else length
        return _elements(cursor, items, count, keep)

    return Kind(read, 1 if length is None else length * items.least)


def _elements(cursor: Cursor, items: Kind, count: int, keep: bool) -> list[Any] | None:
    if keep:
        return [items.read(cursor, True) for _ in range(count)]
    if items.dtype is not None:
        cursor.skip(count * items.least)
    elif items.integer:
        cursor.skip_integers(count)
    else:
        for _ in range(count):
            items.read(cursor, False)
    return None


def _array(items: Kind, dimensions: Any) -> Kind:
    """Return the kind of arrays; sizes stand before the elements unless the schema tells them."""
    axes = len(dimensions) if isinstance(dimensions, list) else dimensions
    told = [one.get("length") for one in dimensions] if isinstance(dimensions, list) else []
    fixed = tuple(told) if told and None not in told else None
    _refuse_sizes([*(fixed or ()), *([] if axes is None else [axes])])

    def read(cursor: Cursor, keep: bool) -> Stored:  # noqa: ARG001
        start, shape = cursor.place, fixed
        if shape is None:
            count = cursor.length(1) if axes is None else axes
            if count > DEEPEST:
                raise RawDataError(f"byte {start} of the stream announces {count} axes: damaged")
            shape = tuple(cursor.unsigned() for _ in range(count))
        values = math.prod(shape)
        cursor.check(values * items.least, start)
        place = cursor.place
        _elements(cursor, items, values, False)
        return Stored(place, shape, items.dtype)

    return Kind(read, 1 if fixed is None else math.prod(fixed) * items.least)


def _refuse_sizes(sizes: list[Any]) -> None:
    if any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError(f"sizes {sizes}")
