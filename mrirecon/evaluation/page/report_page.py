"""The report of an evaluation as one page for people, readable without a network."""

from collections.abc import Sequence

from mrirecon.counting import counted
from mrirecon.evaluation.origins.making_rows import making_rows
from mrirecon.evaluation.page.strata_section import strata_section
from mrirecon.evaluation.tables.evaluated import Evaluated
from mrirecon.evaluation.tables.standings import Standing, too_few, unordered
from mrirecon.evaluation.tables.summary_markup import heading, legend
from mrirecon.evaluation.tables.summary_table import Entry, SummaryTable
from mrirecon.evaluation.tables.task import RUN, Task
from mrirecon.files import Kind
from mrirecon.metrics import MetricInfo
from mrirecon.pages import Text, document, grid, html, section, table, wide

WORST = 3
"""Volumes of each method that are listed as its worst ones."""
SMALL_P = 0.001
"""P-values below it are written as smaller than it."""


def as_page(
    evaluated: Evaluated, plots: Sequence[Text], volumes: Sequence[Text], command: str,
    versions: Sequence[str], task: Task | None = None,
) -> Text:  # fmt: skip
    """Return the page.

    Args:
        evaluated: What was found.
        plots: Pictures of the scores.
        volumes: Pictures of volumes; none leaves the section out.
        command: Command that made the report.
        versions: Versions of what scored.
        task: Task of a benchmark; None when there is none.
    """
    methods = evaluated.methods()
    subtitle = ", ".join(
        (
            counted(len(methods), "method"),
            f"{counted(len(evaluated.volumes), 'volume')} of "
            f"{counted(evaluated.patients, 'patient')}",
            f"protocol {evaluated.protocol.name}",
            *([f"benchmark {task.label}"] if task else []),
        )
    )
    parts = [
        _compared(evaluated),
        _warnings([*evaluated.warnings, *(task.warnings if task else ())]),
        *(_means(one, evaluated) for one in evaluated.tables),
        _published(task) if task else "",
        _differences(evaluated),
        strata_section(evaluated.stratified, evaluated.protocol.infos.get(evaluated.leading or "")),
        section("Scores", _row(plots)),
        section("Volumes", _row(volumes)) if volumes else "",
        _made(evaluated, methods),
        _worst(evaluated, methods),
        section("Benchmark", table(task.rows)) if task else "",
        section("This report", table([("command", command), ("versions", ", ".join(versions))])),
    ]
    return document(f"Evaluation: {', '.join(methods)}", subtitle, parts, Kind.EVALUATION)


def _compared(evaluated: Evaluated) -> Text:
    told = [evaluated.seen.definition(evaluated.protocol), *evaluated.seen.judged()]
    nameless = sum(not evaluated.makings.patients.get(name) for name in evaluated.volumes)
    if nameless:
        told.append(
            f"The files of {nameless} volumes do not tell whose they are; each of these counts as "
            "a patient of its own."
        )
    return section("What was compared", Text("".join(f"<p>{html(t)}</p>" for t in told if t)))


def _warnings(found: Sequence[str]) -> Text:
    if not found:
        return Text("")
    items = "".join(f"<li>{html(one)}</li>" for one in found)
    return section("Warnings", Text(f"<ul>{items}</ul>"), "warnings")


def _means(means: SummaryTable, evaluated: Evaluated) -> Text:
    head = ["method", "volumes", *map(heading, means.infos)]
    rows = [
        [method, str(volumes), *map(_cell, entries)]
        for method, volumes, entries in zip(
            means.methods, means.volumes, means.entries, strict=True
        )
    ]
    told = [legend([means])]
    own = [one for one in evaluated.standings if one.region == means.region]
    if few := too_few(own):
        told.append(few)
    text = "".join(f"<p>{html(one)}</p>" for one in told)
    title = f"Methods in region {means.region}" if means.region else "Methods"
    return section(title, Text(wide(grid(head, rows)) + text))


def _cell(entry: Entry) -> Text:
    text = html(entry.text)
    text = Text(f"<b>{text}</b>") if entry.best else text
    return Text(f"{text}<sup>{html(entry.letters)}</sup>") if entry.letters else text


def _published(task: Task) -> Text:
    """Put published scores beside those of this run."""
    told = "".join(f"<p>{html(one)}</p>" for one in task.remarks)
    if not task.anchors:
        return section("Published scores", Text(told)) if told else Text("")
    head, *rows = task.anchors
    shown = [[_strong(cell) for cell in row] if row[-1] == RUN else row for row in rows]
    return section("Published scores", Text(told + wide(grid(head, shown))))


def _strong(text: str) -> Text:
    return Text(f"<b>{html(text)}</b>")


def _differences(evaluated: Evaluated) -> Text:
    if not evaluated.standings:
        return Text("")
    head = (
        "methods", *(["region"] if any(evaluated.regions) else []), "metric",
        "mean difference [95 % interval]", "corrected p", "effect size", "patients ahead",
    )  # fmt: skip
    rows = []
    for order in evaluated.standings:
        rows += _pairs(order, evaluated.protocol.infos[order.metric], bool(any(evaluated.regions)))
    told = (
        "First method minus second, patient by patient, the first one the better by its mean. P is "
        "that of a sign-flip test, corrected for the number of pairs by Holm's method; the effect "
        "size is the mean difference divided by the standard deviation of the differences; "
        "patients ahead is the share of them for whom the first method is better, ties by half."
    )
    sentences = [told]
    for order in evaluated.standings:
        if order.left_out:
            title, place = evaluated.protocol.infos[order.metric].title, order.region
            where = f"{title} in region {place}" if place else title
            sentences.append(f"{where}: {order.left_out} patients without a finite value left out.")
    sentences += unordered(evaluated.standings, evaluated.protocol.infos)
    text = "".join(f"<p>{html(one)}</p>" for one in sentences)
    return section("Paired differences", Text(wide(grid(head, rows)) + text))


def _pairs(order: Standing, info: MetricInfo, regions: bool) -> list[list[str]]:
    rows = []
    for pair in order.ranking.comparisons:
        change = pair.difference
        text = info.text(change.mean, sign=True)
        if change.interval is not None:
            text += " [{}, {}]".format(*(info.text(end, sign=True) for end in change.interval))
        p = f"< {SMALL_P}" if pair.p < SMALL_P else f"{pair.p:.3f}"
        effect = "" if change.effect is None else f"{change.effect:+.2f}"
        place = [order.region or "all"] if regions else []
        ahead = f"{order.ahead(pair):.0%} of {change.patients}"
        rows.append([f"{pair.one} − {pair.other}", *place, info.heading, text, p, effect, ahead])
    return rows


def _row(pictures: Sequence[Text]) -> Text:
    return Text(f'<div class="row">{"".join(pictures)}</div>')


def _made(evaluated: Evaluated, methods: Sequence[str]) -> Text:
    rows = [(row.title, *row.values) for row in making_rows(evaluated.makings, methods)]
    title = "How the images were made"
    if not rows:
        return section(title, "The files do not tell.")
    return section(title, wide(grid(("", *methods), rows), "facts"))


def _worst(evaluated: Evaluated, methods: Sequence[str]) -> Text:
    infos = evaluated.protocol.infos
    values = {(s.method, s.volume): s.values for s in evaluated.scores if not s.region}
    rows = [
        [method, volume, *(info.text(values[method, volume][m]) for m, info in infos.items())]
        for method in methods
        for volume in evaluated.ordered_volumes(method)[::-1][:WORST]
    ]
    if not rows or evaluated.leading is None:
        return Text("")
    head = ["method", "volume", *map(heading, infos.values())]
    title = f"Worst volumes by {infos[evaluated.leading].title}"
    return section(title, wide(grid(head, rows)))
