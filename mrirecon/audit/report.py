"""What an audit has found, as a table, as JSON and as a page."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mrirecon.audit.duplicates import Pair
from mrirecon.audit.finding import LEVELS, Finding, Kind
from mrirecon.audit.likeness import aligned
from mrirecon.audit.run import Audit
from mrirecon.figures.pair import pair as drawn
from mrirecon.files import Kind as Output, mark, stamped
from mrirecon.pages import Text, document, grid, html, picture, section, table

WIDTH = 96
MOST_PICTURES = 60
"""Pairs that are shown; more would make the page heavy, all are in the table."""
LISTED = 6
"""Slices of a finding that are named."""


def as_text(audit: Audit) -> str:
    """Return a table for the terminal, findings of one kind together with what they mean."""
    lines = []
    for kind, members in _by_kind(audit.findings):
        lines.append(f"{members[0].level.upper()}  {kind.name}")
        for one in members:
            told = f"{' and '.join(one.files)}{_planes(one)}: {one.reason}"
            indent = "  " if one.level is members[0].level else f"  ({one.level}) "
            lines += textwrap.wrap(told, WIDTH, initial_indent=indent, subsequent_indent="    ")
        lines += textwrap.wrap(f"Why: {kind.why}", WIDTH, initial_indent="  ",
                               subsequent_indent="  ")  # fmt: skip
        lines += textwrap.wrap(f"What to do: {kind.remedy}", WIDTH, initial_indent="  ",
                               subsequent_indent="  ")  # fmt: skip
        lines.append("")
    return "\n".join([*lines, summary(audit)])


def summary(audit: Audit) -> str:
    """Return one line about all of it."""
    counts = [sum(one.level is level for one in audit.findings) for level in LEVELS]
    told = ", ".join(
        f"{n} {level}{'s' * (n != 1)}" for n, level in zip(counts, LEVELS, strict=True)
    )
    planes = sum(len(one) for one in audit.looked_at.values())
    files = sum(audit.folders.values())
    return f"{files} files in {len(audit.folders)} folders, {planes} slices looked at: {told}"


def as_json(audit: Audit) -> bytes:
    """Return the report for programs, with its mark."""
    tree: dict[str, Any] = {
        "output": mark(Output.AUDIT),
        "folders": audit.folders,
        "slices_looked_at": audit.looked_at,
        "problems": audit.problems,
        "findings": [
            {
                "kind": one.kind.name,
                "level": str(one.level),
                "files": one.files,
                "slices": one.planes,
                "reason": one.reason,
                "why": one.kind.why,
                "remedy": one.kind.remedy,
            }
            for one in audit.findings
        ],
        "pairs": [
            {
                "files": (one.first.file, one.second.file),
                "slices": (one.first.plane, one.second.plane),
                **asdict(one.likeness),
            }
            for one in audit.pairs
        ],
    }
    return stamped((json.dumps(tree, indent=1, ensure_ascii=False) + "\n").encode(), Output.AUDIT)


def as_page(audit: Audit) -> Text:
    """Return the report as a page, with pictures of the pairs."""
    folders = table((name, f"{count} files") for name, count in audit.folders.items())
    parts = [section("Folders", folders)]
    for kind, members in _by_kind(audit.findings):
        rows = [
            (Text(f'<span class="{one.level}">{one.level}</span>'), " and ".join(one.files),
             _planes(one).strip(" ()").removeprefix("slices ").removeprefix("slice "), one.reason)
            for one in members
        ]  # fmt: skip
        told = Text(f"<p>{html(kind.why)} {html(kind.remedy)}</p>")
        found = grid(("level", "files", "slices", "what was seen"), rows)
        parts.append(section(kind.name, Text(found + told)))
    shown = audit.pairs[:MOST_PICTURES]
    if shown:
        pictures = Text("".join(_picture(one) for one in shown))
        left_out = len(audit.pairs) - len(shown)
        more = Text(f"<p>{left_out} more pairs are in the table.</p>" if left_out else "")
        parts.append(section("Pairs", Text(f'<div class="row">{pictures}</div>{more}')))
    if not audit.findings:
        parts.append(section("Findings", "Nothing was found."))
    looked_at = [(name, ", ".join(map(str, planes))) for name, planes in audit.looked_at.items()]
    details = f"<details><summary>slices of each file</summary>{table(looked_at)}</details>"
    parts.append(section("Looked at", Text(details)))
    return document(
        "Audit of raw data", summary(audit), parts, Output.AUDIT,
        footer="What was not found may be there all the same: an audit is no proof.",
    )  # fmt: skip


def _picture(pair: Pair) -> Text:
    one, other = aligned(pair.first.sketch, pair.second.sketch, pair.likeness)
    names = tuple(f"{image.file}, slice {image.plane}" for image in (pair.first, pair.second))
    figure = drawn(one.numpy(), other.numpy(), (names[0], names[1]))
    return picture(figure, f"{pair.finding.kind.name}: {names[0]} and {names[1]}")


def _by_kind(findings: Sequence[Finding]) -> list[tuple[Kind, list[Finding]]]:
    kinds: dict[str, list[Finding]] = {}
    for one in findings:
        kinds.setdefault(one.kind.name, []).append(one)
    return [(members[0].kind, members) for members in kinds.values()]


def _planes(finding: Finding) -> str:
    if not finding.planes:
        return ""
    told = ", ".join(map(str, finding.planes[:LISTED]))
    more = ", …" if len(finding.planes) > LISTED else ""
    return f" (slice{'s' * (len(finding.planes) > 1)} {told}{more})"
