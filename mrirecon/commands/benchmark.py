"""``mrirecon benchmark``: reconstruct and score frozen cases, and compare with published scores."""

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mrirecon.arguments import check_not_negative
from mrirecon.building import build_node
from mrirecon.commands.base import command
from mrirecon.commands.benchmark_methods import Entrants
from mrirecon.commands.benchmark_runs import Run, make_all, rotated
from mrirecon.commands.benchmark_scores import Standing
from mrirecon.commands.method import find_device
from mrirecon.commands.method_words import REFERENCE, build_all, chosen_words
from mrirecon.commands.provenance import chosen_disclosure, told_command
from mrirecon.config import composed
from mrirecon.errors import ConfigError
from mrirecon.evaluation.scores.protocol import Protocol
from mrirecon.files import output_folder
from mrirecon.kits.cases import KitCase, cases_of
from mrirecon.kits.claims import Claims
from mrirecon.kits.kit import NamedKit
from mrirecon.kits.reading import read_kit
from mrirecon.pipeline import Request
from mrirecon.terminal import draws_bars

_JOB = re.compile(r"(\d+)/(\d+)")
FULL = "zero_filled"
"""Method that makes a reference of all samples: their root-sum-of-squares."""


@dataclass(frozen=True)
class Settings:
    """mrirecon benchmark kit=NAME model=[NAME,NAME] output=FOLDER [data=FOLDER]."""

    kit: str | None
    data: str | None
    model: str | list[str] | None
    checkpoint: str | list[str] | dict[str, str] | None
    methods: dict[str, dict[str, Any]] | None
    output: str
    subset: int | None
    job: str | None
    overwrite: bool
    allow_leak: bool
    device: str
    batch_size: int
    workers: int | None
    pictures: int
    provenance: str
    trust: list[str] | tuple[str, ...] | str

    def __post_init__(self) -> None:
        chosen_disclosure(self.provenance)
        check_not_negative(pictures=self.pictures)
        if self.batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {self.batch_size}")
        job, jobs = self.share
        if not 1 <= job <= jobs:
            raise ValueError(f"job: expected 1/4 to 4/4, say, got {self.job}")

    @property
    def share(self) -> tuple[int, int]:
        """Number of this process, from 1, and of all processes; zeros when it cannot be read."""
        found = _JOB.fullmatch(self.job or "1/1")
        return (int(found[1]), int(found[2])) if found else (0, 0)


@command(Settings)
def benchmark(config: DictConfig, settings: Settings) -> None:  # noqa: ARG001
    """Reconstruct all cases with all methods, and score them when all volumes are there."""
    started = time.time()
    named = read_kit(settings.kit or "")
    protocol = _protocol(named)
    folder = output_folder(settings.output)
    data = Path(settings.data).expanduser() if settings.data else None
    cases = cases_of(named, data, settings.subset)
    if settings.subset is not None and len(cases) < named.kit.cases:
        print(
            f"note: these are the first {len(cases)} of {named.kit.cases} cases, which is no "
            f"result of the kit {named.name}",
            file=sys.stderr,
        )
    wanted = _run(named, cases, folder, settings)
    standing = Standing(named, cases, wanted, protocol, settings.pictures, settings.overwrite)
    standing.refuse()
    there = wanted.refuse(settings.allow_leak)
    claims = Claims(folder)
    make_all(wanted, claims, there)
    with claims.claimed("scores") as mine:
        if not mine or standing.scored_since(started):
            print(f"all volumes are there; another process scores them in {folder}")
            return
        command = told_command(chosen_disclosure(settings.provenance))
        standing.score(command, settings.allow_leak, settings.workers)


def _run(named: NamedKit, cases: list[KitCase], folder: Path, settings: Settings) -> Run:
    """Return what is to be made; the methods are built."""
    words = chosen_words(settings.model, settings.checkpoint, settings.methods)
    if named.kit.target == "fully_sampled":
        words[REFERENCE] = (f"model={FULL}",)
    trust = [settings.trust] if isinstance(settings.trust, str) else list(settings.trust)
    methods = build_all(words, find_device(settings.device), trust)
    disclosure = chosen_disclosure(settings.provenance)
    request = Request(
        batch_size=settings.batch_size,
        disclosure=disclosure,
        command=told_command(disclosure),
        progress=draws_bars(),
    )
    node = {"kit": named.name, "version": named.kit.version, "checksum": named.checksum}
    return Run(
        folder,
        rotated(cases, *settings.share),
        Entrants(methods, node),
        named.kit.target,
        named.kit.across_readout == "yes",
        request,
        settings.overwrite,
    )


def _protocol(named: NamedKit) -> Protocol:
    """Return the protocol of a kit.

    Raises:
        ConfigError: When there is none of that name.
    """
    found = composed("evaluate", named.kit.protocol, "protocol")
    if found is None:
        raise ConfigError(f"kit {named.name}: there is no protocol {named.kit.protocol}")
    return build_node(found["protocol"], Protocol, "protocol")


main = benchmark
