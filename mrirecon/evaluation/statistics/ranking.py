"""Methods in order, with those marked that the patients do not tell apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from string import ascii_lowercase

from mrirecon.evaluation.statistics.paired import (
    SIGNIFICANT,
    Difference,
    Values,
    difference,
    holm,
)


@dataclass(frozen=True)
class Comparison:
    """Two methods of a ranking.

    Attributes:
        one: Name of the method that is ahead.
        other: Name of the method behind it.
        difference: Values of the first one less those of the other.
        p: P-value of the difference, corrected for the number of pairs.
    """

    one: str
    other: str
    difference: Difference
    p: float

    @property
    def distinct(self) -> bool:
        """Whether the patients tell the methods apart."""
        return self.p < SIGNIFICANT


@dataclass(frozen=True)
class Ranking:
    """Methods from best to worst, and what is known of every pair.

    Attributes:
        methods: Names from best to worst mean.
        letters: Letters of the groups of each method: methods that share a letter are not told
            apart by these patients (Piepho, J Comput Graph Stat 13:456, 2004).
        comparisons: All pairs, the better one first.
    """

    methods: tuple[str, ...]
    letters: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


def ranking(values: Mapping[str, Values], higher_is_better: bool = True) -> Ranking:
    """Rank methods by their means over patients.

    Args:
        values: Values of each method, all of the same patients in the same order.
        higher_is_better: Whether the best method has the highest values.
    """
    sign = 1 if higher_is_better else -1
    methods = sorted(values, key=lambda name: -sign * float(values[name].mean()))
    pairs = list(combinations(methods, 2))
    found = [difference(values[a], values[b]) for a, b in pairs]
    adjusted = holm([one.p for one in found])
    comparisons = tuple(
        Comparison(*pair, one, p) for pair, one, p in zip(pairs, found, adjusted, strict=True)
    )
    distinct = {(c.one, c.other) for c in comparisons if c.distinct}
    return Ranking(tuple(methods), _letters(methods, distinct), comparisons)


def _letters(methods: list[str], distinct: set[tuple[str, str]]) -> tuple[str, ...]:
    """Give a letter to every largest group of methods of which no two are distinct.

    Groups need not be neighbours: a method whose values scatter more may be told apart from fewer
    methods than one between them is. Each distinct pair parts all groups that hold both, and
    groups within others are dropped.
    """
    groups = [frozenset(range(len(methods)))]
    for pair in combinations(range(len(methods)), 2):
        if (methods[pair[0]], methods[pair[1]]) not in distinct:
            continue
        parted = {
            part
            for group in groups
            for part in ([group - {k} for k in pair] if group.issuperset(pair) else [group])
        }
        groups = [one for one in parted if not any(one < other for other in parted)]
    groups.sort(key=sorted)
    names = [ascii_lowercase[n % 26] * (n // 26 + 1) for n in range(len(groups))]
    return tuple(
        "".join(name for name, group in zip(names, groups, strict=True) if k in group)
        for k in range(len(methods))
    )
