"""What ``mrirecon evaluate`` writes: tables, scores, pictures, and the report for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mrirecon.evaluation.page.middle_slices import middle_slices
from mrirecon.evaluation.page.page_pictures import agreement_picture, boxes_picture, volume_pictures
from mrirecon.evaluation.page.report_page import as_page
from mrirecon.evaluation.scores.scoring import Case, Rules
from mrirecon.evaluation.tables.evaluated import Evaluated
from mrirecon.evaluation.tables.summaries import report_json, scores_csv, summary_csv
from mrirecon.evaluation.tables.summary_markup import as_latex, as_markdown
from mrirecon.evaluation.tables.task import Task
from mrirecon.figures import Boxes, bars, comparison, save_figure
from mrirecon.files import (
    REPORT,
    Kind,
    Untouchable,
    atomic,
    mark,
    refuse_existing,
    stamped,
    tables_mark,
)
from mrirecon.pages import written
from mrirecon.versions import versions

TABLES = ("scores.csv", "summary.csv", "summary.md", "summary.tex")
BOXES, PAGE = "scores.png", "report.html"


@dataclass(frozen=True)
class EvaluationFiles:
    """The files of one evaluation.

    Attributes:
        folder: Folder that they are written to.
        cases: Volumes that are scored.
        drawn: Number of volumes of which a comparison is drawn; of none, no picture of a volume is
            in the report.
        overwrite: Whether older files of ours are replaced.
    """

    folder: Path
    cases: Sequence[Case]
    drawn: int
    overwrite: bool

    def refuse(self) -> None:
        """Refuse what may not be replaced before anything is computed.

        Raises:
            OutputError: When there is such a file, or an input would be replaced.
        """
        kinds = {**dict.fromkeys(TABLES, Kind.TABLE), REPORT: Kind.SCORES, PAGE: Kind.EVALUATION}
        pictures = [_picture(case.name) for case in self.cases[: self.drawn]]
        kinds |= dict.fromkeys((BOXES, *pictures), Kind.PICTURE)
        read = [path for case in self.cases for path in (case.reference, *case.images.values())]
        Untouchable(read).refuse(self.folder / name for name in kinds)
        for name, kind in kinds.items():
            refuse_existing(self.folder / name, self.overwrite, kind)

    def write(
        self, evaluated: Evaluated, rules: Rules, command: str, task: Task | None = None
    ) -> None:
        """Write all of them.

        Args:
            evaluated: What was found.
            rules: How volumes were read and compared.
            command: Command line, as it may be told.
            task: Task of a benchmark; None when there is none.
        """
        self._comparisons(evaluated, rules)
        self._tables(evaluated, command, task)
        self._boxes(evaluated)
        plots = [boxes_picture(evaluated)]
        if agreeing := agreement_picture(evaluated):
            plots.append(agreeing)
        volumes = volume_pictures(evaluated, self.cases, rules) if self.drawn else []
        page = as_page(evaluated, plots, volumes, command, versions(), task)
        written(self.folder / PAGE, page, Kind.EVALUATION, overwrite=self.overwrite)

    def written(self) -> str:
        """Return the names of the files, and where they are, in words."""
        more = " and comparisons" if self.drawn else ""
        return f"wrote {', '.join((*TABLES, REPORT, BOXES, PAGE))}{more} to {self.folder}"

    def _comparisons(self, evaluated: Evaluated, rules: Rules) -> None:
        """Draw the middle slice of every method, as it is compared."""
        for case in self.cases[: self.drawn]:
            shown = middle_slices(case, rules, evaluated.scores)
            title = f"{case.name}, slice {shown.number}; scores of the whole volume"
            figure = comparison(shown.reference, shown.images, title=title)
            save_figure(self.folder / _picture(case.name), figure, overwrite=self.overwrite)

    def _tables(self, evaluated: Evaluated, command: str, task: Task | None) -> None:
        infos, scores = evaluated.protocol.infos, evaluated.scores
        means = evaluated.tables
        definition = evaluated.seen.definition(evaluated.protocol)
        contents = (
            scores_csv(scores), summary_csv(evaluated.summaries),
            as_markdown(means, definition), as_latex(means, definition),
        )  # fmt: skip
        tables = {name: text.encode() for name, text in zip(TABLES, contents, strict=True)}
        for name, content in tables.items():
            with atomic(self.folder / name, Kind.TABLE, overwrite=self.overwrite) as temporary:
                temporary.write_bytes(content)
        text = report_json(
            scores, evaluated.summaries, infos,
            output=mark(Kind.SCORES), tables=tables_mark(tables), command=command,
            versions=versions(), protocol=evaluated.seen.facts(evaluated.protocol),
            made=evaluated.makings.facts(), standings=[one.facts() for one in evaluated.standings],
            strata=[one.facts() for one in evaluated.stratified],
            **({"task": task.facts()} if task else {}),
        )  # fmt: skip
        report = stamped(text.encode(), Kind.SCORES)
        with atomic(self.folder / REPORT, Kind.SCORES, overwrite=self.overwrite) as temporary:
            temporary.write_bytes(report)

    def _boxes(self, evaluated: Evaluated) -> None:
        whole = [score for score in evaluated.scores if not score.region]
        methods = dict.fromkeys(score.method for score in whole)
        boxes = [
            Boxes(
                info.title,
                info.meaning,
                {m: [x.values[name] for x in whole if x.method == m] for m in methods},
            )
            for name, info in evaluated.protocol.infos.items()
        ]
        figure = bars(boxes, title=f"{len(evaluated.volumes)} volumes")
        save_figure(self.folder / BOXES, figure, overwrite=self.overwrite)


def _picture(name: str) -> str:
    *folders, last = name.split("/")
    return "/".join([*folders, f"comparison_{last}.png"])
