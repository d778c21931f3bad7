"""Scores as tables: CSV, JSON and text."""

import csv
import io
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from mrirecon.evaluation.intervals import bootstrap_interval
from mrirecon.evaluation.protocol import Score
from mrirecon.metrics import METRICS


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation and interval of each metric over the volumes of one method.

    The standard deviation is the sample's (n - 1); None for a single volume, or when the PSNR of a
    perfect volume is infinite. The interval is that of
    :func:`~mrirecon.evaluation.intervals.bootstrap_interval`.
    """

    method: str
    volumes: int
    mean: dict[str, float]
    std: dict[str, float | None]
    interval: dict[str, tuple[float, float] | None]


def summarize(scores: Sequence[Score]) -> list[Summary]:
    """Summarise each method, in the order of first appearance."""
    summaries = []
    for method in dict.fromkeys(score.method for score in scores):
        own = [score for score in scores if score.method == method]
        columns = {name: [getattr(score, name) for score in own] for name in METRICS}
        summaries.append(
            Summary(
                method,
                len(own),
                {name: statistics.fmean(values) for name, values in columns.items()},
                {name: _stdev(values) for name, values in columns.items()},
                {name: bootstrap_interval(values) for name, values in columns.items()},
            )
        )
    return summaries


def scores_csv(scores: Sequence[Score]) -> str:
    """One row per method and volume."""
    names = [field.name for field in fields(Score)]
    return _csv(names, [[getattr(score, name) for name in names] for score in scores])


def summary_csv(summaries: Sequence[Summary]) -> str:
    """One row per method: the means over volumes."""
    rows = [[s.method, *(s.mean[name] for name in METRICS)] for s in summaries]
    return _csv(["method", *METRICS], rows)


def report_json(scores: Sequence[Score], summaries: Sequence[Summary], **facts: object) -> str:
    """Everything, for programs."""
    content = {
        **facts,
        "summary": [asdict(summary) for summary in summaries],
        "scores": [asdict(score) for score in scores],
    }
    return json.dumps(_without_infinity(content), indent=2, allow_nan=False) + "\n"


def _without_infinity(value: object) -> object:
    """JSON knows no infinity: a PSNR without error becomes null."""
    if isinstance(value, dict):
        return {key: _without_infinity(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(child) for child in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(summaries: Sequence[Summary]) -> str:
    """Mean ± standard deviation over volumes, for people."""
    head = f"{'method':<16}{'volumes':>8}{'NMSE':>20}{'PSNR / dB':>18}{'SSIM':>18}"
    rows = [
        f"{s.method:<16}{s.volumes:>8}"
        f"{_cell(s, 'nmse', 5):>20}{_cell(s, 'psnr', 2):>18}{_cell(s, 'ssim', 4):>18}"
        for s in summaries
    ]
    return "\n".join([head, *rows])


def _stdev(values: list[float]) -> float | None:
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    return statistics.stdev(values)


def _cell(summary: Summary, metric: str, digits: int) -> str:
    mean, std = summary.mean[metric], summary.std[metric]
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")


def _csv(head: list[str], rows: list[list[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue()
