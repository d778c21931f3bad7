"""What a command line asks for beside the images: several of them, and calibrated bounds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrirecon.errors import ConfigError
from mrirecon.evaluation.regions.scored_apart import Regions, read_regions
from mrirecon.pipeline import Method
from mrirecon.reconstruction import Quantity
from mrirecon.uncertainty.bounds import Bounds
from mrirecon.uncertainty.calibration_file import calibration_beside
from mrirecon.uncertainty.spread import Source, Spread
from mrirecon.weights import weights_file

AUTO = "auto"
SPREAD: tuple[Quantity, ...] = ("mean", "std")
BOUNDS: tuple[Quantity, ...] = ("lower", "upper")


def checkpoint_files(given: str | Sequence[str] | None) -> list[str]:
    """Return the files of weights of ``checkpoint=``; several are an ensemble."""
    names = [given] if isinstance(given, str) else given or []
    return [str(weights_file(one)) for one in names if one]


@dataclass(frozen=True)
class Wanted:
    """What is wanted beside the images.

    Attributes:
        checkpoints: Files of weights.
        samples: Number of images of each scan; None for one, or for as many as an ensemble has.
        source: Name of what makes them differ; None leaves the choice to the method.
        seed: Seed of the differences.
        calibration: Path of a calibration, ``auto`` for that beside the only checkpoint; None for
            none.
        coverage: Share that the bounds are to promise; None for that of the calibration.
        regions: Path of the regions whose means are wanted; None for none.
        flip_boxes: Whether y of a box counts from the bottom of the image.

    Raises:
        ValueError: When something is told about several images, and there is one.
    """

    checkpoints: Sequence[str]
    samples: int | None = None
    source: Source | None = None
    seed: int = 0
    calibration: str | None = None
    coverage: float | None = None
    regions: str | None = None
    flip_boxes: bool = True

    def __post_init__(self) -> None:
        if self.source and self.spread is None:
            raise ValueError(f"spread={self.source} needs samples=NUMBER, of how many images")

    @property
    def spread(self) -> Spread | None:
        """The several images; None without."""
        several = len(self.checkpoints) > 1 and self.source in (None, "ensemble")
        samples = len(self.checkpoints) if several and self.samples is None else self.samples
        return None if samples is None else Spread(samples, self.source, self.seed)

    @property
    def file(self) -> str | None:
        """The calibration; None without."""
        if self.calibration != AUTO:
            return self.calibration
        beside = [calibration_beside(one) for one in self.checkpoints]
        return str(beside[0]) if len(beside) == 1 and beside[0].is_file() else None

    def bounds(self, method: Method, trust: Collection[str], names: Sequence[str]) -> Bounds | None:
        """Return the calibration of a method; None without.

        Args:
            method: Method that will make the images.
            trust: Packages whose classes the calibration may name.
            names: Names of the scans, by which their regions are found.

        Raises:
            ConfigError: When there is none, but a coverage or regions; or when it is one of another
                method.
        """
        if self.file is not None:
            found = Bounds.of(self.file, method.facts, trust, self.coverage)
            return replace(found, regions=self.regions_of(names))
        for name in ("coverage", "regions"):
            if getattr(self, name) is not None:
                raise ConfigError(f"{name}: needs a calibration; give calibration=FILE")
        return None

    def regions_of(self, names: Sequence[str]) -> Regions | None:
        """Return the regions of scans; None without."""
        if self.regions is None:
            return None
        return read_regions(Path(self.regions).expanduser(), names, self.flip_boxes)

    def quantities(self, bounds: Bounds | None) -> tuple[Quantity, ...]:
        """Return what will be written beside each image."""
        spread = bounds.spread(self.spread) if bounds else self.spread
        finite = bounds is not None and not bounds.calibration.shortage()
        return (*(SPREAD if spread else ()), *(BOUNDS if finite else ()))
