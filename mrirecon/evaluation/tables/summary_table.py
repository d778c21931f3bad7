"""The table of methods that people read: means, intervals, and who is not told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrirecon.evaluation.tables.leading import methods_in_order
from mrirecon.evaluation.tables.standings import Standing
from mrirecon.evaluation.tables.summaries import Summary
from mrirecon.metrics import MetricInfo


@dataclass(frozen=True)
class Entry:
    """What is known of a method by one metric.

    Attributes:
        text: Mean, and interval where there is one.
        letters: Letters of the groups that the method belongs to; empty where the patients are too
            few to tell, or the metric has no better end.
        best: Whether the method is ahead of all others, and told apart from each of them.
    """

    text: str
    letters: str = ""
    best: bool = False


@dataclass(frozen=True)
class SummaryTable:
    """Methods from best to worst.

    Attributes:
        region: Label of the region that was scored; empty for all that the protocol compares.
        infos: How the values of each column are read.
        methods: Name of the method of each line.
        volumes: Number of volumes of each line.
        entries: Entries of each line, one for each column.
    """

    region: str
    infos: tuple[MetricInfo, ...]
    methods: tuple[str, ...]
    volumes: tuple[int, ...]
    entries: tuple[tuple[Entry, ...], ...]


def summary_tables(
    summaries: Sequence[Summary],
    standings: Sequence[Standing],
    infos: Mapping[str, MetricInfo],
) -> list[SummaryTable]:
    """Return a table of everything, and one of each region.

    Args:
        summaries: Summary of each method, and of each region of it.
        standings: Orders of the methods by each metric, in each region.
        infos: How the values of each metric are written and read.
    """
    tables = []
    for region in dict.fromkeys(one.region for one in summaries):
        by_method = {one.method: one for one in summaries if one.region == region}
        orders = {one.metric: one for one in standings if one.region == region}
        methods = methods_in_order(list(by_method), standings, infos, region)
        own = [by_method[method] for method in methods]
        entries = tuple(
            tuple(_entry(one, name, info, orders.get(name)) for name, info in infos.items())
            for one in own
        )
        volumes = tuple(one.volumes for one in own)
        tables.append(SummaryTable(region, tuple(infos.values()), tuple(methods), volumes, entries))
    return tables


def _entry(summary: Summary, metric: str, info: MetricInfo, order: Standing | None) -> Entry:
    text = info.text(summary.mean[metric])
    if (interval := summary.interval[metric]) is not None:
        low, high = (info.text(end) for end in interval)
        text += f" [{low}, {high}]"
    if order is None or not order.tells:
        return Entry(text)
    letters = dict(zip(order.ranking.methods, order.ranking.letters, strict=True))
    own = letters.pop(summary.method)
    alone = not any(set(own) & set(other) for other in letters.values())
    return Entry(text, own, alone and order.ranking.methods[0] == summary.method)
