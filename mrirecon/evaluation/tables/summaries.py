"""Scores as tables: CSV, JSON and text."""

import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from mrirecon.evaluation.scores.protocol import Score
from mrirecon.evaluation.statistics.intervals import bootstrap_interval
from mrirecon.evaluation.tables.standings import per_patient
from mrirecon.metrics import MetricInfo


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation and interval of each metric over the volumes of one method.

    Where regions are scored, each has a summary of its own. The standard deviation is the sample's
    (n - 1); None for a single volume, or when the PSNR of a perfect volume is infinite. The
    interval is that of :func:`~mrirecon.evaluation.statistics.intervals.bootstrap_interval` over
    patients, the volumes of one averaged first.
    """

    method: str
    region: str
    volumes: int
    mean: dict[str, float]
    std: dict[str, float | None]
    interval: dict[str, tuple[float, float] | None]


def summarize(scores: Sequence[Score], patients: Mapping[str, str] | None = None) -> list[Summary]:
    """Summarise each method, and each region of it, in the order of first appearance.

    Args:
        scores: Scores of volumes.
        patients: Patient of each volume; a volume that is not named is a patient of its own.
    """
    summaries = []
    for method, region in dict.fromkeys((score.method, score.region) for score in scores):
        own = [score for score in scores if (score.method, score.region) == (method, region)]
        columns = {name: [score.values[name] for score in own] for name in own[0].values}
        summaries.append(
            Summary(
                method,
                region,
                len(own),
                {name: statistics.fmean(values) for name, values in columns.items()},
                {name: _stdev(values) for name, values in columns.items()},
                {name: _interval(own, patients or {}, name) for name in columns},
            )
        )
    return summaries


def scores_csv(scores: Sequence[Score]) -> str:
    """One row per method and volume, and region where there are some."""
    return _csv([score.row() for score in scores])


def summary_csv(summaries: Sequence[Summary]) -> str:
    """One row per method, and region where there are some: the means over volumes."""
    return _csv([{"method": s.method, **_place(s), **s.mean} for s in summaries])


def report_json(
    scores: Sequence[Score],
    summaries: Sequence[Summary],
    infos: Mapping[str, MetricInfo],
    **facts: object,
) -> str:
    """Everything, for programs.

    Args:
        scores: Scores of volumes.
        summaries: Summaries of the methods.
        infos: How the values of each metric are written and read.
        **facts: Whatever else there is to tell.
    """
    content = {
        **facts,
        "metrics": {name: asdict(info) for name, info in infos.items()},
        "summary": [_summary(summary) for summary in summaries],
        "scores": [score.row() for score in scores],
    }
    return json.dumps(without_infinity(content), indent=2, allow_nan=False) + "\n"


def without_infinity(value: object) -> object:
    """JSON knows no infinity: a PSNR without error becomes null."""
    if isinstance(value, dict):
        return {key: without_infinity(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [without_infinity(child) for child in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(summaries: Sequence[Summary], infos: Mapping[str, MetricInfo]) -> str:
    """Mean ± standard deviation over volumes, for people.

    Args:
        summaries: Summaries of the methods.
        infos: How the values of each metric are written and read.
    """
    regions = any(summary.region for summary in summaries)
    head = ["method", *(["region"] if regions else []), "volumes"]
    rows = [[*head, *(info.heading for info in infos.values())]]
    for s in summaries:
        place = [s.region or "all"] if regions else []
        cells = [_cell(s, name, info) for name, info in infos.items()]
        rows.append([s.method, *place, str(s.volumes), *cells])
    return aligned(rows, len(head) - 1)


def aligned(rows: Sequence[Sequence[str]], words: int) -> str:
    """Write rows of cells in columns.

    Args:
        rows: Rows of as many cells each.
        words: Number of columns at the left that are words; what follows are numbers.
    """
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    return "\n".join(
        "".join(
            cell.ljust(width) if n < words else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _summary(summary: Summary) -> dict[str, object]:
    facts = {name: value for name, value in asdict(summary).items() if name != "region"}
    return {"method": summary.method, **_place(summary), **facts}


def _place(summary: Summary) -> dict[str, str]:
    return {"region": summary.region} if summary.region else {}


def _interval(
    scores: Sequence[Score], patients: Mapping[str, str], metric: str
) -> tuple[float, float] | None:
    """Return the interval of the mean over patients of one method."""
    (values,) = per_patient(scores, patients, metric).values()
    return bootstrap_interval(list(values.values()))


def _stdev(values: list[float]) -> float | None:
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    return statistics.stdev(values)


def _cell(summary: Summary, metric: str, info: MetricInfo) -> str:
    mean, std = summary.mean[metric], summary.std[metric]
    return info.text(mean) + ("" if std is None else f" ± {info.text(std)}")


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Write rows; a column that only some of them have is empty in the others."""
    text = io.StringIO()
    columns = max((list(row) for row in rows), key=len)
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
