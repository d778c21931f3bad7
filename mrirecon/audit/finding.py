"""What an audit finds, and what each kind of finding means."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Level(StrEnum):
    """How sure and how bad: a ``problem`` ends the audit with exit status 1."""

    PROBLEM = "problem"
    SUSPICION = "suspicion"
    NOTE = "note"


LEVELS = tuple(Level)
"""From the worst on."""


@dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes:
        name: Name in tables and reports.
        why: Sentences about why it matters.
        remedy: Sentence about what to do.
    """

    name: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: Kind of the finding.
        level: Level of the finding.
        files: Names of the files that it is about: one, or two that are compared.
        planes: Numbers of the slices where it was seen, from 1; of a pair, one of each file.
        reason: Sentence that says what was seen, with numbers.
    """

    kind: Kind
    level: Level
    files: tuple[str, ...]
    planes: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Seen:
    """What a check saw in one plane.

    Attributes:
        kind: Kind of the finding.
        level: Level of the finding.
        reason: Sentence that says what was seen, with numbers.
    """

    kind: Kind
    level: Level
    reason: str


def summed_up(file: str, seen: Iterable[tuple[int, Seen]], looked_at: int) -> list[Finding]:
    """Return one finding for each kind from what was seen in the planes of a file.

    What was seen as a problem in less than half of the planes is a suspicion only: a real cause
    holds for all of them.

    Args:
        file: Name of the file.
        seen: What was seen in which plane, planes from 1.
        looked_at: Number of planes that were looked at.
    """
    kinds: dict[str, list[tuple[int, Seen]]] = {}
    for plane, one in seen:
        kinds.setdefault(one.kind.name, []).append((plane, one))
    findings = []
    for found in kinds.values():
        worst = min((one.level for _, one in found), key=LEVELS.index)
        told = next(one for _, one in found if one.level is worst)
        planes = tuple(dict.fromkeys(plane for plane, one in found if one.level is worst))
        finding = Finding(told.kind, worst, (file,), planes, told.reason)
        if worst is Level.PROBLEM and 2 * len(planes) < looked_at:
            finding = replace(
                finding,
                level=Level.SUSPICION,
                reason=f"{told.reason} It was seen in {len(planes)} of {looked_at} slices only.",
            )
        findings.append(finding)
    return findings


CRIME = (
    "Methods look better on such data than on measured ones (data crimes: Shimron et al., "
    "PNAS 119:e2117203119, 2022)."
)
