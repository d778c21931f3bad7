"""A table of the scores of several files: for the terminal, as Markdown and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from mrirecon.evaluation.stored.pooled import Pooled
from mrirecon.evaluation.tables.standings import LEGEND, too_few, unordered
from mrirecon.evaluation.tables.summaries import aligned, without_infinity
from mrirecon.evaluation.tables.summary_markup import MEANS, as_markdown, markdown, row
from mrirecon.evaluation.tables.summary_table import SummaryTable, summary_tables
from mrirecon.files import Kind, mark, stamped

DIFFERENCES = (
    "paired differences: mean over patients [95 % interval], p-value after Holm's correction, "
    "share of the patients with a positive difference"
)
Rows = list[list[str]]


def as_text(found: Pooled) -> str:
    """Return the table for the terminal."""
    rows, pairs = _methods(_tables(found)), _pairs(found)
    legend = f"{MEANS}; {too_few(found.standings) or LEGEND}"
    parts = [_subject(found), aligned(rows, rows[0].index("volumes")), legend]
    parts += unordered(found.standings, found.infos)
    if pairs:
        parts += ["", f"{DIFFERENCES}:", aligned(pairs, 3)]
    return "\n".join(parts)


def as_page(found: Pooled) -> bytes:
    """Return Markdown tables, with the mark of the output."""
    parts = [f"<!-- {mark(Kind.COMPARISON)} -->", "# Comparison of scores"]
    parts.append(as_markdown(_tables(found), _subject(found)).rstrip())
    if pairs := _pairs(found):
        parts += ["## Differences", markdown(f"{DIFFERENCES}."), _table(pairs)]
    if found.warnings:
        parts += ["## Warnings", "\n".join(f"- {markdown(one)}" for one in found.warnings)]
    files = [["file", "methods", "SHA-256"]]
    files += [[label, ", ".join(file.methods), file.sha256] for label, file in found.files.items()]
    parts += ["## Files", _table(files)]
    return stamped(("\n\n".join(parts) + "\n").encode(), Kind.COMPARISON)


def as_json(found: Pooled) -> bytes:
    """Return all of it for programs, with the mark of the output."""
    content = {
        "output": mark(Kind.COMPARISON),
        "files": [
            {"name": label, "sha256": file.sha256, "methods": file.methods,
             "protocol": file.protocol, "settings": file.settings, "target": file.target}
            for label, file in found.files.items()
        ],
        "warnings": found.warnings,
        "patients": len(set(found.patients.values())),
        "metrics": {name: asdict(info) for name, info in found.infos.items()},
        "summary": [asdict(one) for one in found.summaries],
        "standings": [one.facts() for one in found.standings],
        "scores": [score.row() for score in found.scores],
    }  # fmt: skip
    text = json.dumps(without_infinity(content), indent=2, allow_nan=False) + "\n"
    return stamped(text.encode(), Kind.COMPARISON)


def _tables(found: Pooled) -> list[SummaryTable]:
    return summary_tables(found.summaries, found.standings, found.infos)


def _subject(found: Pooled) -> str:
    """Tell what was compared, and by which definition."""
    volumes = len(found.patients)
    files = ", ".join(found.files)
    told = f"{volumes} volumes of {len(set(found.patients.values()))} patients, from {files}"
    definitions = {file.definition.partition("; protocol ")[0] for file in found.files.values()}
    definitions.discard("")
    if len(definitions) > 1:
        return f"{told}; scored in different ways, see the warnings"
    return "; ".join([told, *definitions])


def _methods(tables: Sequence[SummaryTable]) -> Rows:
    """Return the tables of the methods as one, best first."""
    regions = any(one.region for one in tables)
    head = ["method", *(["region"] if regions else []), "volumes"]
    rows = [[*head, *(info.heading for info in tables[0].infos)]]
    for one in tables:
        place = [one.region or "all"] if regions else []
        for method, volumes, entries in zip(one.methods, one.volumes, one.entries, strict=True):
            cells = [f"{entry.text} {entry.letters}".rstrip() for entry in entries]
            rows.append([method, *place, str(volumes), *cells])
    return rows


def _pairs(found: Pooled) -> Rows:
    """Return the table of the differences of all pairs of methods."""
    rows = []
    for order in found.standings:
        info = found.infos[order.metric]
        name = info.heading + (f", {order.region}" if order.region else "")
        for pair in order.ranking.comparisons:
            one = pair.difference
            text = info.text(one.mean, sign=True)
            if one.interval is not None:
                low, high = (info.text(end, sign=True) for end in one.interval)
                text += f" [{low}, {high}]"
            rows.append([
                name, pair.one, f"- {pair.other}", text, f"{pair.p:.2g}", f"{one.ahead:.0%}",
                str(one.patients),
            ])  # fmt: skip
    head = ["metric", "ahead", "behind", "difference", "p", "positive", "patients"]
    return [head, *rows] if rows else []


def _table(rows: Rows) -> str:
    head, *rest = [row(map(markdown, cells)) for cells in rows]
    return "\n".join([head, row(["---"] * len(rows[0])), *rest])
