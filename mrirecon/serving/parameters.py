"""Settings that a client may change, because the owner of the server allows it."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mrirecon.errors import ConfigError
from mrirecon.records import record

Kind = Literal["boolean", "int", "double", "choice"]
Value = bool | int | float | str
CONFIG, IMAGES, SCALE = "config", "images", "scale"
OWN = (CONFIG, IMAGES, SCALE)
"""Keys of the server itself; all others are those of a method."""
NAMING = ("customconfig", CONFIG)
"""Names by which clients choose a configuration; the first that is not empty counts."""
EMPTY = ("", "null", "none", "None")
"""What consoles send for a setting that nobody has made."""


@dataclass(frozen=True)
class Parameter:
    """One setting of the console, and what it stands for.

    Free text is no kind of setting: a client must not be able to name a class, a file or weights.

    Attributes:
        key: Dotted key that the value is given to: ``model.weight``, or one of :data:`OWN`.
        type: Kind of the values.
        default: Value that holds when a client does not tell.
        minimum, maximum: Bounds of numbers.
        values: Words that a choice has.
        factor: What a number is multiplied by: consoles know no more than one decimal place.
        configs: Names of the configurations that have such a setting; empty when all have.
        label: Name that the console shows.
        unit: Unit of the values, in up to three letters.
        information: Sentence for the person at the console.
    """

    key: str
    type: Kind
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    factor: float = 1.0
    configs: tuple[str, ...] = ()
    label: str = ""
    unit: str = ""
    information: str = ""

    def __post_init__(self) -> None:
        if "_target_" in self.key or not self.key.strip():
            raise ValueError(f"key: {self.key!r} is no setting of a method")
        if self.type == "choice" and not self.values:
            raise ValueError("values: a choice needs some words")
        if self.type in ("int", "double") and None in (self.minimum, self.maximum):
            raise ValueError("minimum, maximum: a number needs both bounds")
        if self.type in ("int", "double") and self.minimum > self.maximum:  # type: ignore[operator]
            raise ValueError(f"minimum, maximum: {self.minimum:g} is larger than {self.maximum:g}")
        if not 0 < self.factor < math.inf:
            raise ValueError(f"factor: expected a positive number, got {self.factor}")
        if self.factor != 1 and self.type not in ("int", "double"):
            raise ValueError("factor: only numbers have one; leave it out")
        try:
            self.checked(self.default)
        except ValueError as error:
            raise ValueError(f"default: {error}") from error

    @property
    def outermost(self) -> tuple[Value, ...]:
        """Values that a client may give: the bounds of numbers, and all others there are."""
        if self.type == "boolean":
            return (True, False)
        if self.minimum is None or self.maximum is None:
            return self.values
        if self.type == "int":
            return (math.ceil(self.minimum), math.floor(self.maximum))
        return (self.minimum, self.maximum)

    def parsed(self, value: Any) -> Value:
        """Return what a value of a client stands for.

        Raises:
            ValueError: When it is none, or beyond the bounds.
        """
        found = self.checked(value)
        return found if isinstance(found, str) or self.factor == 1 else found * self.factor

    def checked(self, value: Any) -> Value:
        """Return a value as the kind that it should be of; consoles send all as text.

        Raises:
            ValueError: When it is none, or beyond the bounds.
        """
        text = str(value).strip()
        if self.type == "boolean":
            if text.lower() in ("true", "1"):
                return True
            if text.lower() in ("false", "0"):
                return False
            raise ValueError(f"expected true or false, got {text[:40]!r}")
        if self.type == "choice":
            if text in self.values:
                return text
            raise ValueError(f"expected one of {', '.join(self.values)}, got {text[:40]!r}")
        try:
            number = int(text) if self.type == "int" else float(text)
        except ValueError:
            kind = "a whole number" if self.type == "int" else "a number"
            raise ValueError(f"expected {kind}, got {text[:40]!r}") from None
        assert self.minimum is not None and self.maximum is not None
        if not self.minimum <= number <= self.maximum:
            raise ValueError(f"expected {self.minimum:g} to {self.maximum:g}, got {text[:40]}")
        return number


def parameters_of(tree: Mapping[str, Any] | None) -> dict[str, Parameter]:
    """Return the settings that a configuration allows, by the names that clients use.

    Raises:
        ValueError: Naming the setting that makes no sense.
    """
    found = {}
    for name, node in (tree or {}).items():
        try:
            found[str(name)] = record(Parameter, node, "it")
        except ValueError as error:
            kinds = ", ".join(get_args(Kind))
            raise ValueError(f"parameters.{name}: {error} (types: {kinds})") from error
        if name in NAMING and found[name].key != CONFIG:
            raise ValueError(
                f"parameters.{name}: by this name clients choose a configuration; "
                f"expected key: {CONFIG}, or another name"
            )
    return found


def refuse_strangers(parameters: Mapping[str, Parameter], names: Collection[str]) -> None:
    """Refuse settings that name configurations which do not exist.

    Args:
        parameters: Settings by name.
        names: Names of the configurations that there are.

    Raises:
        ConfigError: Naming the setting.
    """
    for setting, one in parameters.items():
        places = {"configs": one.configs, "values": one.values if one.key == CONFIG else ()}
        for place, given in places.items():
            if strange := [name for name in given if name not in names]:
                raise ConfigError(
                    f"parameters.{setting}.{place}: there is no configuration {strange[0]!r}; "
                    f"expected some of {', '.join(names)}"
                )


@dataclass(frozen=True)
class Settings:
    """What a client has set.

    Attributes:
        config: Name of a configuration; empty when it names none.
        values: Values by the keys that they are given to; those left out have their default.
        made: Keys of the values that the client has set itself.
        remarks: Sentences about what could not be done.
    """

    config: str
    values: Mapping[str, Value]
    made: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()


def read_settings(text: str, allowed: Mapping[str, Parameter]) -> Settings:
    """Read the JSON text of a client.

    Args:
        text: Text as it came.
        allowed: Settings that it may make.
    """
    values = {one.key: one.parsed(one.default) for one in allowed.values()}
    try:
        tree = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        return Settings("", values, remarks=(f"the settings are no JSON: {error}",))
    given = tree.get("parameters") if isinstance(tree, dict) else None
    if given is None and not tree:
        given = {}
    if not isinstance(given, dict):
        return Settings("", values, remarks=("the settings have no 'parameters'",))
    names = [str(given.get(key) or "") for key in NAMING]
    config = next((name for name in names if name not in EMPTY), "")
    remarks, made = [], set()
    for name, value in given.items():
        if name in NAMING and name not in allowed:
            continue
        if name not in allowed:
            remarks.append(f"the setting {str(name)[:40]!r} is unknown and has no effect")
        elif value is not None and str(value).strip() not in EMPTY:
            try:
                values[allowed[name].key] = allowed[name].parsed(value)
                made.add(allowed[name].key)
            except ValueError as error:
                remarks.append(f"{name}: {error}; {allowed[name].default} is used")
    return Settings(config, values, frozenset(made), tuple(remarks))
