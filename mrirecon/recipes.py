"""Recipes: nodes that came with a file from elsewhere, checked before anything is built of them.

A recipe is data. It may hold numbers, words and nodes; it may name the parts of a reconstruction
method, and what the user trusts, but nothing else, because building a node runs code; and nothing
in it is ever resolved, looked up or expanded.
"""

import inspect
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from types import FunctionType, NoneType
from typing import Any

from torch import nn

from mrirecon.building import locate
from mrirecon.errors import ConfigError

PARTS = (
    "mrirecon.reconstructors",
    "mrirecon.networks",
    "mrirecon.sensitivity",
    "mrirecon.sampling",
    "mrirecon.data.transforms",
    "mrirecon.data.coil_compression",
    "torch.nn.modules",
)
"""Where the classes are of which methods are made; constructing one touches no file."""
EXPORTING = ("torch.nn", "mrirecon.data")
"""Packages that export such classes beside others."""
MODULES = ("mrirecon.reconstructors", "mrirecon.networks", "mrirecon.sensitivity", "torch.nn")
"""Where only modules are parts of methods; what else is there serves them."""
LOCAL = ("folder", "gigabytes")
"""Arguments of this package's classes that belong to a machine and its user, not to a method."""
BEGINNING = ("weights",)
"""Arguments that tell what a network began with: a recipe comes with weights of its own."""
NOBODYS = ("mrirecon", "torch", "numpy", "scipy", "hydra", "omegaconf", "pytorch_lightning")
"""Packages that hold no methods of the user's own, which nobody needs to trust."""
DEPTH, ENTRIES, LENGTH = 40, 20_000, 10_000  # far beyond any real recipe


def plain_node(value: Any, key: str) -> dict[str, Any]:
    """Copy a node of a recipe into plain containers of plain values.

    Args:
        value: Node as it was read.
        key: Place of the node, with the file, for the error message.

    Raises:
        ConfigError: When it holds anything but numbers, words, lists and dicts; when it is too
            large or too deep; or when a word would be an interpolation in a configuration, which a
            resolved recipe never has.
    """
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: expected a node with a _target_, got a {type(value).__name__}")
    copied: dict[str, Any] = _copied(value, key, DEPTH, Counter())
    return copied


def check_targets(
    node: Any, key: str, packages: Collection[str] = (), named: Collection[str] = ()
) -> None:
    """Refuse nodes that name anything but parts of methods, and what the user trusts.

    What is refused is not imported either.

    Args:
        node: Plain containers, as :func:`plain_node` returns them.
        key: Place of the node, for the error message.
        packages: Packages of which the user trusts all functions and classes that they define.
        named: Classes that the user has named without regard to the file.

    Raises:
        ConfigError: Naming the target.
    """
    packages = (packages,) if isinstance(packages, str) else packages
    for path, partial in _targets(node):
        if not isinstance(path, str) or not (
            _is_part(path, partial) or _is_trusted(path, packages) or _is_named(path, named)
        ):
            shown = path if isinstance(path, str) and path.isprintable() else repr(path)
            if isinstance(path, str) and _below(path, packages):
                raise ConfigError(
                    f"{key}: {shown} cannot be imported, or is defined elsewhere; a package of "
                    "trust= must be installed, or in a folder that PYTHONPATH names"
                )
            raise ConfigError(
                f"{key}: {shown} is not a class of mrirecon or torch.nn of which methods are made; "
                "a file from elsewhere may not name anything else, because building it would run "
                f"it{_advice(path)}"
            )


def targets(node: Any) -> set[str]:
    """Return all that a node names."""
    return {str(path) for path, _ in _targets(node)}


def portable(node: Any) -> Any:
    """Return a node without what belongs to a machine, such as folders of caches, or is past."""
    if isinstance(node, list):
        return [portable(child) for child in node]
    if not isinstance(node, dict):
        return node
    ours = str(node.get("_target_")).startswith("mrirecon.")
    return {
        key: portable(child)
        for key, child in node.items()
        if not (ours and key in (*LOCAL, *BEGINNING))
    }


def _copied(value: Any, key: str, depth: int, count: Counter[str]) -> Any:
    count["entries"] += 1
    if depth == 0 or count["entries"] > ENTRIES:
        raise ConfigError(
            f"{key[:100]}: more than {DEPTH} levels or {ENTRIES} entries; this is no recipe of a "
            "reconstruction method"
        )
    if type(value) in (list, tuple):
        return [_copied(child, f"{key}[{i}]", depth - 1, count) for i, child in enumerate(value)]
    if isinstance(value, dict):
        for name in value:
            if type(name) is not str:
                raise ConfigError(f"{key}: expected words as keys, got {name!r}")
            _refuse_interpolation(name, key)
        return {k: _copied(child, f"{key}.{k}", depth - 1, count) for k, child in value.items()}
    if type(value) is str:
        _refuse_interpolation(value, key)
    elif type(value) is int and abs(value) >= 2**63:
        raise ConfigError(f"{key}: the number has {len(hex(value)) - 2} hexadecimal digits")
    elif type(value) not in (int, float, bool, NoneType):
        raise ConfigError(
            f"{key}: a recipe holds numbers, words, lists and dicts, got a {type(value).__name__}"
        )
    return value


def _refuse_interpolation(word: str, key: str) -> None:
    if len(word) > LENGTH or "${" in word or word == "???":
        raise ConfigError(
            f"{key}: {word[:100]!r} is no value of a recipe, which is resolved when it is written; "
            "the file was not made by mrirecon"
        )


def _targets(node: Any) -> Iterator[tuple[Any, bool]]:
    if isinstance(node, list):
        for child in node:
            yield from _targets(child)
    elif isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"], bool(node.get("_partial_"))
        for child in node.values():
            yield from _targets(child)


def _is_part(path: str, partial: bool) -> bool:
    """Tell whether a path leads to a class that is defined in one of :data:`PARTS`."""
    if partial or not (_below(path, PARTS) or path.rpartition(".")[0] in EXPORTING):
        return False
    found = locate(path)
    if not inspect.isclass(found) or not _below(found.__module__, PARTS):
        return False
    return issubclass(found, nn.Module) or not _below(found.__module__, MODULES)


def _is_trusted(path: str, packages: Collection[str]) -> bool:
    if not _below(path, packages):
        return False
    found = locate(path)
    return isinstance(found, type | FunctionType) and _below(found.__module__, packages)


def _is_named(path: str, named: Collection[str]) -> bool:
    return path in named and inspect.isclass(locate(path))


def _below(path: str, packages: Collection[str]) -> bool:
    return any(f"{path}.".startswith(f"{package}.") for package in packages)


def _advice(path: Any) -> str:
    """Tell how to trust a package, as far as the path looks like one's own class."""
    package, _, name = str(path).partition(".")
    own = package.isidentifier() and all(part.isidentifier() for part in name.split("."))
    if not own or package in NOBODYS or package in sys.stdlib_module_names:
        return ""
    return (
        f". If it is your own, or you know whose it is and trust it: trust=[{package}], or choose "
        "the same class yourself, with model= or preprocessing="
    )
