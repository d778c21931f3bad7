"""What a study has found as tables: CSV, JSON and text."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict

from mrirecon.evaluation.tables.summaries import without_infinity
from mrirecon.robustness.findings import Fall, Findings
from mrirecon.robustness.result import Result


def results_csv(findings: Findings) -> str:
    """One row per shift, level, scan and method."""
    results = findings.results
    measured = list(dict.fromkeys(name for r in results for name in r.measured))
    metrics = list(dict.fromkeys(name for r in results for name in r.values))
    head = ["shift", "level", "scan", "method", "learned", "acceleration", *metrics, *measured]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*head, "doubts", "remark", "failure"], lineterminator="\n")
    writer.writeheader()
    for r in results:
        writer.writerow(
            {
                "shift": r.shift, "level": r.level, "scan": r.scan, "method": r.method,
                "learned": findings.learned[r.method], "acceleration": r.acceleration,
                **r.values, **r.measured, "doubts": "; ".join(r.doubts), "remark": r.remark,
                "failure": r.failure,
            }
        )  # fmt: skip
    return stream.getvalue()


def findings_json(findings: Findings, names: Sequence[str], **facts: object) -> str:
    """Everything, for programs.

    Args:
        findings: What was found.
        names: Names of the shifts in their order.
        **facts: Whatever else there is to tell.
    """
    content = {
        **facts,
        "metric": asdict(findings.info),
        "falls": [asdict(fall) for shift in names for fall in findings.falls(shift)],
        "results": [_row(r) for r in findings.results],
    }
    return json.dumps(without_infinity(content), indent=2, allow_nan=False) + "\n"


def _row(result: Result) -> dict[str, object]:
    row = asdict(result)
    return {key: value for key, value in row.items() if value not in ({}, (), "", None)}


def falls_text(findings: Findings, shifts: Sequence[str], margin: float) -> str:
    """How far every method falls under every shift, for a terminal.

    Args:
        findings: What was found.
        shifts: Names of the shifts in their order.
        margin: Fall from which on it is marked.
    """
    methods = list(findings.learned)
    rows = [["shift", *methods]]
    for shift in shifts:
        rows.append(
            [shift, *(fall_words(fall, findings, margin) for fall in findings.falls(shift))]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(n) for c, n in zip(row, widths, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    return "\n".join(lines)


def fall_words(fall: Fall, findings: Findings, margin: float) -> str:
    """Return how far a method falls, in a few words.

    Args:
        fall: Fall of a method under a shift.
        findings: What was found.
        margin: Fall from which on it is marked.
    """
    if fall.fall is None:
        return f"{fall.failures} failed" if fall.failures else "-"
    marked = " !" if exceeds(fall, margin) else ""
    words = f"{change_words(fall.fall.mean, findings)} at {level_text(fall.level)}{marked}"
    return f"{words}, {fall.failures} failed" if fall.failures else words


def exceeds(fall: Fall, margin: float) -> bool:
    """Tell whether a method falls by more than a margin, on the mean over scans."""
    return fall.fall is not None and fall.fall.mean > margin


def change_words(worse: float, findings: Findings) -> str:
    """Return a change of the metric, with its sign and unit, of what is worse by so much."""
    info = findings.info
    signed = worse if info.higher_is_better is False else -worse
    return f"{info.text(signed, sign=True)} {info.unit}".rstrip()


def level_text(level: float | str | None) -> str:
    """Return a level as people write it."""
    return f"{level:g}" if isinstance(level, int | float) else str(level)
