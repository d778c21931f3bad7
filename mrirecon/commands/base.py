"""The base of all commands: Hydra's entry point, errors as one message, the record of a run."""

import functools
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mrirecon.commands import hydra_errors
from mrirecon.commands.shown import Shown
from mrirecon.config import settings
from mrirecon.defaults import completed
from mrirecon.errors import ConfigError, MriReconError
from mrirecon.files import conf_folder
from mrirecon.grammar import CHOSEN, together
from mrirecon.threads import processors

OWN_FOLDERS = ("train",)
"""Commands whose folder Hydra makes, by the number of the job, too."""
SHARED_FOLDERS = ("benchmark",)
"""Commands of which all jobs of a sweep work in one folder."""
_WORDS: ContextVar[tuple[str, ...] | None] = ContextVar("words", default=None)
Settings = TypeVar("Settings")
Command = Callable[[DictConfig, Settings], float | None]


def command(
    schema: type[Settings], groups: tuple[str, ...] = ()
) -> Callable[[Command[Settings]], Callable[[], None]]:
    """Make a command of a function ``(config, settings)``, configured by the YAML of its name.

    Args:
        schema: Dataclass of the command's plain values.
        groups: Keys that hold nodes to build.
    """

    def decorate(function: Command[Settings]) -> Callable[[], None]:
        name, sweep = function.__name__, Sweep(os.getpid())
        shown: Shown | None = None
        progress = hydra_errors.Progress()

        @functools.wraps(function)
        def wrapped(config: DictConfig) -> float | None:
            progress.begun = True
            given = OmegaConf.to_container(config)
            config = OmegaConf.create(together(completed(given)))
            for group in groups:  # one that was set to null is simply None
                config.setdefault(group, None)
            try:
                if shown:
                    sys.stdout.write(shown.text(config))
                    return None
                if name not in OWN_FOLDERS:
                    _name_output(config)
                if limit := processors().limit:
                    print(f"note: {_threads()}: {limit}", file=sys.stderr)
                result = function(config, settings(config, schema, groups))
                sweep.note(None)
                return result
            except MriReconError as error:
                if not sweep.note(error):
                    sys.exit(f"mrirecon {name}: {error}")
                return math.nan  # of a job that was refused, for a sweeper that compares results

        main: Any = hydra.main(
            version_base="1.3", config_path=str(conf_folder()), config_name=name
        )(wrapped)

        @functools.wraps(function)
        def start() -> None:
            nonlocal shown, progress
            sweep.forget()
            shown, words = Shown.taken_from(sys.argv[1:])
            sys.argv = [sys.argv[0], *words]
            try:
                with hydra_errors.told() as progress:
                    main()
            except ConfigError as error:
                sys.exit(f"mrirecon {name}: {error}")
            if report := sweep.report():
                sys.exit(f"mrirecon {name}: {report}")

        return start

    return decorate


def _threads() -> str:
    count = torch.get_num_threads()
    return "1 thread" if count == 1 else f"{count} threads"


def _name_output(config: DictConfig) -> None:
    """Resolve the output folder; each job of a sweep gets one in it, called by its number.

    Raises:
        ConfigError: When the output is no folder, or what it refers to does not exist.
    """
    job = HydraConfig.get()
    written = str(OmegaConf.to_container(config).get("output"))  # type: ignore[union-attr]
    try:
        folder = config.get("output")
    except OmegaConfBaseException as error:
        raise ConfigError(f"output: {str(error).splitlines()[0]}") from error
    if folder is None:
        return
    if "${" in written and re.search(r"[{}\[\]]", str(folder)):
        raise ConfigError(
            f"output: {written} refers to a whole group; name one value of it, "
            "output='out/${hydra:runtime.choices.model}', say"
        )
    if job.mode is not RunMode.MULTIRUN or job.job.name in SHARED_FOLDERS:
        return
    if not isinstance(folder, str) or folder == "-":
        raise ConfigError(f"output: expected a folder for the jobs of a sweep, got {folder!r}")
    config.output = f"{folder}/{job.job.num}"


class Sweep:
    """The jobs of ``--multirun``, of which one that is refused must not stop the others.

    Args:
        process: Id of the process that runs the sweep; a launcher such as Slurm's may run the jobs
            elsewhere.
    """

    def __init__(self, process: int) -> None:
        self._process = process
        self._jobs: list[tuple[list[str], MriReconError | None]] = []

    def forget(self) -> None:
        """Begin with no job: one process may run several commands."""
        self._jobs.clear()

    def note(self, error: MriReconError | None) -> bool:
        """Remember how a job ended; returns False when it is not one of a sweep.

        Raises:
            MriReconError: The ``error`` of a job that runs elsewhere: the launcher brings it back.
        """
        job = HydraConfig.get()
        if job.mode is not RunMode.MULTIRUN:
            return False
        if error and os.getpid() != self._process:
            raise error
        if error:
            print(f"job {job.job.num} refused: {error}", file=sys.stderr)
        self._jobs.append(([o.lstrip("+") for o in overrides()], error))
        return True

    def report(self) -> str:
        """Return which jobs were refused and why, by what tells them apart; empty if none was."""
        refused = [
            f"  job {number} ({' '.join(o for o in own if self._varies(o))}): {error}"
            for number, (own, error) in enumerate(self._jobs)
            if error
        ]
        if not refused:
            return ""
        return "\n".join([f"{len(refused)} of {len(self._jobs)} jobs were refused", *refused])

    def _varies(self, override: str) -> bool:
        return len(self._jobs) == 1 or any(override not in own for own, _ in self._jobs)


def refuse_idle(config: DictConfig, key: str, *users: str) -> None:
    """A choice that nothing uses must not be made in silence.

    Args:
        config: Configuration before interpolations are resolved.
        key: A group that others refer to, for instance ``sensitivity``.
        users: The groups that may.

    Raises:
        ConfigError: When the command line chooses one, and none of ``users`` refers to it.
    """
    chosen = [o for o in overrides() if re.match(rf"[+~]*{key}\b", o)]
    nodes = [OmegaConf.to_yaml(config[user]) for user in users if config[user] is not None]
    if chosen and not any(f"${{{key}" in node for node in nodes):
        user = users[0]
        raise ConfigError(
            f"{' '.join(override.lstrip('+') for override in chosen)} has no effect: this {user} "
            f"does not use {key}=; leave it out, or hand it over with "
            f"'{user}.{key}=${{{key}}}' if the {user} takes one"
        )


def refuse_taken_away(config: DictConfig, *groups: str) -> None:
    """Refuse to do without what a command cannot do without.

    Raises:
        ConfigError: Naming the first of ``groups`` of which nothing is left that could be built.
    """
    for group in groups:
        node = config[group]
        if not (OmegaConf.is_dict(node) and node.get("_target_")):
            raise ConfigError(f"{group}=null: this command needs one; leave it out for the default")


def overrides() -> list[str]:
    """Return what the command line chooses, as it was typed: nothing in it is resolved.

    Of a method that is built from words of its own (see :func:`chosen_by`) it is these.
    """
    if (words := _WORDS.get()) is not None:
        return list(words)
    typed: Any = OmegaConf.to_container(HydraConfig.get().overrides.task)
    return [re.sub(rf"^([+~]*){CHOSEN}\.", r"\1", str(one)) for one in typed]


@contextmanager
def chosen_by(words: Sequence[str]) -> Iterator[None]:
    """Let :func:`overrides` return these words: one command builds several methods.

    Args:
        words: Choices of one of them.
    """
    token = _WORDS.set(tuple(words))
    try:
        yield
    finally:
        _WORDS.reset(token)


def command_line() -> str:
    """Return what the user typed, up to quoting."""
    return shlex.join(command_words())


def command_words() -> list[str]:
    """Return what the user typed, word by word."""
    return ["mrirecon", *sys.orig_argv[-len(sys.argv) :]]
