"""The metric that people look at first, and its order of what has a value."""

import math
from collections.abc import Mapping, Sequence

from mrirecon.evaluation.tables.standings import Standing
from mrirecon.metrics import MetricInfo

FIRST = "ssim"


def leading_metric(infos: Mapping[str, MetricInfo]) -> str | None:
    """Return SSIM where it was scored, else the first metric that has a better end; or None."""
    ordered = sorted(infos, key=lambda name: name != FIRST)
    return next((name for name in ordered if infos[name].higher_is_better is not None), None)


def best_first(values: Mapping[str, float], info: MetricInfo) -> list[str]:
    """Return names from the best to the worst value; those that are not a number are left out.

    Args:
        values: Value of each name.
        info: How the values are read; must have a better end.
    """
    sign = 1 if info.higher_is_better else -1
    known = [name for name, value in values.items() if not math.isnan(value)]
    return sorted(known, key=lambda name: -sign * values[name])


def methods_in_order(
    methods: Sequence[str],
    standings: Sequence[Standing],
    infos: Mapping[str, MetricInfo],
    region: str = "",
) -> list[str]:
    """Return methods, best first by the leading metric where they have an order.

    Args:
        methods: Names of the methods.
        standings: Orders of the methods by each metric, in each region.
        infos: How the values of each metric are read.
        region: Label of the region that was scored.
    """
    leading = leading_metric(infos)
    found = [one for one in standings if (one.metric, one.region) == (leading, region)]
    return list(found[0].ranking.methods) if found else list(dict.fromkeys(methods))
