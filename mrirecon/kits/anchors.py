"""Published scores for the cases of a kit, and where the methods of a run stand beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrirecon.evaluation.tables.evaluated import Evaluated
from mrirecon.evaluation.tables.task import RUN
from mrirecon.kits.kit import Anchor
from mrirecon.metrics import MetricInfo

HEAD = ("metric", "method", "mean", "tolerance", "source")


@dataclass(frozen=True)
class Beside:
    """Scores beside published ones.

    Attributes:
        table: Rows of metric, method, mean, tolerance and source, best first; the head is the first
            one. Empty without published scores.
        warnings: Sentences about scores that do not fit.
    """

    table: tuple[tuple[str, ...], ...] = ()
    warnings: tuple[str, ...] = ()


def beside(evaluated: Evaluated, anchors: Sequence[Anchor]) -> Beside:
    """Put the means of all methods beside published ones.

    Args:
        evaluated: What was found on all cases of a kit.
        anchors: Published scores of the kit.
    """
    infos = evaluated.protocol.infos
    metrics = [m for m in dict.fromkeys(one.metric for one in anchors) if m in infos]
    kinds = _kinds(evaluated)
    rows: list[tuple[str, ...]] = []
    warnings: list[str] = []
    for metric in metrics:
        own = [one for one in anchors if one.metric == metric]
        means = {s.method: s.mean[metric] for s in evaluated.summaries if not s.region}
        rows += _rows(infos[metric], own, means)
        for method, mean in means.items():
            warnings += _expected(method, mean, kinds[method], infos[metric], own)
            warnings += _too_good(method, mean, infos[metric], own)
    return Beside((HEAD, *rows), tuple(warnings)) if rows else Beside()


def _kinds(evaluated: Evaluated) -> dict[str, str]:
    """Return the class of each method, where all of its volumes tell the same one."""
    kinds = {}
    for method, own in evaluated.makings.origins.items():
        told = {origin.method for origin in own.values()}
        kinds[method] = told.pop() if len(told) == 1 else ""
    return kinds


def _rows(
    info: MetricInfo, anchors: Sequence[Anchor], means: Mapping[str, float]
) -> list[tuple[str, ...]]:
    rows = [
        (a.value, (info.title, a.method, info.text(a.value), info.text(a.tolerance), a.source))
        for a in anchors
    ]
    rows += [(v, (info.title, method, info.text(v), "", RUN)) for method, v in means.items()]
    rows.sort(key=lambda row: row[0], reverse=info.higher_is_better is not False)
    return [cells for _, cells in rows]


def _expected(
    method: str, mean: float, kind: str, info: MetricInfo, anchors: Sequence[Anchor]
) -> list[str]:
    """Compare a method with the published score of the same method."""
    return [
        f"{method}: {info.title} is {info.text(mean)}, but {anchor.method} has "
        f"{info.text(anchor.value)} ± {info.text(anchor.tolerance)} ({anchor.source}): the "
        "protocol differs; check target, crop, mask and normalisation"
        for anchor in anchors
        if anchor.ours and anchor.ours == kind and abs(mean - anchor.value) > anchor.tolerance
    ]


def _too_good(method: str, mean: float, info: MetricInfo, anchors: Sequence[Anchor]) -> list[str]:
    """Doubt what is better than everything published; classical methods are no bound."""
    bounds = [one for one in anchors if one.ours is None]
    if info.higher_is_better is None or not bounds:
        return []
    sign = 1 if info.higher_is_better else -1
    best = max(bounds, key=lambda one: sign * one.value)
    if sign * (mean - best.value) <= best.tolerance:
        return []
    return [
        f"{method}: {info.title} of {info.text(mean)} is too good: the best published is "
        f"{info.text(best.value)} by {best.method} ({best.source}); check target, leak and crop "
        "before you believe it"
    ]
