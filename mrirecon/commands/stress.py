"""``mrirecon stress``: what methods make of scans and samplings unlike the nominal ones."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.commands.base import command
from mrirecon.commands.going_on import Failures
from mrirecon.commands.inputs import input_files
from mrirecon.commands.method import find_device
from mrirecon.commands.method_words import build_all, chosen_words
from mrirecon.commands.provenance import chosen_disclosure, told_command
from mrirecon.commands.stress_files import StressFiles
from mrirecon.config import build
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.evaluation.scores.protocol import Protocol
from mrirecon.files import output_folder
from mrirecon.interruption import shielded
from mrirecon.leaks import refuse_seen
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.robustness.case import Case, measured_case, middle_planes, simulated_case
from mrirecon.robustness.findings import Findings
from mrirecon.robustness.result import Outcome
from mrirecon.robustness.shift import Disturbance, Shift
from mrirecon.robustness.study import Study
from mrirecon.robustness.tables import falls_text
from mrirecon.robustness.worst_case import WorstCase
from mrirecon.sampling import SamplingPattern
from mrirecon.simulation import SimulatedScan, SimulationProtocol
from mrirecon.terminal import draws_bars


@dataclass(frozen=True)
class Settings:
    """mrirecon stress model=[NAME,NAME] output=FOLDER [input=FILE_OR_FOLDER]."""

    model: str | list[str] | None
    checkpoint: str | list[str] | dict[str, str] | None
    methods: dict[str, dict[str, Any]] | None
    output: str
    input: str | list[str] | None
    pattern: str
    slices: int
    subjects: int
    first: int
    metric: str
    margin: float
    seed: int
    overwrite: bool
    allow_leak: bool
    device: str
    provenance: str
    trust: list[str] | tuple[str, ...] | str

    def __post_init__(self) -> None:
        chosen_disclosure(self.provenance)
        check_at_least(1, slices=self.slices, subjects=self.subjects)
        check_not_negative(margin=self.margin, first=self.first, seed=self.seed)


@command(Settings, groups=("simulation", "sampling", "protocol", "shift", "reading"))
def stress(config: DictConfig, settings: Settings) -> None:
    """Try every method on every scan under every shift; write a table, JSON and a page."""
    protocol = build(config.protocol, Protocol, "protocol")
    if settings.metric not in protocol.infos:
        known = ", ".join(protocol.infos)
        raise ConfigError(f"metric: the protocol has no {settings.metric}; choose one of {known}")
    shifts = _shifts(config)
    files = StressFiles(output_folder(settings.output), settings.overwrite)
    words = chosen_words(settings.model, settings.checkpoint, settings.methods)
    device = find_device(settings.device)
    files.refuse()
    cases, problem = _cases(config, settings, files)
    trust = [settings.trust] if isinstance(settings.trust, str) else list(settings.trust)
    study = Study(build_all(words, device, trust), cases, shifts, protocol, settings.seed)
    study.check()
    if not settings.allow_leak:
        _refuse_leaks(study)
    findings = Findings(
        protocol.infos[settings.metric], {name: study.learned(name) for name in study.methods}
    )
    warnings = [problem] if problem else []
    warnings += [
        f"{name}: left out of it: {reason}" for name in shifts for reason in study.suited(name)[1]
    ]
    for warning in warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    command_line = told_command(chosen_disclosure(settings.provenance))
    with files.writing(study, findings, settings.margin, warnings, command_line):
        _run(study, findings)
    print(falls_text(findings, list(shifts), settings.margin))
    print(f"wrote {', '.join(files.names)} to {files.folder}")
    if problem:
        raise RawDataError(problem)


def _run(study: Study, findings: Findings) -> None:
    """Take all outcomes, and show how far it is."""
    for outcome in _shown(study.nominal(), "as it is", len(study.cases)):
        findings.add(outcome)
    for name, shift in study.shifts.items():
        total = len(shift.levels) * len(study.suited(name)[0])
        for outcome in _shown(study.stressed(name), name, total):
            with shielded():
                findings.add(outcome)


def _shown(outcomes: Iterator[Outcome], name: str, total: int) -> Iterator[Outcome]:
    if total and not draws_bars():
        print(f"{name}: {total} scans and levels", flush=True)
    yield from tqdm(outcomes, desc=name, total=total, leave=False, disable=not draws_bars())


def _shifts(config: DictConfig) -> dict[str, Shift | WorstCase]:
    """Build the shifts that were chosen.

    Raises:
        ConfigError: When there is none, or one is no shift.
    """
    nodes = {str(name): node for name, node in (config.shift or {}).items() if node is not None}
    if not nodes:
        raise ConfigError("shift: expected at least one, shift=[noise,motion] say")
    built = {name: build(node, Disturbance, f"shift.{name}") for name, node in nodes.items()}
    if empty := sorted(n for n, one in built.items() if not getattr(one, "levels", (0,))):
        raise ConfigError(
            f"shift.{empty[0]}.levels: expected at least one level; leave the shift out of "
            "shift=[NAME,NAME] where none is wanted"
        )
    shifts = {n: one for n, one in built.items() if isinstance(one, Shift | WorstCase)}
    if others := sorted(built.keys() - shifts.keys()):
        raise ConfigError(f"shift.{others[0]}: expected a Shift; extend mrirecon.robustness.Shift")
    return shifts


def _cases(config: DictConfig, settings: Settings, files: StressFiles) -> tuple[list[Case], str]:
    """Read the scans, or simulate them; returns what is wrong with some of them, too.

    Raises:
        RawDataError: When no scan is left, or the only one is undersampled or empty.
    """
    sampling = build(config.sampling, SamplingPattern, "sampling")
    if settings.input is None:
        protocol = build(config.simulation, SimulationProtocol, "simulation")
        numbers = range(settings.first, settings.first + settings.subjects)
        scans = [SimulatedScan(number, protocol) for number in numbers]
        slices = settings.slices
        return [simulated_case(one, middle_planes(one, slices), sampling) for one in scans], ""
    reading = build(config.reading, ReadOptions, "reading")
    paths, folder = input_files(settings.input, settings.pattern)
    files.refuse(paths)

    def read(path: Path) -> Case:
        return measured_case(open_scan(path, reading, folder), settings.slices, sampling)

    if len(paths) == 1:
        return [read(paths[0])], ""
    cases, failures = [], Failures()
    for path in paths:
        with failures.of(path):
            cases.append(read(path))
    problem = failures.problem(len(paths))
    if not cases:
        raise RawDataError(f"{problem}; none is left to try methods on")
    return cases, problem


def _refuse_leaks(study: Study) -> None:
    """Refuse methods that have learned from one of these patients.

    Raises:
        ConfigError: Naming them.
    """
    for name, method in study.methods.items():
        seen = [case.name for case in study.cases if method.has_seen(case.header)]
        refuse_seen(name, seen, "leave these scans out")


main = stress
