"""What all commands share: Hydra's entry point, errors as one message, the record of a run."""

import functools
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import hydra
from omegaconf import DictConfig, OmegaConf

from mrirecon.config import settings
from mrirecon.errors import MriReconError
from mrirecon.files import conf_folder

Settings = TypeVar("Settings")
Command = Callable[[DictConfig, Settings], None]


def command(
    schema: type[Settings], groups: tuple[str, ...] = ()
) -> Callable[[Command[Settings]], Callable[[], None]]:
    """Make a command of a function ``(config, settings)``, configured by the YAML of its name.

    Args:
        schema: Dataclass of the command's plain values.
        groups: Keys that hold nodes to build.
    """

    def decorate(function: Command[Settings]) -> Callable[[], None]:
        @functools.wraps(function)
        def wrapped(config: DictConfig) -> None:
            config = OmegaConf.create(OmegaConf.to_container(config))  # type: ignore[assignment]
            for group in groups:  # one that was set to null is simply None
                config.setdefault(group, None)
            try:
                function(config, settings(config, schema, groups))
            except MriReconError as error:
                sys.exit(f"mrirecon {function.__name__}: {error}")
            except KeyboardInterrupt:
                sys.exit(f"mrirecon {function.__name__}: interrupted")

        main: Any = hydra.main(
            version_base="1.3", config_path=str(conf_folder()), config_name=function.__name__
        )
        return main(wrapped)  # type: ignore[no-any-return]

    return decorate


def command_line() -> str:
    """Return what the user typed, up to quoting."""
    return shlex.join(["mrirecon", *sys.orig_argv[-len(sys.argv) :]])


def versions() -> tuple[str, ...]:
    """Return the versions of what computes, and the commit when it runs from a clone."""
    found = [f"python {sys.version.split()[0]}"]
    for package in ("mrirecon", "torch", "numpy", "pytorch-lightning"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} (not installed as a package)")
    clone = Path(__file__).resolve().parents[2]
    if (clone / ".git").exists():
        try:
            done = subprocess.run(
                ["git", "-C", clone, "describe", "--always", "--dirty"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found.append(f"commit {done.stdout.strip()}")
        except (OSError, subprocess.CalledProcessError):
            found.append("commit unknown")
    return tuple(found)
