"""The best weight of every classical method on a case, with results kept by content."""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from measured_cases import MEASURES, Case, Scores
from measured_methods import CENTERS, TGV, TRIED, TV, Program, zero_filled
from torch import Tensor

from mrirecon import __version__

FORMAT = 1
"""Of the kept results: another number when measures or references change."""
REVISIONS = {("ours", TV): 2, ("ours", TGV): 2, ("sigpy", TV): 2, ("BART", TV): 2}
"""Of methods whose settings have changed since; before, they had not converged."""
COARSE, WIDEST = 4.0, 4
"""Ratio of neighbouring weights, and by how many the grid may grow at either end."""
FLAT = 0.05
"""dB by which the end of the grid has to be better than its neighbour for the grid to grow."""


@dataclass(frozen=True)
class Result:
    """One image and its scores; without weight where there is nothing to choose."""

    case: str
    acceleration: float
    program: str
    kind: str
    maps: str
    weight: float | None
    seconds: float
    scores: Scores

    @property
    def name(self) -> str:
        where = "" if self.maps != "whole" else " (maps without crop)"
        return f"{self.program} {self.kind}{where}"

    @property
    def setting(self) -> str:
        """Method and weight in words."""
        return self.name if self.weight is None else f"{self.name} {self.weight:.2g}"


class Cache:
    """Results by the content of what they were made of, in a JSON file.

    Args:
        path: Path of the file.
        again: Whether to compute anew what is known.
    """

    def __init__(self, path: Path, again: bool = False) -> None:
        self.path, self.again = path, again
        self._known: dict[str, dict] = self._read()

    def result(self, version: str, blank: Result, key: str, make: Callable[[], Tensor],
               case: Case) -> Result:  # fmt: skip
        """Return what is known, or make the image, score it and remember that."""
        facts = [FORMAT, key, blank.program, version, blank.kind, blank.maps, blank.weight]
        facts += [REVISIONS[of]] if (of := (blank.program, blank.kind)) in REVISIONS else []
        place = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
        if place in self._known and not self.again:
            stored = self._known[place]
            return Result(**stored | {"case": blank.case})
        started = time.perf_counter()
        image = make()
        seconds = time.perf_counter() - started
        found = Result(**asdict(blank) | {"seconds": seconds, "scores": case.scores(image)})
        self._known[place] = asdict(found)
        self._write(place)
        return found

    def _read(self) -> dict[str, dict]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def _write(self, place: str) -> None:
        """Add one result to the file, to which other runs may add theirs."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self._read() | {place: self._known[place]}
            part = self.path.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(known, indent=0) + "\n")
            part.replace(self.path)


def best(results: Iterable[Result], measure: str, metric: str = "psnr") -> Result | None:
    """Return the best result by a measure; None when nothing has it."""
    known = [r for r in results if measure in r.scores]
    return max(known, key=lambda r: r.scores[measure][metric], default=None)


def searched(case: Case, program: Program, kind: str, maps: str, cache: Cache) -> list[Result]:
    """Try weights on a coarse grid that grows until the best is inside, then around the best.

    Best is what is best by any of the measures, so that each has its own best weight in the end.
    """

    def at(weight: float) -> Result:
        blank = Result(case.name, case.acceleration, program.name, kind, maps, weight, 0.0, {})
        return cache.result(
            program.version(), blank, case.key, lambda: program.image(kind, maps, weight), case
        )

    found = {step: at(CENTERS[kind] * COARSE**step) for step in (-1, 0, 1)}
    for side in (-1, 1):
        for _ in range(WIDEST):
            end = max(found, key=lambda step: side * step)
            if not _rises(found[end - side], found[end]):
                break
            found[end + side] = at(CENTERS[kind] * COARSE ** (end + side))
    around = {step + side for step in _tops(found) for side in (-0.5, 0.5)}
    return [*found.values(), *(at(CENTERS[kind] * COARSE**step) for step in sorted(around))]


def _rises(inner: Result, outer: Result) -> bool:
    return any(
        scores["psnr"] > inner.scores[measure]["psnr"] + FLAT
        for measure, scores in outer.scores.items()
    )


def _tops(found: dict[int, Result]) -> set[int]:
    steps = {id(result): step for step, result in found.items()}
    tops = (best(found.values(), measure) for measure in MEASURES)
    return {steps[id(top)] for top in tops if top is not None}


def classical(case: Case, programs: list[Program], kinds: list[str], cache: Cache) -> list[Result]:
    """Return all results of all classical methods on a case, zero-filled first."""
    blank = Result(case.name, case.acceleration, "ours", "zero-filled", "", None, 0.0, {})
    found = [cache.result(__version__, blank, case.key, lambda: zero_filled(case), case)]
    for program in programs:
        for kind in kinds:
            for maps in TRIED[kind] if kind in program.kinds else ():
                found += searched(case, program, kind, maps, cache)
    return found
