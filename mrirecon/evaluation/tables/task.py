"""The frozen task of a benchmark, and how its scores stand beside published ones."""

from dataclasses import asdict, dataclass

RUN = "this run"
"""Source of the scores that no other published."""


@dataclass(frozen=True)
class Task:
    """What was asked of all methods, for reports and for comparisons of them.

    Attributes:
        kit: Name of the kit.
        version: Version of the kit.
        checksum: Checksum of its description.
        scored: Number of cases that were scored.
        cases: Number of cases of the kit.
        rows: Facts of the kit: what and value.
        anchors: Table of published scores beside those of this run, its head first; empty without.
        remarks: Sentences about the published scores.
        warnings: Sentences about scores that do not fit the published ones.
    """

    kit: str
    version: int
    checksum: str
    scored: int
    cases: int
    rows: tuple[tuple[str, str], ...] = ()
    anchors: tuple[tuple[str, ...], ...] = ()
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether all cases were scored."""
        return self.scored == self.cases

    @property
    def label(self) -> str:
        """The task in words: equal words, equal task."""
        return task_label(self.kit, self.version, self.checksum, self.scored, self.cases)

    def facts(self) -> dict[str, object]:
        """Return all of it for a report."""
        return asdict(self)


def task_label(kit: str, version: int, checksum: str, scored: int, cases: int) -> str:
    """Return a task in words.

    Args:
        kit: Name of the kit.
        version: Version of the kit.
        checksum: Checksum of its description.
        scored: Number of cases that were scored.
        cases: Number of cases of the kit.
    """
    part = f"all {cases} cases" if scored == cases else f"the first {scored} of {cases} cases"
    return f"{kit} version {version} ({checksum}), {part}"
