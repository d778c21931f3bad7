"""The options of what runs at the scanner, and the words of ``mrirecon serve`` that they make."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mrirecon.errors import ConfigError
from mrirecon.files.places import conf_folder
from mrirecon.records import record

OPTIONS = Path(__file__).with_name("options.yaml")
PLAIN = re.compile(r"[A-Za-z_][\w.-]*")
"""Text that Hydra's grammar takes as it is, unless it is one of the words that mean something."""
MEANING = ("true", "false", "yes", "no", "on", "off", "null", "nan", "inf")


@dataclass(frozen=True)
class About:
    """What a console shows of the container."""

    id: str
    name: str
    vendor: str
    information: str
    safety: str
    instructions: str


@dataclass(frozen=True)
class Needs:
    """What the computer must have: memory in MB, and processor cores."""

    memory: int
    cores: int


@dataclass(frozen=True)
class Options:
    """All of the YAML.

    Attributes:
        about: What a console shows.
        needs: What the computer must have.
        serve: Settings of ``mrirecon serve``, as its YAML has them.
    """

    about: About
    needs: Needs
    serve: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of ``mrirecon serve``, with those that are left at their defaults."""
        return {**_loaded(conf_folder() / "serve.yaml"), **self.serve}

    @property
    def words(self) -> list[str]:
        """Words of the command line that make the settings."""
        return list(_words(self.serve))


def read_options(path: Path = OPTIONS) -> Options:
    """Read a YAML of options.

    Raises:
        ConfigError: When it cannot be read, or does not have the keys that it should have.
    """
    try:
        return record(Options, _loaded(path), "it")
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error


def _loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _words(tree: Mapping[str, Any], place: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _words(value, f"{place}{key}.")
        else:
            yield f"{place}{key}={_written(value)}"


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(_written(one) for one in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str):
        return repr(value)
    if PLAIN.fullmatch(value) and value.lower() not in MEANING:
        return value
    quoted = value.replace("'", "\\'")
    return f"'{quoted}'"
