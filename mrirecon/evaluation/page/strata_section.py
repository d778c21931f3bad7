"""The section of a report on kinds of scans."""

from collections.abc import Sequence

from mrirecon.evaluation.statistics.paired import SIGNIFICANT
from mrirecon.evaluation.tables.stratified import Contrasted, Stratified
from mrirecon.metrics import MetricInfo
from mrirecon.pages import Text, grid, html, section, wide


def strata_section(found: Sequence[Stratified], info: MetricInfo | None) -> Text:
    """Return means by kind of scan, and whether methods differ alike in all of them.

    Args:
        found: Scores by each fact; none leaves the section out.
        info: How the values of their metric are read.
    """
    if not found or info is None:
        return Text("")
    methods = list(found[0].means)
    head = ["", "", "volumes", *methods]
    rows = [
        [one.fact, kind, str(count), *(info.text(one.means[m][kind]) for m in methods)]
        for one in found
        for kind, count in one.volumes.items()
    ]
    tests = [
        [one.fact, f"{pair.one} − {pair.other}", _differences(pair, info), _p(pair)]
        for one in found
        for pair in one.pairs
    ]
    told = (
        f"Means of {info.title} over volumes. Below: the best method minus each other one, in each "
        "kind of scan; the p-value is that of a permutation test that the difference is the same "
        "in all of them, corrected for all such tests by Holm's method. A small one says that the "
        "order of methods may depend on the kind."
    )
    heads = [
        "",
        "methods",
        "mean difference [95 % interval] (patients)",
        "interaction, corrected p",
    ]
    text = Text(wide(grid(head, rows)) + f"<p>{html(told)}</p>" + wide(grid(heads, tests)))
    return section("By kind of scan", text)


def _differences(pair: Contrasted, info: MetricInfo) -> str:
    parts = []
    for label, one in pair.found.differences.items():
        ends = (
            ""
            if one.interval is None
            else " [{}, {}]".format(*(info.text(end, sign=True) for end in one.interval))
        )
        parts.append(f"{label}: {info.text(one.mean, sign=True)}{ends} ({one.patients})")
    return "; ".join(parts)


def _p(pair: Contrasted) -> str:
    if pair.p is None:
        return "too few"
    return f"{pair.p:.3f}{' *' * (pair.p < SIGNIFICANT)}"
