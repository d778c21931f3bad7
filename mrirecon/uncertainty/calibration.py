"""A calibration: errors of patients whose truth is known, and the bounds that follow from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float64

from mrirecon.errors import ConfigError
from mrirecon.reconstruction import Companion, Reconstruction, Series
from mrirecon.uncertainty.conditions import MethodFacts, ScanFacts, differences
from mrirecon.uncertainty.conformal import (
    checked_share,
    confident_step,
    conformal_quantile,
    controlled_risk,
    patients_needed,
    percent,
)
from mrirecon.uncertainty.scales import SCALES, Scale, voxel_scale
from mrirecon.uncertainty.spread import Spread
from mrirecon.uncertainty.voxel_errors import STEPS, VoxelErrors


@dataclass(frozen=True)
class Scores:
    """Errors of one number of each patient: of a region's mean, or of a readout.

    Attributes:
        name: Name of the region or of the readout.
        unit: Unit of the errors; for a region, ``scale``: the mean of the voxels' scale in it.
        node: Node of the readout, as JSON; None for a region.
        values: Largest absolute error of each patient that has this number.
    """

    name: str
    unit: str
    node: str | None
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0 for value in self.values):
            raise ValueError(f"{self.name}: expected finite errors of at least 0")

    def bound(self, coverage: float) -> float:
        """Return the bound of the error in another patient, see :func:`conformal_quantile`."""
        return conformal_quantile(np.array(self.values, np.float64), coverage)


@dataclass(frozen=True)
class Calibration:
    """What a method's errors were on patients that it has not learned from.

    For voxels the bounds are ``image ± radius * scale``, not below zero. Without ``confidence``,
    the expected share of the voxels of another patient's object that lie outside is at most
    ``1 - coverage``; with it, at most that share of the voxels of another patient lies outside
    with the probability ``confidence``. For regions and readouts the interval of another patient
    holds the truth with the probability ``coverage``, over all patients; where a patient has
    several scans, for all of them at once. All this holds for patients that are exchangeable with
    those of the calibration, on average over calibrations; not for every subgroup of them, nor for
    every voxel.

    Attributes:
        method: Method that it was made with, and for.
        target: Name of the reference: what the bounds hold.
        sampling: Undersampling that was asked for, in one line.
        scale: Name of the voxels' scale.
        spread: Images that the scale is made of, when it is ``samples``; else None.
        coverage: Share or probability that is promised.
        confidence: Probability that a patient's share is kept; None for its mean over patients.
        scans: What is known of each scan.
        patients: Errors of each patient's voxels.
        regions: Errors of the regions' means.
        readouts: Errors of the readouts.
        path: Path of the file, for messages.
    """

    method: MethodFacts
    target: str
    sampling: str
    scale: Scale
    spread: Spread | None
    coverage: float
    confidence: float | None
    scans: tuple[ScanFacts, ...]
    patients: tuple[VoxelErrors, ...]
    regions: tuple[Scores, ...] = ()
    readouts: tuple[Scores, ...] = ()
    path: str = field(default="calibration", compare=False)

    def __post_init__(self) -> None:
        checked_share(self.coverage, "coverage")
        if self.confidence is not None:
            checked_share(self.confidence, "confidence")
        if self.scale not in SCALES:
            raise ConfigError(f"scale: expected one of {', '.join(SCALES)}, got {self.scale!r}")
        if not self.patients or not self.scans:
            raise ConfigError("a calibration needs patients and scans, got none")
        names = [one.patient for one in self.patients]
        if len(set(names)) < len(names):
            raise ConfigError("a patient of a calibration stands in it twice")

    @property
    def risks(self) -> Float64[np.ndarray, "patient step"]:
        """Share of each patient's voxels outside at each of :data:`STEPS`."""
        return np.stack([one.risks for one in self.patients])

    @property
    def radius(self) -> float:
        """Factor of the scale; infinite for too few patients."""
        risk = 1 - self.coverage
        if self.confidence is None:
            return controlled_risk(self.risks, STEPS, risk)
        return confident_step(self.risks, STEPS, risk, self.confidence)

    @property
    def needed(self) -> int:
        """Least number of patients that give finite bounds."""
        return patients_needed(self.coverage if self.confidence is None else self.confidence)

    @property
    def promise(self) -> str:
        """What the bounds of voxels promise, in words."""
        of = f"of the voxels of the object of a patient like the {len(self.patients)} calibrated on"
        share = percent(self.coverage)
        if self.confidence is None:
            return f"on average at least {share} {of} lie within"
        return f"with probability {percent(self.confidence)}, at least {share} {of} lie within"

    def with_coverage(self, coverage: float | None) -> "Calibration":
        """Return the same patients with another promise, which must not be chosen by its bounds."""
        return self if coverage is None else replace(self, coverage=coverage)

    def of_patients(self, patients: tuple[VoxelErrors, ...]) -> "Calibration":
        """Return the same promise with these patients alone."""
        return replace(self, patients=patients)

    def shortage(self) -> str:
        """Say why there is no finite bound; empty when there is one."""
        if math.isfinite(self.radius):
            return ""
        if len(self.patients) < self.needed:
            return (
                f"{self.path}: {len(self.patients)} patients are too few for this promise, which "
                f"needs at least {self.needed}: bounds are infinite"
            )
        return (
            f"{self.path}: the errors exceed {STEPS[-1]:g} times their scale in too many voxels: "
            "bounds are infinite"
        )

    def doubts(self, found: ScanFacts, patient: str) -> list[str]:
        """Tell why the promise may not hold for a scan, a sentence each.

        Args:
            found: What is known of the scan.
            patient: Pseudonym of its patient; empty when nobody knows.
        """
        told = []
        if unlike := differences(found, self.scans):
            told.append(
                f"This scan is unlike those that {self.path} was made of ({'; '.join(unlike)}), so "
                "its bounds promise nothing here."
            )
        if patient and patient in {one.patient for one in self.patients}:
            told.append(
                f"This patient is one of those that {self.path} was made of, so its bounds fit "
                "better than they would another one."
            )
        return told

    def bounded(self, result: Reconstruction) -> Reconstruction:
        """Return a series with lower and upper bounds; as it is when these are infinite.

        Raises:
            ConfigError: When the scale needs a standard deviation, and there is none.
        """
        radius = self.radius
        if not math.isfinite(radius):
            return result
        scale = voxel_scale(result.volume, self.scale, deviation_of(result))
        bounds = (
            Companion("lower", (result.volume - radius * scale).clamp_min(0)),
            Companion("upper", result.volume + radius * scale),
        )
        return replace(result, companions=(*result.companions, *bounds))


def deviation_of(result: Reconstruction) -> Series | None:
    """Return the standard deviation beside an image; None without."""
    found = (one.volume for one in result.companions if one.quantity == "std")
    return next(found, None)


def region_score(
    image: Series, reference: Series, scale: Series, where: Sequence[torch.Tensor]
) -> float:
    """Return the error of a region's mean in units of the mean scale in it, the largest of frames.

    Args:
        image: Magnitudes that were reconstructed.
        reference: Magnitudes of the reference.
        scale: Scale of the error of every voxel.
        where: Voxels of the region, of each frame.
    """
    errors = [
        float((one[w].double().mean() - truth[w].double().mean()).abs() / unit[w].double().mean())
        for one, truth, unit, w in zip(image, reference, scale, where, strict=True)
    ]
    return max(errors)
