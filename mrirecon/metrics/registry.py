"""Metrics by name, and how a user chooses among them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrirecon.building import build_kept, suggest
from mrirecon.errors import ConfigError
from mrirecon.metrics.base import Metric
from mrirecon.metrics.fastmri import METRICS
from mrirecon.metrics.gmsd import Gmsd
from mrirecon.metrics.haarpsi import HaarPsi
from mrirecon.metrics.hfen import Hfen
from mrirecon.metrics.landmarks import LandmarkShift
from mrirecon.metrics.ms_ssim import MsSsim
from mrirecon.metrics.nmse import Nrmse
from mrirecon.metrics.own import OwnMetric
from mrirecon.metrics.sfrc import Sfrc
from mrirecon.metrics.vif import Vif

_OTHERS = (Nrmse(), HaarPsi(), Gmsd(), Hfen(), MsSsim(), Vif(), Sfrc(), LandmarkShift())
KNOWN: Mapping[str, Metric] = {**METRICS, **{metric.info.name: metric for metric in _OTHERS}}
"""All metrics that have a name, with the settings of their papers."""
RESERVED = ("method", "volume", "region", "volumes")
"""Names that tables have for other columns."""


def chosen_metrics(
    chosen: str | Sequence[Any] | Mapping[str, Any], own: Mapping[str, Metric]
) -> dict[str, Metric]:
    """Return metrics by name.

    Args:
        chosen: Names, and nodes with a ``_target_`` for metrics of a user: a class that extends
            :class:`~mrirecon.metrics.base.Metric`, or a function of two arrays, the image first;
            a mapping gives them names.
        own: Metrics that a name stands for first, with the settings of a protocol.

    Raises:
        ConfigError: When there is no such metric, or none at all.
    """
    chosen = [chosen] if isinstance(chosen, str) else chosen
    named = (
        [(str(name), node) for name, node in chosen.items()]
        if isinstance(chosen, Mapping)
        else [("", node) for node in chosen]
    )
    found: dict[str, Metric] = {}
    for name, node in named:
        metric = _named(node, own) if isinstance(node, str) else _built(name, node)
        name = name or metric.info.name
        if name in found or name in RESERVED:
            raise ConfigError(f"metrics: the name {name} is taken; give names, {{mine: ...}}")
        found[name] = metric
    if not found:
        raise ConfigError(f"metrics: expected at least one of {', '.join(KNOWN)}")
    return found


def _named(name: str, own: Mapping[str, Metric]) -> Metric:
    known = {**KNOWN, **own}
    if name not in known:
        raise ConfigError(
            f"metrics: there is no {name}{suggest(name, list(known))} (one of your own is a node: "
            "metrics=[psnr,{_target_: mypackage.mymetric}])"
        )
    return known[name]


def _built(name: str, node: Any) -> Metric:
    key = f"metrics.{name}" if name else "metrics"
    built = build_kept(node, key)
    if isinstance(built, Metric):
        return built
    return OwnMetric(built, name or str(node["_target_"]).rpartition(".")[2])
