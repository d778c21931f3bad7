"""Lower and upper bounds of images by a calibration."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrirecon.errors import ConfigError
from mrirecon.reconstruction import Reconstruction
from mrirecon.uncertainty.calibration import Calibration
from mrirecon.uncertainty.calibration_file import read_calibration
from mrirecon.uncertainty.conditions import MethodFacts, ScanFacts
from mrirecon.uncertainty.conformal import patients_needed, percent
from mrirecon.uncertainty.readouts import NamedReadout, stored_readout
from mrirecon.uncertainty.spread import Spread


@dataclass(frozen=True)
class Bounds:
    """A calibration in use.

    Attributes:
        calibration: Calibration of the method.
        method: What tells the method from others.
        readouts: Numbers that are read from the images: those of the calibration, or none.

    Raises:
        ConfigError: When the calibration is one of another method or of other weights.
    """

    calibration: Calibration
    method: MethodFacts
    readouts: Sequence[NamedReadout] = ()

    @classmethod
    def of(
        cls,
        path: str | Path,
        method: MethodFacts,
        trust: Collection[str] = (),
        coverage: float | None = None,
    ) -> "Bounds":
        """Read a calibration and what it reads from images.

        Args:
            path: Path of the calibration.
            method: What tells the method from others.
            trust: Packages whose classes it may name.
            coverage: Share or probability that is promised; None for that of the calibration.

        Raises:
            ConfigError: When the file is none, or one of another method.
        """
        calibration = read_calibration(path).with_coverage(coverage)
        reads = [stored_readout(one.node or "", str(path), trust) for one in calibration.readouts]
        return cls(calibration, method, reads)

    def __post_init__(self) -> None:
        self.calibration.method.refuse_other(self.method, self.calibration.path)

    def spread(self, asked: Spread | None) -> Spread | None:
        """Return the several images that are to be made.

        Args:
            asked: Several images that were asked for; None for those of the calibration.

        Raises:
            ConfigError: When others are asked for than the calibration was made with.
        """
        own = self.calibration.spread
        if own is None or asked is None:
            return own or asked
        if (asked.samples, asked.source or own.source) != (own.samples, own.source):
            raise ConfigError(
                f"samples: {self.calibration.path} was made with samples={own.samples} "
                f"spread={own.source}; leave them out, or take calibration=null"
            )
        return replace(asked, source=own.source)

    def added(self, result: Reconstruction) -> Reconstruction:
        """Return a series with its bounds and readouts, as far as these are finite."""
        made = replace(result.provenance, readouts=tuple(self._intervals(result)))
        result = replace(result, provenance=made)
        if not math.isfinite(self.calibration.radius):
            return result
        told = f"{self.calibration.promise} ({Path(self.calibration.path).name})"
        return self.calibration.bounded(replace(result, provenance=replace(made, calibration=told)))

    def _intervals(self, result: Reconstruction) -> Iterator[str]:
        coverage = self.calibration.coverage
        for one, scores in zip(self.readouts, self.calibration.readouts, strict=False):
            bound = scores.bound(coverage)
            for number, value in enumerate(one.values(result), start=1):
                frame = f", frame {number}" if len(result.volume) > 1 else ""
                between = f"{max(value - bound, 0):.4g} to {value + bound:.4g} {one.unit}"
                if not math.isfinite(bound):
                    between = f"no bound, {patients_needed(coverage)} patients are needed"
                yield (
                    f"{one.name}{frame}: {value:.4g} {one.unit} ({between} with probability "
                    f"{percent(coverage)})"
                )

    def doubts(self, series: Sequence[Reconstruction], patient: str) -> list[str]:
        """Tell why there are no bounds, or why they may not hold, a sentence each.

        Args:
            series: Series of the scan.
            patient: Pseudonym of its patient; empty when nobody knows.
        """
        if shortage := self.calibration.shortage():
            return [f"{shortage}; none were written."]
        facts = [ScanFacts.of(one.provenance, one.header) for one in series]
        found = [doubt for one in facts for doubt in self.calibration.doubts(one, patient)]
        return list(dict.fromkeys(found))
