"""Scores the volumes of a benchmark, all methods in its folder together."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from mrirecon.commands.benchmark_runs import VOLUMES, Run
from mrirecon.commands.evaluated_cases import evaluated, tell
from mrirecon.commands.evaluation_files import EvaluationFiles
from mrirecon.errors import MriReconError, OutputError
from mrirecon.evaluation.origins.makings import Makings
from mrirecon.evaluation.scores.protocol import Protocol
from mrirecon.evaluation.scores.scoring import Case, Rules
from mrirecon.evaluation.stored.scored import read_scores
from mrirecon.files import REPORT
from mrirecon.kits.card import task
from mrirecon.kits.cases import KitCase
from mrirecon.kits.kit import NamedKit
from mrirecon.kits.made import read_stored
from mrirecon.plain_yaml import plain_yaml


@dataclass(frozen=True)
class Standing:
    """The scores of a benchmark.

    Attributes:
        named: Kit with its name.
        cases: Cases in their frozen order.
        run: What was made of them.
        protocol: Protocol of the kit.
        pictures: Number of volumes of which a comparison is drawn.
        overwrite: Whether scores of other cases are replaced.
    """

    named: NamedKit
    cases: Sequence[KitCase]
    run: Run
    protocol: Protocol
    pictures: int
    overwrite: bool

    def refuse(self) -> None:
        """Refuse to replace what these scores do not continue, before anything is computed.

        Raises:
            OutputError: When there are such scores, or other files.
        """
        report = self.run.folder / REPORT
        if os.path.lexists(report) and not self.overwrite:
            _refuse_others(report, self.named, [case.name for case in self.cases])
        self._files(self._cases(self.run.methods)).refuse()

    def scored_since(self, started: float) -> bool:
        """Tell whether another process has scored all these volumes meanwhile.

        Args:
            started: Time in seconds since the epoch when this process began.
        """
        report = self.run.folder / REPORT
        if not report.is_file() or report.stat().st_mtime < started:
            return False
        scored = report.stat().st_mtime
        volumes = [self.run.volume(m, case) for m in self.run.methods for case in self.cases]
        if any(path.stat().st_mtime > scored for path in volumes):
            return False
        return set(self.run.methods) <= set(read_scores(report).methods)

    def score(self, command: str, allow_leak: bool, workers: int | None) -> None:
        """Score all methods that are complete, write all files and tell what was found.

        Args:
            command: Command line, as it may be told.
            allow_leak: Whether methods may have learned from these patients.
            workers: Number of processes; None for what the volumes keep busy.

        Raises:
            MriReconError: When a volume cannot be scored.
        """
        cases = self._cases([*self.run.methods, *self._others()])
        makings = with_patients(Makings.of(cases), self.cases)
        if not allow_leak:
            makings.refuse_leaks()
        rules = Rules(self.protocol)
        found = evaluated(cases, rules, makings, workers)
        told = task(self.named, found)
        tell(found)
        print(f"benchmark: {told.label}")
        for line in (*told.remarks, *_aligned(told.anchors)):
            print(line)
        for warning in told.warnings:
            print(f"WARNING: {warning}", file=sys.stderr)
        files = self._files(cases)
        files.write(found, rules, command, told)
        print(files.written())

    def _files(self, cases: Sequence[Case]) -> EvaluationFiles:
        return EvaluationFiles(self.run.folder, cases, self.pictures, overwrite=True)

    def _cases(self, methods: Sequence[str]) -> list[Case]:
        return [
            Case(
                case.name, self.run.reference(case),
                {method: self.run.volume(method, case) for method in methods},
            )
            for case in self.cases
        ]  # fmt: skip

    def _others(self) -> list[str]:
        """Return the other methods of the folder that are complete, and tell which are not."""
        found = []
        folder = self.run.folder / VOLUMES
        names = sorted(one.name for one in folder.iterdir() if one.is_dir())
        for method in names:
            if method in self.run.methods or method.startswith("."):
                continue
            paths = [self.run.volume(method, case) for case in self.cases]
            there = [path for path in paths if path.is_file()]
            why = f"{len(there)} of {len(paths)} volumes" if len(there) < len(paths) else ""
            if not why and not all(map(self._of_kit, paths)):
                why = "made for another kit, or by another program"
            if why:
                print(f"note: {method} is left out: {why}", file=sys.stderr)
            else:
                found.append(method)
        return found

    def _of_kit(self, path: Path) -> bool:
        """Tell whether a volume was made for this kit."""
        try:
            tree = plain_yaml(read_stored(path).config)
        except (MriReconError, yaml.YAMLError):
            return False
        return isinstance(tree, dict) and tree.get("benchmark") == dict(self.run.entrants.node)


def with_patients(makings: Makings, cases: Sequence[KitCase]) -> Makings:
    """Tell volumes of one patient, which raw files and their folders tell, but not all volumes.

    Args:
        makings: What volumes and references tell.
        cases: Cases of the kit.
    """
    told = {case.name: case.header.subject for case in cases if case.header.subject}
    return replace(makings, patients={**makings.patients, **told})


def _refuse_others(report: Path, named: NamedKit, names: Sequence[str]) -> None:
    """Refuse to replace scores that are not of the same kit, or of more cases."""
    scored = read_scores(report)
    told = json.loads(report.read_text(encoding="utf-8")).get("task") or {}
    if told.get("checksum") != named.checksum:
        kind = f"those of {scored.task}" if scored.task else "no benchmark's"
        raise OutputError(
            f"{report} holds other scores, {kind}; choose another output, or set overwrite=true"
        )
    if more := sorted(scored.volumes - set(names)):
        raise OutputError(
            f"{report} holds the scores of {len(more)} more cases, {more[0]} among them; leave "
            "subset= out, choose another output, or set overwrite=true"
        )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows of words in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
