"""What a study has found so far: results, curves, falls, and the worst picture of each shift."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from mrirecon.evaluation.statistics.intervals import bootstrap_interval
from mrirecon.metrics import MetricInfo
from mrirecon.robustness.result import NOMINAL, Outcome, Result
from mrirecon.robustness.shift import Level
from mrirecon.types import Magnitude


@dataclass(frozen=True)
class Spread:
    """The mean of a quantity over scans, and what surrounds it.

    Attributes:
        mean: Mean over the scans.
        low: Lower end of the 95 % interval of the mean; of too few scans, the least value.
        high: Upper end, or the largest value.
        scans: Number of scans.
        interval: Whether the ends are those of an interval.
    """

    mean: float
    low: float
    high: float
    scans: int
    interval: bool

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """Return that of the finite values; None when there are none."""
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            return None
        interval = bootstrap_interval(finite)
        low, high = interval or (min(finite), max(finite))
        return cls(statistics.fmean(finite), low, high, len(finite), interval is not None)


@dataclass(frozen=True)
class Fall:
    """How far a method falls at the level of a shift at which it falls most.

    Attributes:
        shift: Name of the shift.
        method: Name of the method.
        level: Level of the shift.
        fall: Difference from the nominal value, scan by scan; positive is worse. None without any.
        rival: The classical method that is ahead of it furthest, and at which level; None where no
            other classical method is.
        behind: Difference from the rival, scan by scan; positive is worse.
        rival_level: Level of the shift at which that is so.
        failures: Number of images that it could not make.
    """

    shift: str
    method: str
    level: Level | None
    fall: Spread | None
    rival: str | None = None
    behind: Spread | None = None
    rival_level: Level | None = None
    failures: int = 0


@dataclass(frozen=True)
class Picture:
    """One slice of all methods where one of them falls most.

    Attributes:
        level: Level of the shift.
        scan: Name of the scan.
        number: Number of the slice among those of the scan.
        reference: Reference image of this slice.
        images: Image of each method.
        values: Value of the leading metric of each method.
    """

    level: Level
    scan: str
    number: int
    reference: Magnitude
    images: Mapping[str, Magnitude]
    values: Mapping[str, float]


@dataclass
class Findings:
    """Collects what comes out of a study.

    Attributes:
        info: The metric that tells which images are worse.
        learned: Whether each method is learned, by name.
        results: Results so far.
        pictures: The worst picture of each shift so far.
    """

    info: MetricInfo
    learned: Mapping[str, bool]
    results: list[Result] = field(default_factory=list)
    pictures: dict[str, Picture] = field(default_factory=dict)
    _worst: dict[str, float] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Take the next outcome."""
        self.results += outcome.results
        falls = {r.method: self._fall(r) for r in outcome.results if r.values}
        known = {method: fall for method, fall in falls.items() if math.isfinite(fall)}
        if not known:
            return
        method = max(known, key=lambda name: known[name])
        first = outcome.results[0]
        if known[method] <= self._worst.get(first.shift, -math.inf):
            return
        self._worst[first.shift] = known[method]
        error = (outcome.images[method] - outcome.reference).square().sum((-2, -1))
        number = int(torch.argmax(error))
        self.pictures[first.shift] = Picture(
            first.level, first.scan, number, outcome.reference[number],
            {name: volume[number] for name, volume in outcome.images.items()},
            {r.method: r.values[self.info.name] for r in outcome.results if r.values},
        )  # fmt: skip

    def of(self, shift: str, method: str) -> list[Result]:
        """Return the results of a method under a shift."""
        return [r for r in self.results if (r.shift, r.method) == (shift, method)]

    def levels(self, shift: str) -> list[Level]:
        """Return the levels of a shift of which there are results."""
        return list(dict.fromkeys(r.level for r in self.results if r.shift == shift))

    def quantities(self, shift: str) -> list[str]:
        """Return the names of what was measured beside the metrics."""
        own = [r.measured for r in self.results if r.shift == shift]
        return list(dict.fromkeys(name for one in own for name in one))

    def falls(self, shift: str) -> list[Fall]:
        """Return how far each method falls under a shift."""
        return [self._of_method(shift, method) for method in self.learned]

    def _of_method(self, shift: str, method: str) -> Fall:
        own = self.of(shift, method)
        failures = sum(bool(r.failure) for r in own)
        falls = _spreads((r.level, self._fall(r)) for r in own if r.values)
        level, fall = _largest(falls)
        others = [m for m, learned in self.learned.items() if not learned and m != method]
        ahead = [
            (rival, *_largest(_spreads(self._behind(own, self.of(shift, rival)))))
            for rival in others
        ]
        known = [(r, at, by) for r, at, by in ahead if by is not None and by.mean > 0]
        if not known:
            return Fall(shift, method, level, fall, failures=failures)
        rival, at, by = max(known, key=lambda one: one[2].mean)
        return Fall(shift, method, level, fall, rival, by, at, failures)

    def _behind(
        self, own: Sequence[Result], rival: Sequence[Result]
    ) -> Iterable[tuple[Level, float]]:
        other = {(r.level, r.scan): r for r in rival if r.values}
        for one in own:
            if one.values and (one.level, one.scan) in other:
                yield one.level, self._worse(one, other[one.level, one.scan])

    def _fall(self, result: Result) -> float:
        """Return by how much a result is worse than the nominal one of the same scan."""
        for one in self.results:
            if (one.shift, one.method, one.scan) == (NOMINAL, result.method, result.scan):
                return self._worse(result, one)
        return math.nan

    def _worse(self, one: Result, other: Result) -> float:
        sign = -1.0 if self.info.higher_is_better is False else 1.0
        name = self.info.name
        return sign * (other.values[name] - one.values[name])


def _spreads(values: Iterable[tuple[Level, float]]) -> dict[Level, Spread]:
    """Return the spread over scans at each level."""
    grouped: dict[Level, list[float]] = {}
    for level, value in values:
        grouped.setdefault(level, []).append(value)
    found = {level: Spread.of(own) for level, own in grouped.items()}
    return {level: spread for level, spread in found.items() if spread is not None}


def _largest(spreads: Mapping[Level, Spread]) -> tuple[Level | None, Spread | None]:
    if not spreads:
        return None, None
    level = max(spreads, key=lambda one: spreads[one].mean)
    return level, spreads[level]
