"""What all commands share: Hydra's entry point, errors as one message, the record of a run."""

import functools
import shlex
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import hydra
from omegaconf import DictConfig

from mrirecon.config import conf_folder
from mrirecon.errors import MriReconError


def command(function: Callable[[DictConfig], None]) -> Callable[[], None]:
    """Make a command of ``function``, configured by the YAML that has its name."""

    @functools.wraps(function)
    def wrapped(config: DictConfig) -> None:
        try:
            function(config)
        except MriReconError as error:
            sys.exit(f"mrirecon {function.__name__}: {error}")
        except KeyboardInterrupt:
            sys.exit(f"mrirecon {function.__name__}: interrupted")

    decorate = hydra.main(
        version_base="1.3", config_path=str(conf_folder()), config_name=function.__name__
    )
    return decorate(wrapped)  # type: ignore[no-any-return]


def command_line() -> str:
    """Return what the user typed, up to quoting."""
    name, *overrides = sys.argv
    return " ".join([name, *map(shlex.quote, overrides)])


def versions() -> tuple[str, ...]:
    """Return the versions of what computes."""
    found = []
    for package in ("mrirecon", "torch", "numpy", "pytorch-lightning"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} (not installed as a package)")
    return (f"python {sys.version.split()[0]}", *found)
