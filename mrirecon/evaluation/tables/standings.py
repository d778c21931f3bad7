"""Which methods are better, over patients, as far as their scores tell."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mrirecon.evaluation.scores.protocol import Score
from mrirecon.evaluation.statistics.paired import SIGNIFICANT, smallest_p
from mrirecon.evaluation.statistics.ranking import Comparison, Ranking, ranking
from mrirecon.metrics import MetricInfo


@dataclass(frozen=True)
class Standing:
    """The order of the methods by one metric.

    Attributes:
        metric: Name of the metric.
        region: Label of the region that was scored; empty for all that the protocol compares.
        patients: Number of patients; the volumes of one are averaged first.
        left_out: Number of patients without a finite value of every method.
        ranking: Order of the methods, and what is known of every pair.
        higher_is_better: Whether the best method has the highest values.
    """

    metric: str
    region: str
    patients: int
    left_out: int
    ranking: Ranking
    higher_is_better: bool = True

    @property
    def smallest_p(self) -> float:
        """Smallest p-value that so many methods can have on so many patients."""
        return smallest_p(self.patients, len(self.ranking.comparisons))

    @property
    def tells(self) -> bool:
        """Whether there are patients enough to tell any two of the methods apart."""
        return self.smallest_p < SIGNIFICANT

    def ahead(self, pair: Comparison) -> float:
        """Return the share of the patients whose image is better by the first method of a pair."""
        positive = pair.difference.ahead
        return positive if self.higher_is_better else 1 - positive

    def text(self, info: MetricInfo) -> str:
        """Return the order in a sentence."""
        named = [
            f"{method} ({letters})"
            for method, letters in zip(self.ranking.methods, self.ranking.letters, strict=True)
        ]
        place = f" in {self.region}" if self.region else ""
        shown = named if self.tells else [*self.ranking.methods, "too few to tell any apart"]
        told = f"by {info.title}{place}, {self.patients} patients: {', '.join(shown)}"
        return told + (f" ({self.left_out} patients left out)" if self.left_out else "")

    def facts(self) -> dict[str, object]:
        """Return all of it for a report."""
        return {
            "metric": self.metric,
            "region": self.region,
            "patients": self.patients,
            "left_out": self.left_out,
            "order": [
                {"method": method, "groups": letters}
                for method, letters in zip(self.ranking.methods, self.ranking.letters, strict=True)
            ],
            "comparisons": [
                {
                    "better": pair.one,
                    "worse": pair.other,
                    "difference": pair.difference.mean,
                    "interval": pair.difference.interval,
                    "p": pair.difference.p,
                    "p_corrected": pair.p,
                    "effect": pair.difference.effect,
                    "ahead": self.ahead(pair),
                }
                for pair in self.ranking.comparisons
            ],
        }


LEGEND = (
    "methods that share a letter are not told apart (paired sign-flip tests over patients, "
    "p < 0.05 after Holm's correction)"
)


def standings(
    scores: Sequence[Score], patients: Mapping[str, str], infos: Mapping[str, MetricInfo]
) -> list[Standing]:
    """Rank methods by every metric that has a better end, in every region.

    Args:
        scores: Scores of volumes; every method has the same volumes.
        patients: Patient of each volume; a volume that is not named is a patient of its own.
        infos: How the values of each metric are read.
    """
    found = []
    for region in dict.fromkeys(score.region for score in scores):
        own = [score for score in scores if score.region == region]
        for name, info in infos.items():
            table = per_patient(own, patients, name)
            people = sorted(set().union(*table.values()))
            known = [
                p for p in people if all(math.isfinite(t.get(p, math.nan)) for t in table.values())
            ]
            if len(table) < 2 or not known or info.higher_is_better is None:
                continue
            values = {method: np.array([own[p] for p in known]) for method, own in table.items()}
            order = ranking(values, info.higher_is_better)
            left_out = len(people) - len(known)
            found.append(Standing(name, region, len(known), left_out, order, info.higher_is_better))
    return found


def ranking_lines(found: Sequence[Standing], infos: Mapping[str, MetricInfo]) -> list[str]:
    """Return the orders of methods in sentences, with what their letters mean."""
    if not found:
        return []
    if told := too_few(found):
        return [told]
    orders = [one.text(infos[one.metric]) for one in found]
    return [*orders, *unordered(found, infos), LEGEND]


def too_few(found: Sequence[Standing]) -> str:
    """Tell that there are too few patients to tell any methods apart; empty where there are not."""
    if not found or any(one.tells for one in found):
        return ""
    most = max(found, key=lambda one: one.patients)
    corrected = " after Holm's correction" if len(most.ranking.comparisons) > 1 else ""
    return (
        f"{most.patients} patients cannot tell {len(most.ranking.methods)} methods apart: the "
        f"smallest p-value that they can have{corrected} is {most.smallest_p:.2g}"
    )


def unordered(found: Sequence[Standing], infos: Mapping[str, MetricInfo]) -> list[str]:
    """Tell which metrics give no order, because no patient has a finite value of every method."""
    places = [(one.metric, one.region) for one in found]
    return [
        f"by {info.title}{f' in {region}' if region else ''}: no order, as no patient has a finite "
        "value of every method"
        for region in dict.fromkeys(region for _, region in places)
        for name, info in infos.items()
        if info.higher_is_better is not None and (name, region) not in places
    ]


def equal_methods(scores: Sequence[Score]) -> list[str]:
    """Tell of methods that are one, probably: each makes it harder to tell others apart."""
    values: dict[str, list[tuple[float, ...]]] = {}
    for score in sorted(scores, key=lambda one: (one.volume, one.region)):
        values.setdefault(score.method, []).append(tuple(score.values.values()))
    return [
        f"the scores of {one} and {other} are equal; with one of them left out, p-values would be "
        "corrected for fewer comparisons"
        for one, other in combinations(values, 2)
        if values[one] == values[other]
    ]


def per_patient(
    scores: Sequence[Score], patients: Mapping[str, str], metric: str
) -> dict[str, dict[str, float]]:
    """Return the mean of a metric over the volumes of each patient, by method and patient."""
    values: dict[str, dict[str, list[float]]] = {}
    for score in scores:
        patient = patients.get(score.volume) or score.volume
        values.setdefault(score.method, {}).setdefault(patient, []).append(score.values[metric])
    return {
        method: {patient: sum(each) / len(each) for patient, each in own.items()}
        for method, own in values.items()
    }
