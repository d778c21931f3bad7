"""Nodes of a configuration with every argument written out.

What is stored like this keeps its meaning when a default changes, and shows what can be changed.
"""

import inspect
from collections.abc import Callable
from types import NoneType
from typing import Any

from mrirecon.building import locate
from mrirecon.names import public_name

FOREIGN = ("torch", "pytorch_lightning", "hydra")
"""Packages whose defaults are theirs, and come and go with their versions."""


def completed(node: Any) -> Any:
    """Return a node with public names, and with the arguments that were left at their defaults.

    Args:
        node: Plain containers; interpolations are words and stay what they are. Arguments whose
            default is an object, which no configuration can hold, are left out.
    """
    return _renamed(node, _unset)


def default_of(target: str, name: str) -> Any:
    """Return the default of an argument as YAML writes it.

    Raises:
        KeyError: When it has none.
    """
    return _unset(target, {})[name]


def renamed(node: Any) -> Any:
    """Return a node with public names."""
    return _renamed(node, lambda _target, _arguments: {})


def _renamed(node: Any, more: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Any:
    """Give nodes their public names, and the arguments that ``more`` adds."""
    if isinstance(node, list):
        return [_renamed(child, more) for child in node]
    if not isinstance(node, dict):
        return node
    children = {name: _renamed(child, more) for name, child in node.items()}
    target = node.get("_target_")
    if not isinstance(target, str):
        return children
    return {**children, "_target_": public_name(target), **more(target, children)}


def _unset(target: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if target.partition(".")[0] in FOREIGN or not callable(found := locate(target)):
        return {}
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):  # of what other packages write in C
        return {}
    return {
        one.name: _as_yaml(one.default)
        for one in parameters
        if one.name not in arguments and one.default is not one.empty and _is_plain(one.default)
    }


def _is_plain(value: Any) -> bool:
    if type(value) in (tuple, list):
        return all(map(_is_plain, value))
    return type(value) in (int, float, str, bool, NoneType)


def _as_yaml(value: Any) -> Any:
    return [_as_yaml(one) for one in value] if isinstance(value, tuple | list) else value
