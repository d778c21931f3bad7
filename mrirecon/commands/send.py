"""``mrirecon send``: what a scanner does, from a file; or only whether a server answers.

What computes is imported when there is something to send: containers ask for their health often.
"""

import importlib
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from mrirecon.arguments import check_at_least
from mrirecon.commands.base import command
from mrirecon.errors import ConfigError
from mrirecon.files import Existing
from mrirecon.serving.probe import probe

REAL = "real"
PROBING, WAITING = 10.0, 600.0
"""Seconds that a server may be silent, without and with readouts to reconstruct."""


@dataclass(frozen=True)
class Settings:
    """mrirecon send input=FILE output=FOLDER [host=127.0.0.1] [port=9002]."""

    input: str | None
    output: str | None
    host: str
    port: int
    config: str
    pace: float | str
    timeout: float | None
    memory: float
    formats: list[str] | tuple[str, ...] | str
    existing: str
    overwrite: bool
    provenance: str
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        formats = (self.formats,) if isinstance(self.formats, str) else self.formats
        object.__setattr__(self, "formats", tuple(dict.fromkeys(formats)))  # each once
        if not 0 < self.port < 2**16:
            raise ValueError(f"port: expected 1 to 65535, got {self.port}")
        if isinstance(self.pace, str) and self.pace != REAL:
            raise ValueError(f"pace: expected seconds or {REAL}, got {self.pace!r}")
        if not isinstance(self.pace, str) and not 0 <= self.pace < 3600:
            raise ValueError(f"pace: expected 0 to 3600 seconds, got {self.pace}")
        if self.existing not in set(Existing):
            raise ValueError(
                f"existing: expected one of {', '.join(Existing)}, got {self.existing!r}"
            )
        check_at_least(0.1, timeout=self.patience)
        check_at_least(1, memory=self.memory)
        if self.input is not None and self.output is None:
            raise ValueError("output: expected a folder for the images that come back")

    @property
    def patience(self) -> float:
        """Seconds that the server may be silent."""
        if self.timeout is not None:
            return self.timeout
        return PROBING if self.input is None else WAITING


@command(Settings, groups=("reading",))
def send(config: DictConfig, settings: Settings) -> None:
    """Send a file and write the images; without a file, only ask whether the server answers."""
    if settings.input is None:
        if settings.output is not None:
            raise ConfigError("input: expected a file; without one nothing is sent or written")
        answer = probe(settings.host, settings.port, settings.patience)
        print(f"{settings.host}:{settings.port} answers ({answer})")
        return
    importlib.import_module("mrirecon.commands.sending").send_file(config, settings)


main = send
