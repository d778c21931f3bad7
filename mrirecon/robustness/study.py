"""Runs every method on every scan at every level of every shift, one after the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mrirecon.errors import MriReconError
from mrirecon.evaluation.scores.protocol import Protocol, compared, values
from mrirecon.pipeline import Method, run
from mrirecon.reconstruction import Provenance
from mrirecon.reconstructors.learned.guarded import unguarded
from mrirecon.robustness.case import Case
from mrirecon.robustness.result import NOMINAL, Outcome, Result
from mrirecon.robustness.shift import Level, Shift
from mrirecon.robustness.worst_case import WorstCase, deviation
from mrirecon.types import Volume


@dataclass(frozen=True)
class _Image:
    volume: Volume
    acceleration: float
    doubts: tuple[str, ...]
    made: Provenance


@dataclass
class Study:
    """Methods, scans and shifts, and what the nominal images are.

    Attributes:
        methods: Methods by name.
        cases: Scans as they are nominally.
        shifts: Shifts by name.
        protocol: Protocol that scores.
        seed: Seed of what is random.
        made: How the nominal images of each method were made, once they are.
    """

    methods: Mapping[str, Method]
    cases: Sequence[Case]
    shifts: Mapping[str, Shift | WorstCase]
    protocol: Protocol
    seed: int = 0
    made: dict[str, Provenance] = field(default_factory=dict)
    _nominal: dict[tuple[str, str], Volume] = field(default_factory=dict)

    def learned(self, method: str) -> bool:
        """Tell whether a method has weights."""
        chosen = self.methods[method]
        return bool(chosen.checkpoint) or unguarded(chosen.reconstructor).trainable

    def suited(self, name: str) -> tuple[list[Case], tuple[str, ...]]:
        """Return the cases that a shift can be done to, and why not to the others."""
        shift = self.shifts[name]
        if isinstance(shift, WorstCase):
            reasons = [f"{m}: {shift.unsuited(one)}" for m, one in self.methods.items()
                       if shift.unsuited(one)]  # fmt: skip
            return list(self.cases), tuple(reasons)
        reasons = [f"{case.name}: {shift.unsuited(case)}" for case in self.cases
                   if shift.unsuited(case)]  # fmt: skip
        return [case for case in self.cases if not shift.unsuited(case)], tuple(reasons)

    def check(self) -> None:
        """Apply every shift once at every level, before anything is reconstructed.

        Raises:
            ConfigError: When there is no such level.
        """
        for name, shift in self.shifts.items():
            for level in shift.levels:
                if isinstance(shift, WorstCase):
                    shift.norm(level)
                    continue
                for case in self.suited(name)[0][:1]:
                    shift(case, level, self.seed)

    def nominal(self) -> Iterator[Outcome]:
        """Reconstruct every scan as it is, which has to come first.

        Raises:
            MriReconError: When a method fails.
        """
        for case in self.cases:
            reference, results, images = case.reference(), [], {}
            for name, method in self.methods.items():
                image = self._image(method, case)
                self.made.setdefault(name, image.made)
                self._nominal[case.name, name] = images[name] = image.volume
                results.append(self._result(NOMINAL, "", case, name, image, reference))
            yield Outcome(tuple(results), reference, images)

    def stressed(self, name: str) -> Iterator[Outcome]:
        """Apply a shift at every level to every scan that it can be done to."""
        shift = self.shifts[name]
        for level in shift.levels:
            for case in self.suited(name)[0]:
                if isinstance(shift, WorstCase):
                    yield self._attacked(name, shift, case, level)
                else:
                    yield self._shifted(name, shift, case, level)

    def _shifted(self, name: str, shift: Shift, case: Case, level: Level) -> Outcome:
        changed = shift(case, level, self.seed)
        reference = changed.reference()
        results, images = [], {}
        for method_name, method in self.methods.items():
            try:
                image = self._image(method, changed)
            except MriReconError as error:
                results.append(Result(name, level, case.name, method_name, failure=str(error)))
                continue
            nominal = self._nominal[case.name, method_name]
            measured: Mapping[str, float] = {}
            if nominal.shape == image.volume.shape:
                measured = shift.measured(image.volume, nominal, (reference, case.reference()))
            result = self._result(name, level, case, method_name, image, reference)
            results.append(replace(result, measured=measured))
            images[method_name] = image.volume
        return Outcome(tuple(results), reference, images)

    def _attacked(self, name: str, attack: WorstCase, case: Case, level: Level) -> Outcome:
        reference = case.reference()
        results, images = [], {}
        for method_name, method in self.methods.items():
            if attack.unsuited(method):
                continue
            try:
                found = attack(case, replace(method, sampling=case.sampling), level, self.seed)
                image, other = (self._image(method, one) for one in (found.worst, found.random))
            except MriReconError as error:
                results.append(Result(name, level, case.name, method_name, failure=str(error)))
                continue
            nominal = self._nominal[case.name, method_name]
            worst, random = (deviation(one.volume, nominal) for one in (image, other))
            measured = {
                **{f"random_{m}": v for m, v in self._scores(other, reference, case).items()},
                "deviation": worst,
                "random_deviation": random,
                "ratio": worst / random if random > 0 else float("inf"),
                "norm_of_noise": found.of_noise,
                "norm_of_data": found.of_data,
            }
            result = self._result(name, level, case, method_name, image, reference)
            remark = f"found by {found.by}, {attack.steps} steps"
            results.append(replace(result, measured=measured, remark=remark))
            images[method_name] = image.volume
        return Outcome(tuple(results), reference, images)

    def _image(self, method: Method, case: Case) -> _Image:
        made = run(case.scan(), replace(method, sampling=case.sampling))
        (series,) = made.results
        return _Image(
            series.volume[0], series.provenance.acceleration, made.warnings, series.provenance
        )

    def _result(
        self, shift: str, level: Level, case: Case, method: str, image: _Image, reference: Volume
    ) -> Result:  # fmt: skip
        return Result(
            shift, level, case.name, method, self._scores(image, reference, case),
            acceleration=image.acceleration, doubts=image.doubts,
        )  # fmt: skip

    def _scores(self, image: _Image, reference: Volume, case: Case) -> dict[str, float]:
        pair = compared("image", case.name, image.volume, reference, self.protocol)
        return values(*pair, self.protocol)
