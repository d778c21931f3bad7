"""The page of the benchmarks: their own text, and every row that a script has written."""

import json
from collections.abc import Iterator
from pathlib import Path

from markdown import cell, table
from places import ROOT

PAGE = Path("benchmarks/index.md")
UNITS = {
    "ours_ms": "ours / ms",
    "peer_ms": "peer / ms",
    "ours_mb": "ours / MB",
    "peer_mb": "peer / MB",
}


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the page: ``benchmarks/README.md``, then the rows of ``benchmarks/results``."""
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    parts = [text.strip(), "## All rows\n\nAs the scripts wrote them; `ratio` is peer / ours."]
    for file in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        rows = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(rows, list) and all(_flat(row) for row in rows):
            titles = list(dict.fromkeys(key for row in rows for key in row))
            shown = ([_number(row.get(key)) for key in titles] for row in rows)
            names = [UNITS.get(key, key) for key in titles]
            parts.append(f"### {file.stem}\n\n{table(names, shown)}")
    yield PAGE, "\n\n".join(parts) + "\n"


def _flat(row: object) -> bool:
    return isinstance(row, dict) and not any(isinstance(v, dict | list) for v in row.values())


def _number(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else cell(value)
