"""Rows of a benchmark: printed as a table and written to ``benchmarks/results/<name>.json``."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One comparison in one run; ``ratio`` is how many times faster we are.

    ``error`` is the relative difference of the results, None where they are not comparable; ``cpu``
    is the ratio of the processors' times, where they were taken.
    """

    case: str
    ours_ms: float
    peer: str
    peer_ms: float
    ratio: float
    error: float | None = None
    cpu: float | None = None


@dataclass(frozen=True)
class MemoryRow:
    """One comparison of memory; ``ratio`` is how many times less we take."""

    case: str
    ours_mb: float
    peer: str
    peer_mb: float
    ratio: float


def median_ms(function: Callable[[], Any], repeats: int) -> float:
    """Return the median wall-clock time of a call in ms."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def publish(name: str, rows: Sequence[Row | MemoryRow]) -> None:
    """Print the rows and write them as JSON; earlier rows of other cases are kept there."""
    print(f"{'case':<28}{'ours':>12}{'peer':>12}  {'':<28}{'ratio':>8}{'error':>10}{'cpu':>8}")
    for row in rows:
        if isinstance(row, MemoryRow):
            ours, theirs = f"{row.ours_mb:.0f} MB", f"{row.peer_mb:.0f} MB"
            error = cpu = ""
        else:
            ours, theirs = f"{row.ours_ms:.1f} ms", f"{row.peer_ms:.1f} ms"
            error = "" if row.error is None else f"{row.error:.1e}"
            cpu = "" if row.cpu is None else f"{row.cpu:.1f}x"
        compared = f"{ours:>12}{theirs:>12}  {row.peer:<28}{row.ratio:>7.1f}x"
        print(f"{row.case:<28}{compared}{error:>10}{cpu:>8}")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    known = json.loads(path.read_text()) if path.exists() else []
    table = {(row["case"], row["peer"]): row for row in known}
    table |= {(row.case, row.peer): asdict(row) for row in rows}
    path.write_text(json.dumps([table[key] for key in sorted(table)], indent=1) + "\n")
