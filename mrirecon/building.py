"""Builds objects from plain containers, checking every ``_target_`` against its signature first.

The signature is the schema: no config class repeats a constructor's arguments and defaults. Nodes
are written as for ``hydra.utils.instantiate`` (``_target_``, ``_partial_``); building them here
lets a list serve where the signature wants a tuple, and gives every error its key. Strings stay
what they are: nothing here resolves an interpolation, see :mod:`mrirecon.config`.
"""

import difflib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from beartype import BeartypeConf
from beartype.door import is_bearable

from mrirecon.errors import ConfigError, MriReconError
from mrirecon.missing import missing_package, needs
from mrirecon.names import public_name

T = TypeVar("T")
_RESERVED = {"_target_", "_partial_"}
_INT_IS_FLOAT = BeartypeConf(is_pep484_tower=True)  # YAML writes 1 for 1.0


def build_node(tree: Any, role: type[T], key: str, **given: Any) -> T:
    """Instantiate a node and make sure that the result plays ``role``.

    Args:
        tree: Plain containers; a dict with a ``_target_``.
        role: The type that the result must have, for instance ``Reconstructor``.
        key: Place of the node, for the error message (``model``, ``data.train`` ...).
        given: Arguments that no configuration can hold, such as objects built before.

    Raises:
        ConfigError: Naming every wrong target, argument and type below ``key`` at once.
    """
    target = locate(tree.get("_target_")) if isinstance(tree, dict) else None
    if inspect.isclass(target) and not issubclass(target, role):
        raise ConfigError(f"{key}: expected a {role.__name__}, but {target.__name__} is none")
    result = _build(tree, key, given)
    if not isinstance(result, role):
        raise ConfigError(
            f"{key}: expected a {role.__name__}, but {tree['_target_']} is a "
            f"{type(result).__name__}"
        )
    return result


def build_callable(tree: Any, key: str) -> Callable[..., Any]:
    """Like :func:`build_node` for what is only ever called: transforms, ``_partial_`` nodes."""
    result = _build(tree, key, {})
    if not callable(result):
        raise ConfigError(f"{key}: {tree['_target_']} is a {type(result).__name__}, not callable")
    return result


def build_kept(tree: Any, key: str) -> Callable[..., Any]:
    """Like :func:`build_callable` for what may be a function of a user, which is not called yet.

    Args:
        tree: Plain containers; a dict with a ``_target_``, a class or a function, and arguments.
        key: Place of the node, for the error message.

    Raises:
        ConfigError: As for :func:`build_node`.
    """
    if not (isinstance(tree, dict) and tree.get("_target_")):
        raise ConfigError(f"{key}: expected a name or a node with a _target_, got {tree!r}")
    is_class = inspect.isclass(locate(tree["_target_"]))
    return build_callable(tree if is_class else {**tree, "_partial_": True}, key)


def locate(path: Any) -> Any:
    """Import what a ``_target_`` names; None when there is no such thing."""
    module, _, name = public_name(str(path)).rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return None


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a value is of a type, as YAML writes it: lists are tuples, ints are floats."""
    if isinstance(value, list) and is_bearable(tuple(value), hint, conf=_INT_IS_FLOAT):
        return True
    return is_bearable(value, hint, conf=_INT_IS_FLOAT)


def as_hinted(value: Any, hint: Any) -> Any:
    """YAML knows no tuples: turn a list into one where the signature wants that."""
    if not isinstance(value, list) or hint is None:
        return value
    return value if is_bearable(value, hint, conf=_INT_IS_FLOAT) else tuple(value)


def type_name(hint: Any) -> str:
    """Name a type as a user of YAML would."""
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(type_name(argument) for argument in get_args(hint))
    if hint is NoneType:
        return "null"
    return hint.__name__ if inspect.isclass(hint) else str(hint)


def suggest(name: str, choices: list[str]) -> str:
    """Return a hint at what may have been meant, to be appended to a message."""
    close = difflib.get_close_matches(name, [c for c in choices if not c.startswith("_")], n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; it takes {', '.join(choices)}" if 0 < len(choices) < 15 else ""


def _build(tree: Any, key: str, given: dict[str, Any]) -> Any:
    if not isinstance(tree, dict) or "_target_" not in tree:
        raise ConfigError(f"{key}: expected a node with a _target_, got {tree!r}")
    if problems := list(_problems(tree, key, set(given))):
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"the configuration cannot be built:\n{listed}")
    return _instantiate(tree, key, given)


def _instantiate(node: Any, key: str, given: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_instantiate(child, f"{key}[{i}]", {}) for i, child in enumerate(node)]
    if not isinstance(node, dict):
        return node
    children = {
        name: _instantiate(child, f"{key}.{name}", {})
        for name, child in node.items()
        if name not in _RESERVED
    }
    if "_target_" not in node:
        return children
    target = locate(node["_target_"])
    hints = _hints(target)
    arguments = {name: as_hinted(value, hints.get(name)) for name, value in children.items()}
    for name, value in arguments.items():
        if name in hints and _holds_node(node[name]) and not fits(value, hints[name]):
            raise ConfigError(
                f"{key}.{name}: expected {type_name(hints[name])}, got a {type(value).__name__}"
                f"{_choices(hints[name])}"
            )
    if node.get("_partial_"):
        return functools.partial(target, **arguments, **given)
    try:
        return target(**arguments, **given)
    except (MriReconError, ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"{key}: {needs(error)}") from error


def _problems(node: Any, key: str, given: set[str]) -> Iterator[str]:
    if isinstance(node, list):
        for index, child in enumerate(node):
            yield from _problems(child, f"{key}[{index}]", set())
    if not isinstance(node, dict):
        return
    for name, child in node.items():
        yield from _problems(child, f"{key}.{name}", set())
    if "_target_" not in node:
        return
    target = locate(node["_target_"])
    if target is None:
        path = str(node["_target_"])
        hint = missing_package(path) or suggest(path.rsplit(".", 1)[-1], _siblings(path))
        yield f"{key}: cannot find {path}{hint}"
        return
    if not callable(target):
        kind = type(target).__name__
        yield f"{key}: {node['_target_']} is of type {kind}, no class and no function"
        return
    arguments = {name: value for name, value in node.items() if name not in _RESERVED}
    yield from _wrong_arguments(node, target, arguments, key, given)
    hints = _hints(target)
    for name, value in arguments.items():
        if name in hints and not _holds_node(value) and not fits(value, hints[name]):
            yield f"{key}.{name}: expected {type_name(hints[name])}, got {value!r}"


def _wrong_arguments(
    node: dict[str, Any], target: Any, arguments: dict[str, Any], key: str, given: set[str]
) -> Iterator[str]:
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError:  # of C, which tells only when it is called
        return
    names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in arguments:
            if name not in names:
                yield (
                    f"{key}.{name}: {target.__name__} has no such argument{suggest(name, names)}"
                )
    if node.get("_partial_"):
        return
    for p in parameters:
        required = p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        if required and p.name not in arguments and p.name not in given:
            yield f"{key}.{p.name}: missing; {target.__name__} requires it"


def _choices(hint: Any) -> str:
    """Tell what may take the place of a role, as far as it is known by now."""
    roles = [one for one in get_args(hint) or (hint,) if inspect.isabstract(one)]
    found: set[type] = set()
    while roles:
        found |= (children := set(roles.pop().__subclasses__()))
        roles.extend(children)
    names = sorted(one.__name__ for one in found if not inspect.isabstract(one))
    return f"; choose {', '.join(names)}" if names else ""


def _hints(target: Any) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError, AttributeError):  # annotations of other packages may not resolve
        return {}


def _holds_node(value: Any) -> bool:
    """Whether a value still is configuration, so that its type is not known before it is built."""
    if isinstance(value, list):
        return any(_holds_node(v) for v in value)
    return isinstance(value, dict)


def _siblings(path: str) -> list[str]:
    """Public names of the module that ``path`` points into, or modules of the package above."""
    module = path.rpartition(".")[0]
    while module:
        try:
            return dir(importlib.import_module(module))
        except ImportError:
            module = module.rpartition(".")[0]
    return []
