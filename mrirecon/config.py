"""Reads what Hydra has composed: plain settings, and nodes that :mod:`mrirecon.building` builds.

Interpolations are resolved here and nowhere else, and only in what the user has configured: what
comes from a file (see :mod:`mrirecon.recipes`) never becomes part of a configuration unchecked.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_type_hints

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from mrirecon.building import as_hinted, build_callable, build_node, fits, suggest, type_name
from mrirecon.choices import choices
from mrirecon.errors import ConfigError
from mrirecon.files import conf_folder

T = TypeVar("T")


def settings(config: DictConfig, schema: type[T], groups: tuple[str, ...]) -> T:
    """Return the plain values of a command, checked against the fields of a dataclass.

    Args:
        config: The composed configuration.
        schema: The dataclass; its fields are the keys, its hints their types, the first line of
            its docstring the usage.
        groups: The other keys that the command knows; they hold nodes.

    Raises:
        ConfigError: Naming every unknown key and every value of the wrong type at once.
    """
    hints = get_type_hints(schema)
    known = [*hints, *groups]
    problems = [
        f"{key}: there is no such key{suggest(key, known) or '; there are ' + ', '.join(known)}"
        for key in map(str, config)
        if key not in known
    ]
    values = {name: plain(config.get(name), name) for name in hints}
    values = {name: None if value == "" else value for name, value in values.items()}
    usage = (schema.__doc__ or "").splitlines()[0]
    problems += [
        f"{name} is missing; usage: {usage}"
        if value is None
        else f"{name}: expected {type_name(hints[name])}, got {value!r}"
        for name, value in values.items()
        if not fits(value, hints[name])
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    try:
        return schema(**{name: as_hinted(value, hints[name]) for name, value in values.items()})
    except ValueError as error:
        raise ConfigError(str(error)) from error


def build(config: Any, role: type[T], key: str, **given: Any) -> T:
    """Resolve a node and instantiate it; see :func:`mrirecon.building.build_node`.

    Raises:
        ConfigError: Naming every wrong target, argument and type below ``key`` at once.
    """
    return build_node(plain(config, key), role, key, **given)


def build_function(config: Any, key: str) -> Callable[..., Any]:
    """Like :func:`build` for what is only ever called: transforms, ``_partial_`` optimizers."""
    return build_callable(plain(config, key), key)


def build_all(config: Any, role: type[T], key: str) -> list[T]:
    """Build every node of a group such as ``callbacks``; null nodes are left out."""
    return [
        build(node, role, f"{key}.{name}")
        for name, node in (config or {}).items()
        if node is not None
    ]


def plain(config: Any, key: str) -> Any:
    """Return ``config`` as resolved containers.

    Raises:
        ConfigError: When an interpolation or a mandatory value is missing.
    """
    if not OmegaConf.is_config(config):
        return config
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        missing = [  # from the root of the configuration, where the node is still part of one
            name if name.split(".")[0] == key.split(".")[0] else f"{key}.{name}"
            for name in sorted(OmegaConf.missing_keys(config))
        ]
        raise ConfigError(
            f"{', '.join(missing) or key} must be given: {' '.join(f'{m}=…' for m in missing)}"
        ) from error
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{key}: {reason}") from error


def composed(command: str, choice: str, group: str = "model") -> dict[str, Any] | None:
    """Return what is chosen, with the model and preprocessing of a command where it has them.

    None when no such choice is shipped.

    Args:
        command: Name of the command.
        choice: Name of the chosen model, or of what is chosen in another group.
        group: Name of the group, which is returned, too.
    """
    if choice not in choices(group, [conf_folder()]):
        return None
    config = composed_of(command, [f"{group}={choice}"])
    keys = {group, "model", "preprocessing"} & {str(key) for key in config}
    return {key: plain(config[key], key) for key in keys}


def composed_of(command: str, words: Sequence[str]) -> DictConfig:
    """Return the configuration of a command with some choices, its interpolations kept.

    Args:
        command: Name of the command.
        words: Choices in the grammar of Hydra.

    Raises:
        hydra.errors.HydraException, omegaconf.errors.OmegaConfBaseException: When the choices
            cannot be read, or do not exist.
    """
    if GlobalHydra.instance().is_initialized():  # a command runs, with folders of its user's
        return compose(command, list(words))
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        return compose(command, list(words))
