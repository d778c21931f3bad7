"""What ``mrirecon stress`` writes: results as JSON and CSV, and a page for people."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path

from mrirecon.counting import counted
from mrirecon.errors import MriReconError
from mrirecon.files import (
    STRESS_REPORT,
    Kind,
    Untouchable,
    atomic,
    mark,
    refuse_existing,
    stamped,
    tables_mark,
)
from mrirecon.interruption import Interrupted, shielded
from mrirecon.pages import written
from mrirecon.robustness.findings import Findings
from mrirecon.robustness.page import Told, as_page
from mrirecon.robustness.shift import Level, Shift
from mrirecon.robustness.study import Study
from mrirecon.robustness.tables import findings_json, results_csv
from mrirecon.versions import versions

TABLE, PAGE = "stress.csv", "stress.html"


@dataclass(frozen=True)
class StressFiles:
    """The files of one stress test.

    Attributes:
        folder: Folder that they are written to.
        overwrite: Whether older files of ours are replaced.
    """

    folder: Path
    overwrite: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files."""
        return TABLE, STRESS_REPORT, PAGE

    def refuse(self, inputs: Iterable[Path] = ()) -> None:
        """Refuse what may not be replaced before anything is computed.

        Raises:
            OutputError: When there is such a file, or an input would be replaced.
        """
        Untouchable(inputs).refuse(self.folder / name for name in self.names)
        for name, kind in zip(self.names, (Kind.TABLE, Kind.STRESS, Kind.STRESS), strict=True):
            refuse_existing(self.folder / name, self.overwrite, kind)

    @contextmanager
    def writing(
        self, study: Study, findings: Findings, margin: float, warnings: Sequence[str],
        command: str,
    ) -> Iterator[None]:  # fmt: skip
        """Write everything at the end of the block; what there is when a signal or error ends it.

        Args:
            study: Methods, scans and shifts.
            findings: What is found in the block.
            margin: Fall of the leading metric from which on it is marked.
            warnings: Sentences about what is missing.
            command: Command line, as it may be told.
        """
        try:
            yield
        except (Interrupted, MriReconError) as stop:
            if findings.results:
                told = f"ended after {len(findings.results)} results; the others are missing"
                with shielded():
                    self._write(study, findings, margin, [told, *warnings], command)
                if isinstance(stop, Interrupted):
                    stop.note = f"what was finished is in {self.folder}"
            raise
        with shielded():
            self._write(study, findings, margin, warnings, command)

    def _write(
        self, study: Study, findings: Findings, margin: float, warnings: Sequence[str],
        command: str,
    ) -> None:  # fmt: skip
        table = {TABLE: results_csv(findings).encode()}
        setting = _setting(study)
        text = findings_json(
            findings, list(study.shifts),
            output=mark(Kind.STRESS), tables=tables_mark(table), command=command,
            versions=versions(), seed=study.seed, margin=margin, warnings=list(warnings),
            protocol=study.protocol.facts(), setting=setting,
            scans=[case.name for case in study.cases],
            methods={n: asdict(made) for n, made in study.made.items()},
            learned=dict(findings.learned),
            shifts={n: _facts(shift) for n, shift in study.shifts.items()},
        )  # fmt: skip
        told = Told(
            study.shifts, _neutral(study), study.protocol, study.made, setting, margin,
            warnings, command, versions(),
        )  # fmt: skip
        page = as_page(findings, told)
        contents = (
            (TABLE, Kind.TABLE, table[TABLE]),
            (STRESS_REPORT, Kind.STRESS, stamped(text.encode(), Kind.STRESS)),
        )
        for name, kind, content in contents:
            with atomic(self.folder / name, kind, overwrite=self.overwrite) as temporary:
                temporary.write_bytes(content)
        written(self.folder / PAGE, page, Kind.STRESS, overwrite=self.overwrite)


def _neutral(study: Study) -> dict[str, Level]:
    return {
        name: shift.neutral(cases[0]) if isinstance(shift, Shift) else 0.0
        for name, shift in study.shifts.items()
        if (cases := study.suited(name)[0])
    }


def _facts(shift: object) -> dict[str, object]:
    """Return the class of a shift and its settings."""
    kind = f"{type(shift).__module__}.{type(shift).__qualname__}"
    if not is_dataclass(shift) or isinstance(shift, type):
        return {"kind": kind}
    return {"kind": kind, **asdict(shift)}


def _setting(study: Study) -> list[str]:
    """Return words on scans, references and sampling."""
    simulated = [case for case in study.cases if case.simulated]
    reference = "the root-sum-of-squares of all samples of the same scan"
    if simulated:
        reference += (
            ", without their noise"
            if len(simulated) == len(study.cases)
            else (", without their noise where the scan is simulated")
        )
    counts = sorted({len(case.slices) for case in study.cases})
    slices = " or ".join(counted(count, "slice") for count in counts)
    names = ", ".join(case.name for case in study.cases[:6])
    more = f" and {len(study.cases) - 6} more" if len(study.cases) > 6 else ""
    kind = "simulated " if len(simulated) == len(study.cases) else ""
    return [
        f"{counted(len(study.cases), f'{kind}scan')} ({names}{more}), {slices} from its middle, "
        f"undersampled by {study.cases[0].sampling}.",
        f"The reference is {reference}. Each shift changes one thing; where the object changes, "
        "so does the reference. A random choice is the same at every level.",
    ]
