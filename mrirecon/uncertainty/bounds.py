"""Lower and upper bounds of images by a calibration."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrirecon.errors import ConfigError
from mrirecon.evaluation.regions.scored_apart import Regions, Where
from mrirecon.reconstruction import Reconstruction
from mrirecon.uncertainty.calibration import Calibration, deviation_of
from mrirecon.uncertainty.calibration_file import read_calibration
from mrirecon.uncertainty.conditions import MethodFacts, ScanFacts
from mrirecon.uncertainty.conformal import patients_needed, percent
from mrirecon.uncertainty.readouts import NamedReadout, Readout, stored_readout
from mrirecon.uncertainty.scales import voxel_scale
from mrirecon.uncertainty.spread import Spread


@dataclass(frozen=True)
class Bounds:
    """A calibration in use.

    Attributes:
        calibration: Calibration of the method.
        method: What tells the method from others.
        readouts: Numbers that are read from the images: those of the calibration, or none.
        regions: Regions whose means are wanted; None for none.

    Raises:
        ConfigError: When the calibration is one of another method or of other weights.
    """

    calibration: Calibration
    method: MethodFacts
    readouts: Sequence[NamedReadout] = ()
    regions: Regions | None = None

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

    def added(self, result: Reconstruction, name: str) -> Reconstruction:
        """Return a series with its bounds and intervals, as far as these are finite.

        Args:
            result: Series that was made with the spread of the calibration.
            name: Name of the scan, by which its regions are found.
        """
        told = (*self._readouts(result), *self._regions(result, name))
        made = replace(result.provenance, readouts=told)
        result = replace(result, provenance=made)
        if not math.isfinite(self.calibration.radius):
            return result
        promise = f"{self.calibration.promise} ({Path(self.calibration.path).name})"
        made = replace(made, calibration=promise)
        return self.calibration.bounded(replace(result, provenance=made))

    def _readouts(self, result: Reconstruction) -> Iterator[str]:
        for one, scores in zip(self.readouts, self.calibration.readouts, strict=False):
            bound = scores.bound(self.calibration.coverage)
            least = 0.0 if isinstance(one.read, Readout) else -math.inf
            values = one.values(result)
            for frame, value in zip(_frames(result), values, strict=True):
                yield self._interval(f"{one.name}{frame}", value, bound, one.unit, least)

    def _regions(self, result: Reconstruction, name: str) -> Iterator[str]:
        if self.regions is None:
            return
        known = {one.name: one for one in self.calibration.regions}
        scale = voxel_scale(result.volume, self.calibration.scale, deviation_of(result))
        for label, where in places(self.regions, result, name).items():
            for frame, image, unit in zip(_frames(result), result.volume, scale, strict=True):
                mean, told = float(image[where].double().mean()), f"mean of {label}{frame}"
                if label not in known:
                    yield f"{told}: {mean:.4g} a.u. (not calibrated)"
                    continue
                bound = known[label].bound(self.calibration.coverage)
                bound *= float(unit[where].double().mean())
                yield self._interval(told, mean, bound, "a.u.", 0.0)

    def _interval(self, name: str, value: float, bound: float, unit: str, least: float) -> str:
        coverage = self.calibration.coverage
        between = f"{max(value - bound, least):.4g} to {value + bound:.4g} {unit}"
        if not math.isfinite(bound):
            between = f"no bound, {patients_needed(coverage)} patients are needed"
        return f"{name}: {value:.4g} {unit} ({between} with probability {percent(coverage)})"

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


def places(regions: Regions, result: Reconstruction, name: str) -> dict[str, Where]:
    """Return the voxels of the regions of a series by label; empty ones are left out.

    Args:
        regions: Regions of several scans.
        result: Series of one of them.
        name: Name of that scan, with or without its ending.
    """
    slices, rows, columns = result.volume.shape[1:]
    affine = result.header.affine() if result.header.located else None
    found = regions.of(str(Path(name).with_suffix("")), (slices, rows, columns), affine)
    return {label: where for label, where in found.items() if where.any()}


def _frames(result: Reconstruction) -> list[str]:
    count = len(result.volume)
    return [f", frame {number}" if count > 1 else "" for number in range(1, count + 1)]
