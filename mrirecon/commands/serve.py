"""``mrirecon serve``: reconstruction behind the console of a scanner."""

import logging
import os
import queue
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from mrirecon import writers
from mrirecon.arguments import check_at_least, check_at_most, check_not_negative
from mrirecon.commands.base import command, overrides
from mrirecon.commands.method import find_device
from mrirecon.commands.method_words import (
    CHECKPOINT,
    METHOD,
    build_by_words,
    chosen_words,
    is_of_method,
)
from mrirecon.errors import ConfigError, OutputError
from mrirecon.files import output_folder
from mrirecon.interruption import Interrupted, answered, deferred, requested
from mrirecon.missing import needs
from mrirecon.pipeline import Method
from mrirecon.serving.arenas import share_arenas
from mrirecon.serving.budget import Budget
from mrirecon.serving.choosing import DEFAULT, Chooser, Named, Words
from mrirecon.serving.images import ImageChoice
from mrirecon.serving.limits import Limits
from mrirecon.serving.noise import NoiseStore
from mrirecon.serving.parameters import IMAGES, OWN, SCALE, Parameter, parameters_of
from mrirecon.serving.recording import Folders
from mrirecon.serving.server import Place, Server
from mrirecon.serving.shared import Shared

LONGEST = 1e9
"""Seconds, or megabytes, that no server needs; neither may be infinite."""
LINE = "%(asctime)s %(levelname)s %(message)s"


@dataclass(frozen=True)
class Settings:
    """mrirecon serve [host=127.0.0.1] [port=9002] [model=NAME | checkpoint=FILE]."""

    host: str
    port: int
    checkpoint: str | None
    config: dict[str, dict[str, Any]] | None
    parameters: dict[str, dict[str, Any]] | None
    images: str
    scale: float | None
    sessions: int
    memory: float
    total: float
    idle: float
    stalled: float
    grace: float
    noise_age: float
    save: str | None
    quality: str | None
    log: str | None
    device: str
    trust: list[str] | tuple[str, ...] | str

    def __post_init__(self) -> None:
        if not 0 <= self.port < 2**16:
            raise ValueError(f"port: expected 0 to 65535, got {self.port}")
        check_at_least(1, sessions=self.sessions, total=self.total)
        check_not_negative(grace=self.grace, noise_age=self.noise_age)
        check_at_most(
            LONGEST,
            memory=self.memory, total=self.total, idle=self.idle, stalled=self.stalled,
            grace=self.grace, noise_age=self.noise_age,
        )  # fmt: skip
        self.limits  # noqa: B018 - checked before anything is built
        allowed = self.allowed
        for name, one in allowed.items():
            if one.key not in OWN and one.key.split(".")[0] not in METHOD[:1] + METHOD[2:]:
                known = ", ".join((*OWN, METHOD[0], *METHOD[2:]))
                raise ValueError(
                    f"parameters.{name}: a client may not change {one.key}; expected a key that "
                    f"is, or begins with, one of {known}"
                )
        if twice := {one.key for one in allowed.values() if one.key in _others(allowed, one)}:
            raise ValueError(f"parameters: two set {sorted(twice)[0]}; leave one out")

    @property
    def limits(self) -> Limits:
        """Bounds on each session."""
        return Limits(self.memory, self.idle, self.stalled)

    @property
    def allowed(self) -> dict[str, Parameter]:
        """Settings that clients may make."""
        return parameters_of(self.parameters)

    def configurations(self) -> dict[str, Named]:
        """Return what clients may choose by name.

        Raises:
            ConfigError: When one of them is no choice of a method or of images.
        """
        given = {name: dict(own) for name, own in (self.config or {}).items()}
        if DEFAULT in given:
            raise ConfigError(
                f"config.{DEFAULT}: is what model=, checkpoint= and so on choose; leave it out"
            )
        images = {name: self._images(name, own) for name, own in given.items()}
        usual = tuple(_usual(self.checkpoint))
        found = {DEFAULT: Named(usual, self._images(DEFAULT, {}))}
        words = chosen_words(None, None, given) if given else {}
        return found | {name: Named((*usual, *own) if _adds(own) else own, images[name])
                        for name, own in words.items()}  # fmt: skip

    def _images(self, name: str, own: dict[str, Any]) -> ImageChoice:
        pixels = own.pop(IMAGES, self.images)
        scale = own.pop(SCALE, self.scale if pixels == self.images else None)
        try:
            return ImageChoice(pixels, scale)
        except (ValueError, TypeError) as error:
            place = "" if name == DEFAULT else f"config.{name}: "
            raise ConfigError(f"{place}{error}") from error


def _usual(checkpoint: str | None) -> Iterator[str]:
    """Yield what the command line chooses of the method, as it would be typed.

    Args:
        checkpoint: Weights, whose word has been quoted for Hydra.
    """
    for given in overrides():
        taken_away = re.fullmatch(r"~(\w+)", given)
        word = f"{taken_away[1]}=null" if taken_away else given.lstrip("+")
        if is_of_method(word) and not word.startswith(f"{CHECKPOINT}="):
            yield word
    if checkpoint is not None:
        yield f"{CHECKPOINT}={checkpoint}"


def _others(allowed: dict[str, Parameter], one: Parameter) -> list[str]:
    return [other.key for other in allowed.values() if other is not one]


def _adds(words: Words) -> bool:
    """Tell whether words add to the usual method, because they choose none of their own."""
    return not any(word.startswith((f"{METHOD[0]}=", f"{METHOD[1]}=")) for word in words)


@command(Settings, groups=("model", "preprocessing", "sensitivity", "partial_fourier", "fallback",
                           "adaptation"))  # fmt: skip
def serve(config: DictConfig, settings: Settings) -> None:  # noqa: ARG001 - words are composed anew
    """Serve clients until a signal comes; sessions that have sent everything are finished."""
    share_arenas()
    # GNU's OpenMP counts this thread beside those that compute; more than processors sleep at once
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))
    device = find_device(settings.device)
    trust = [settings.trust] if isinstance(settings.trust, str) else list(settings.trust)

    def build(words: Words) -> Method:
        return build_by_words(words, device, trust)

    with ExitStack() as stack:
        stack.enter_context(_logging(settings.log))
        chooser = Chooser(settings.configurations(), settings.allowed, build)
        shared = Shared(
            chooser,
            settings.limits,
            Budget(settings.total),
            NoiseStore(settings.noise_age),
            queue.Queue(),
        )
        folders = Folders(_made("save", settings.save), _made("quality", settings.quality))
        if settings.quality:
            _load_pages(settings.quality)
        server = Server(Place(settings.host, settings.port, settings.sessions), shared, folders)
        host, port = server.address
        names = ", ".join(chooser.names)
        place = f"[{host}]" if ":" in host else host
        with _left_while_computing(server):
            with deferred(say="no new sessions; those that have sent all are finished"):
                print(f"serving on {place}:{port}; configurations: {names}", flush=True)
                server.serve(lambda: requested() is not None)
                answered()
            print(server.close(settings.grace), flush=True)


@contextmanager
def _left_while_computing(server: Server) -> Iterator[None]:
    """End the process at once where it still computes what nobody waits for any more.

    Python's own end of a thread within a library's code would abort the process.
    """
    try:
        yield
    except Interrupted as stop:
        if server.computing:
            print(f"mrirecon serve: {stop}", file=sys.stderr)
            _leave(128 + stop.number)
        raise
    if server.computing:
        _leave(0)


def _leave(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _made(key: str, path: str | None) -> Path | None:
    """Make a folder, if one is named.

    Args:
        key: Setting that names it.
        path: Path as it was given.
    """
    if path is None:
        return None
    try:
        folder = output_folder(path)
        folder.mkdir(parents=True, exist_ok=True)
    except (OutputError, OSError) as error:
        reason = str(error).removeprefix("output: ")
        raise ConfigError(f"{key}={path}: nothing can be written there ({reason})") from error
    return folder


def _load_pages(folder: str) -> None:
    """Import what draws quality pages now, so that no session waits for it, or lacks it.

    Raises:
        ConfigError: When a package is missing, as in images that only reconstruct.
    """
    try:
        _ = writers.write_qc
    except ImportError as error:
        raise ConfigError(f"quality={folder}: {needs(error)}, or leave it out") from error


def _logging(path: str | None) -> "_Log":
    """Let the log go to standard error, and into a file if one is named."""
    return _Log(path)


class _Log:
    def __init__(self, path: str | None) -> None:
        self._logger = logging.getLogger("mrirecon.serving")
        self._handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
        if path:
            try:
                self._handlers.append(
                    logging.FileHandler(Path(path).expanduser(), encoding="utf-8")
                )
            except (OSError, ValueError, RuntimeError) as error:  # no such user's home, NUL
                raise ConfigError(f"log={path}: cannot be written ({error})") from error

    def __enter__(self) -> None:
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        for handler in self._handlers:
            handler.setFormatter(logging.Formatter(LINE))
            self._logger.addHandler(handler)

    def __exit__(self, *_: object) -> None:
        for handler in self._handlers:
            self._logger.removeHandler(handler)
            handler.close()


main = serve
