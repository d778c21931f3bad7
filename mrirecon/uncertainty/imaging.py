"""The image of a scan, with the mean and the standard deviation of several."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mrirecon.inference import reconstruct_complex, reconstruct_scan
from mrirecon.reconstruction import (
    Companion,
    Provenance,
    Quantity,
    Reconstruction,
    split_series,
)
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.guarded import watched
from mrirecon.sampled import ScanSampling
from mrirecon.sampling import Coverage
from mrirecon.sampling.sampled_readouts import sampled_plane_of
from mrirecon.scan import Scan, ScanHeader
from mrirecon.selection import Selection
from mrirecon.types import Sample, Transform, Volume
from mrirecon.uncertainty.moments import Moments
from mrirecon.uncertainty.spread import Spread


@dataclass(frozen=True)
class Imaged:
    """The planes of a scan.

    Attributes:
        planes: Image of every plane, real or complex; of an ensemble the mean of its members'.
        mean: Mean of the magnitudes of several images; None when only one was wanted.
        deviation: Standard deviation of these; None as well.
    """

    planes: Tensor
    mean: Volume | None = None
    deviation: Volume | None = None

    @property
    def finite(self) -> bool:
        """Whether all numbers are finite."""
        made = (self.planes, self.mean, self.deviation)
        return all(bool(one.isfinite().all()) for one in made if one is not None)

    def series(
        self, header: ScanHeader, made: Provenance, selection: Selection
    ) -> list[Reconstruction]:
        """Make series of the planes, each with what there is beside its image.

        Args:
            header: Header of the scan.
            made: How they were made.
            selection: Slices and frames that the planes were wanted of.
        """
        found = split_series(self.planes, header, made, selection)
        volumes: tuple[tuple[Quantity, Tensor | None], ...] = (
            ("mean", self.mean), ("std", self.deviation)
        )  # fmt: skip
        for quantity, planes in volumes:
            if planes is not None:
                parts = split_series(planes, header, made, selection)
                found = [
                    replace(one, companions=(*one.companions, Companion(quantity, part.volume)))
                    for one, part in zip(found, parts, strict=True)
                ]
        return found


@dataclass
class Imaging:
    """Reconstructs a scan, also several times, and keeps what was found on the way.

    Attributes:
        scan: Scan as it was measured.
        reconstructor: Method, or an ensemble of them.
        prepare: Undersampling and preprocessing.
        planes: Numbers of the planes.
        phase: Whether the images keep their phase.
        batch_size: Planes computed at once.
        device: Torch device that computes.
        progress: Whether to show progress bars.
        measured: What was measured of the planes.
        sampled: What of that was used.
        doubts: Sentences about planes that are unlike what weights have learned from.
    """

    scan: Scan
    reconstructor: Reconstructor
    prepare: Transform
    planes: Sequence[int]
    phase: bool = False
    batch_size: int = 1
    device: torch.device | None = None
    progress: bool = False
    measured: Coverage = field(default_factory=Coverage)
    sampled: ScanSampling = field(default_factory=ScanSampling)
    doubts: list[str] = field(default_factory=list)
    _counted: bool = False

    def imaged(self, spread: Spread | None) -> Imaged:
        """Reconstruct the scan, and as often as a spread asks for; one image after the other.

        Args:
            spread: Number of images and what makes them differ; None for the image alone.
        """
        if spread is None:
            return Imaged(self._image(self.scan, self.reconstructor))
        ensemble = spread.source == "ensemble"
        planes = None if ensemble else self._image(self.scan, self.reconstructor)
        moments, total = Moments(), Moments()
        for scan, method in spread.drawn(self.scan, self.reconstructor):
            found = self._image(scan, method)
            moments.add(found.abs())
            if ensemble and found.is_complex():
                total.add(found)
        if planes is None:
            planes = total.mean if total.count else moments.mean
        return Imaged(planes, moments.mean, moments.deviation)

    def _image(self, scan: Scan, reconstructor: Reconstructor) -> Tensor:
        """Return the planes of the scan, or of one like it, by the method or by a part of it."""
        prepare = self.prepare if self._counted else self._count
        self._counted = True
        own = scan is self.scan and reconstructor in set(self.reconstructor.modules())
        context: AbstractContextManager[list[str]] = nullcontext([])
        with watched(reconstructor) if own else context as doubts:
            planes = (reconstruct_complex if self.phase else reconstruct_scan)(
                scan,
                reconstructor,
                prepare,
                batch_size=self.batch_size,
                device=self.device,
                progress=self.progress,
                planes=self.planes,
            )
        self.doubts += [one for one in doubts if one not in self.doubts]
        return planes

    def _count(self, sample: Sample) -> Sample:
        self.measured.add(sampled_plane_of(sample))
        sample = self.prepare(sample)
        self.sampled.add(sampled_plane_of(sample))
        return sample
