"""Whether methods differ alike in every kind of scan: contrast, acceleration, vendor, field."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrirecon.evaluation.origins.makings import Makings
from mrirecon.evaluation.scores.protocol import Score
from mrirecon.evaluation.statistics.paired import holm
from mrirecon.evaluation.statistics.strata import Strata, Unit, strata
from mrirecon.evaluation.tables.leading import leading_metric
from mrirecon.evaluation.tables.standings import Standing
from mrirecon.metrics import MetricInfo

FACTS = {
    "contrast": "contrast",
    "acceleration": "acceleration R",
    "vendor": "vendor",
    "field_strength": "field strength / T",
}
"""Facts of an origin by which scans are told apart, and what they are called."""
STEPS = {"acceleration": 0.5, "field_strength": 0.1}
"""Numbers that differ by less count as equal: R depends a little on matrix and calibration."""
MOST = 12
"""Strata of a fact at most: more are rather names than kinds."""


@dataclass(frozen=True)
class Contrasted:
    """The best method and another one, stratum by stratum.

    Attributes:
        one: Name of the best method.
        other: Name of the other method.
        found: Differences in each stratum, and the test of their interaction.
        p: P-value of the interaction, corrected for all that were tested; None where there is no
            test.
    """

    one: str
    other: str
    found: Strata
    p: float | None


@dataclass(frozen=True)
class Stratified:
    """Scores by one fact of the scans.

    Attributes:
        fact: Name of the fact, for people.
        metric: Name of the metric.
        volumes: Number of volumes of each stratum.
        means: Mean over the volumes of each stratum, by method.
        pairs: The best method against each other one.
    """

    fact: str
    metric: str
    volumes: dict[str, int]
    means: dict[str, dict[str, float]]
    pairs: tuple[Contrasted, ...]

    def facts(self) -> dict[str, object]:
        """Return all of it for a report."""
        return {
            "fact": self.fact,
            "metric": self.metric,
            "volumes": self.volumes,
            "means": self.means,
            "pairs": [
                {
                    "better": pair.one,
                    "worse": pair.other,
                    "p_interaction": pair.found.p,
                    "p_interaction_corrected": pair.p,
                    "patients": pair.found.patients,
                    "differences": {
                        label: {"mean": d.mean, "interval": d.interval, "patients": d.patients}
                        for label, d in pair.found.differences.items()
                    },
                }
                for pair in self.pairs
            ],
        }


def stratified(
    scores: Sequence[Score],
    makings: Makings,
    standings: Sequence[Standing],
    infos: Mapping[str, MetricInfo],
) -> tuple[Stratified, ...]:
    """Sort scores by what the files tell of the scans.

    Of the leading metric, over all that the protocol compares. A fact counts where every volume
    tells it and there are two values of it at least.

    Args:
        scores: Scores of volumes; every method has the same volumes.
        makings: How the volumes were made, and whose they are.
        standings: Orders of the methods.
        infos: How the values of each metric are read.
    """
    leading = leading_metric(infos)
    order = next((s for s in standings if (s.metric, s.region) == (leading, "")), None)
    if leading is None or order is None:
        return ()
    values: dict[str, dict[str, float]] = {}
    for score in scores:
        if not score.region and math.isfinite(score.values[leading]):
            values.setdefault(score.volume, {})[score.method] = score.values[leading]
    methods = order.ranking.methods
    known = {volume: own for volume, own in values.items() if own.keys() >= set(methods)}
    tested = []
    for name, title in FACTS.items():
        labels = {volume: _label(makings, volume, name) for volume in known}
        kinds = sorted({label for label in labels.values() if label}, key=_in_order)
        if all(labels.values()) and 2 <= len(kinds) <= MOST:
            tested.append((title, kinds, labels))
    found = [
        [
            strata(*(_units(known, labels, makings.patients, method) for method in (methods[0], x)))
            for x in methods[1:]
        ]
        for _, _, labels in tested
    ]
    p = [one.p for each in found for one in each if one.p is not None]
    adjusted = iter(holm(p))
    tables = []
    for (title, kinds, labels), each in zip(tested, found, strict=True):
        pairs = tuple(
            Contrasted(methods[0], x, one, None if one.p is None else next(adjusted))
            for x, one in zip(methods[1:], each, strict=True)
        )
        members = {kind: [v for v in known if labels[v] == kind] for kind in kinds}
        means = {
            method: {k: sum(known[v][method] for v in own) / len(own) for k, own in members.items()}
            for method in methods
        }
        counts = {kind: len(own) for kind, own in members.items()}
        tables.append(Stratified(title, leading, counts, means, pairs))
    return tuple(tables)


def _label(makings: Makings, volume: str, fact: str) -> str:
    """Return the stratum of a volume; empty where the files do not tell, or methods differ."""
    reference = makings.references.get(volume)
    told = [own[volume] for own in makings.origins.values() if volume in own]
    if fact != "acceleration" and reference is not None:  # a reference has an R of its own
        told = [reference, *told]
    values = {_text(getattr(one, fact), STEPS.get(fact, 0.0)) for one in told} - {""}
    return values.pop() if len(values) == 1 else ""


def _text(value: str | float, step: float) -> str:
    """Write a fact, numbers to the nearest step."""
    if isinstance(value, str):
        return value
    return f"{step * round(value / step):.1f}" if value and step else ""


def _in_order(label: str) -> tuple[float, str]:
    try:
        return float(label), ""
    except ValueError:
        return math.inf, label


def _units(
    known: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, str],
    patients: Mapping[str, str],
    method: str,
) -> dict[Unit, float]:
    """Return the mean of a method for each patient and stratum."""
    each: dict[Unit, list[float]] = {}
    for volume, own in known.items():
        unit = (patients.get(volume) or volume, labels[volume])
        each.setdefault(unit, []).append(own[method])
    return {unit: sum(found) / len(found) for unit, found in each.items()}
