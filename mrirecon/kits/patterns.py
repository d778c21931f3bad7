"""Undersampling patterns that a kit names: those that are shipped, with plain settings."""

from collections.abc import Mapping
from typing import Any

import yaml

from mrirecon.choices import choices
from mrirecon.files import conf_folder

GROUP, NAME = "sampling", "name"


def check_pattern(told: Mapping[str, Any]) -> None:
    """Check the name of a pattern, and that its settings are numbers: a file holds no code.

    Raises:
        ValueError: When there is no such pattern, or a setting is something else.
    """
    known = choices(GROUP, [conf_folder()])
    if told.get(NAME) not in known:
        raise ValueError(f"sampling: name: expected one of {', '.join(known)}, got {told!r}")
    for key, value in told.items():
        numbers = value if isinstance(value, list) else [value]
        if key != NAME and not all(isinstance(one, int | float) for one in numbers):
            raise ValueError(f"sampling: {key}: expected numbers, got {value!r}")


def pattern_node(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node of the configuration that a checked pattern stands for."""
    file = conf_folder() / GROUP / f"{told[NAME]}.yaml"
    shipped: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {**shipped, **{key: value for key, value in told.items() if key != NAME}}
