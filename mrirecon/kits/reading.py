"""Kits from their files: those that are shipped by name, others by path."""

import difflib
from pathlib import Path

import yaml

from mrirecon.choices import about, choices
from mrirecon.errors import ConfigError
from mrirecon.files import conf_folder
from mrirecon.kits.kit import Kit, NamedKit, checksum_of
from mrirecon.plain_yaml import plain_yaml
from mrirecon.records import record

GROUP = "benchmark"
"""Folder of the kits in the configuration."""
SUFFIX = ".yaml"


def kit_names() -> list[str]:
    """Return the names of the kits that are shipped."""
    return choices(GROUP, [conf_folder()])


def read_kit(name: str) -> NamedKit:
    """Read a kit.

    Args:
        name: Name of a kit that is shipped, or path of a YAML file.

    Raises:
        ConfigError: When there is none, or the file does not describe one.
    """
    path = Path(name).expanduser()
    if path.suffix != SUFFIX:
        if name not in kit_names():
            close = difflib.get_close_matches(name, kit_names(), n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            told = f"kit={name}: there is no such kit" if name else "kit is missing"
            raise ConfigError(
                f"{told}; {hint}there are {', '.join(kit_names())}, and "
                "kit=FILE.yaml for one of your own"
            )
        path = conf_folder() / GROUP / f"{name}{SUFFIX}"
    try:
        tree = plain_yaml(path.read_text(encoding="utf-8"))
        kit = record(Kit, tree, "a kit")
        files = kit.files
        names = _listed(path, files.names) if files and files.names else ()
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"kit: {path}: {error}") from error
    if files and names and len(names) != files.count:
        raise ConfigError(
            f"kit: {path}: count is {files.count}, but the list {files.names} has {len(names)}"
        )
    return NamedKit(path.stem, about(path), kit, names, checksum_of(tree, names))


def _listed(path: Path, name: str) -> tuple[str, ...]:
    """Return the names of a list, one a line; lines that begin with # are comments."""
    file = path.parent / "names" / f"{name}.txt"
    if file.parent != path.parent / "names":
        raise ValueError(f"names: {name!r} is no name of a list")
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    if len(set(names)) < len(names):
        raise ValueError(f"{file}: a name is there twice")
    return tuple(sorted(names))
