"""The schema that a stream of yardl carries, made into kinds of values.

It is as foreign as the rest of a file: types that contain themselves are refused.
"""

from collections.abc import Mapping
from typing import Any

from mrirecon.readers.mrd.yardl_kinds import (
    SIMPLE,
    Kind,
    array,
    enumeration,
    record,
    union,
    vector,
)

DEEPEST, MOST = 64, 20_000
"""Types within types, and types altogether, that a schema may have; MRD has 12 and 500."""


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
            pair = record({end: self.kind(inside[end], arguments) for end in ("keys", "values")})
            return vector(pair, None)
        items = self.kind(inside["items"], arguments)
        if form == "stream":
            return items
        if form == "vector":
            return vector(items, inside.get("length"))
        if form == "array":
            return array(items, inside.get("dimensions"))
        raise ValueError(f"unknown type {form!r}")

    def _named(self, name: str, given: tuple[Kind, ...]) -> Kind:
        key = (name.rpartition(".")[2], given)
        if key not in self._made:
            told = self._types[key[0]]
            arguments = dict(zip(told.get("typeParameters", ()), given, strict=True))
            if "fields" in told:
                fields = {one["name"]: self.kind(one["type"], arguments) for one in told["fields"]}
                self._made[key] = record(fields)
            elif "values" in told:
                names = {one["value"]: one["symbol"] for one in told["values"]}
                self._made[key] = enumeration(SIMPLE[told.get("base", "int32")], names)
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
        return union(cases)
