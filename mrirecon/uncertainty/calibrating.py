"""Collects the errors of scans whose truth is known."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mrirecon.errors import ShapeError
from mrirecon.evaluation.regions.scored_apart import Where
from mrirecon.reconstruction import Reconstruction
from mrirecon.uncertainty.calibration import Scores, deviation_of, region_score
from mrirecon.uncertainty.conditions import ScanFacts
from mrirecon.uncertainty.readouts import NamedReadout
from mrirecon.uncertainty.scales import Scale, voxel_scale
from mrirecon.uncertainty.voxel_errors import Tally, VoxelErrors


@dataclass
class Calibrating:
    """Collects errors patient by patient; no volume is kept.

    Attributes:
        scale: Name of the voxels' scale.
        readouts: Numbers that are read from volumes.
        scans: What is known of each scan so far.
    """

    scale: Scale
    readouts: Sequence[NamedReadout] = ()
    scans: list[ScanFacts] = field(default_factory=list)
    _tallies: dict[str, Tally] = field(default_factory=dict)
    _regions: dict[str, dict[str, float]] = field(default_factory=dict)
    _readouts: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(
        self,
        patient: str,
        image: Reconstruction,
        reference: Reconstruction,
        regions: Mapping[str, Where] | None = None,
    ) -> None:
        """Compare one series of a scan with its reference.

        Args:
            patient: Pseudonym of the patient.
            image: Series as the method made it.
            reference: Series of the same planes that counts as the truth.
            regions: Voxels of regions by label, none of them empty.

        Raises:
            ShapeError: When they are not of the same size.
        """
        if image.volume.shape != reference.volume.shape:
            raise ShapeError(
                f"{image.header.name}: the image has {tuple(image.volume.shape)} voxels, its "
                f"reference {tuple(reference.volume.shape)}"
            )
        scale = voxel_scale(image.volume, self.scale, deviation_of(image))
        tally = self._tallies.setdefault(patient, Tally(patient))
        tally.add(image.volume, reference.volume, scale)
        self.scans.append(ScanFacts.of(image.provenance, image.header))
        frames = len(image.volume)
        for label, where in (regions or {}).items():
            score = region_score(image.volume, reference.volume, scale, [where] * frames)
            _raise(self._regions.setdefault(label, {}), patient, score)
        for one in self.readouts:
            pairs = zip(one.values(image), one.values(reference), strict=True)
            error = max(abs(mine - truth) for mine, truth in pairs)
            _raise(self._readouts.setdefault(one.name, {}), patient, error)

    @property
    def patients(self) -> tuple[VoxelErrors, ...]:
        """Errors of each patient's voxels, in the order in which they came."""
        return tuple(one.found() for one in self._tallies.values())

    @property
    def region_scores(self) -> tuple[Scores, ...]:
        """Errors of the regions' means, by label."""
        return tuple(
            Scores(label, "scale", None, tuple(found.values()))
            for label, found in sorted(self._regions.items())
        )

    @property
    def readout_scores(self) -> tuple[Scores, ...]:
        """Errors of the readouts."""
        return tuple(
            Scores(
                one.name, one.unit, json.dumps(one.node), tuple(self._readouts[one.name].values())
            )
            for one in self.readouts
            if one.name in self._readouts
        )


def _raise(found: dict[str, float], patient: str, score: float) -> None:
    """Keep the largest error of a patient."""
    found[patient] = max(score, found.get(patient, 0.0))
