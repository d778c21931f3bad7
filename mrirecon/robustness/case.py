"""What is stressed: fully sampled slices, the reference that belongs to them, and a sampling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mrirecon.errors import ConfigError, RawDataError
from mrirecon.fourier import ifft
from mrirecon.image import center_fit, interpolated_rss
from mrirecon.readers import FileScan
from mrirecon.sampling import SamplingPattern
from mrirecon.scan import Frame, Scan, ScanHeader
from mrirecon.simulation import SimulatedScan
from mrirecon.types import KSpace, Sample, Volume


@dataclass(frozen=True)
class FullSlice:
    """A slice as it would be measured completely.

    Attributes:
        sample: Sample with all of k-space that the scanner measured.
        clean: k-space whose root-sum-of-squares is the reference: without noise where the
            simulation knows it, else that of the sample.
    """

    sample: Sample
    clean: KSpace

    def mapped(self, function: Callable[[Tensor], Tensor], **changes: Any) -> "FullSlice":
        """Return the slice of another object: what changes k-space changes the reference alike.

        Samples that the scanner did not measure stay zero.

        Args:
            function: Linear map of k-space that changes no sizes but the number of coils.
            **changes: Further fields of the Sample that change.
        """

        def measured(kspace: Tensor) -> Tensor:
            return torch.where(self.sample.mask.unsqueeze(-3), function(kspace), 0)

        return FullSlice(
            self.sample.replace(kspace=measured(self.sample.kspace), **changes),
            measured(self.clean),
        )

    def disturbed(self, kspace: KSpace, **changes: Any) -> "FullSlice":
        """Return the slice with other measurements of the same object: the reference stays."""
        return FullSlice(self.sample.replace(kspace=kspace, **changes), self.clean)


@dataclass(frozen=True)
class Case:
    """A fully sampled scan, and how it is undersampled.

    Attributes:
        header: Header of these slices.
        slices: Slices in their order.
        sampling: Pattern that takes samples away.
        simulated: The simulation that the slices come from, which can make others; None for
            measured ones.
        planes: Numbers of the slices in the scan that they come from.
    """

    header: ScanHeader
    slices: tuple[FullSlice, ...]
    sampling: SamplingPattern
    simulated: SimulatedScan | None = None
    planes: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Name of the scan, which seeds masks."""
        return self.header.name

    def mapped(self, function: Callable[[FullSlice], FullSlice]) -> "Case":
        """Return a case with ``function`` applied to every slice."""
        return replace(self, slices=tuple(map(function, self.slices)))

    def reference(self) -> Volume:
        """Return the root-sum-of-squares of everything, on the matrix of the header."""
        header = self.header
        images = [
            center_fit(interpolated_rss(ifft(one.clean), header.canvas), header.matrix)
            for one in self.slices
        ]
        return torch.stack(images)

    def scan(self) -> Scan:
        """Return the slices as a scan that any method reconstructs."""
        return _CaseScan(self)


class _CaseScan(Scan):
    def __init__(self, case: Case) -> None:
        self.header, self._samples = case.header, tuple(one.sample for one in case.slices)

    def _read(self, index: int) -> Sample:
        if not 0 <= index < len(self._samples):
            raise IndexError(f"slice {index} of {self.header.name}, which has {len(self._samples)}")
        return self._samples[index].replace(key=(self.header.name, index))


def measured_case(scan: FileScan, slices: int, sampling: SamplingPattern) -> Case:
    """Return the middle slices of the first frame of a file.

    Args:
        scan: Fully sampled scan; edges of k-space may be missing.
        slices: Number of slices, fewer where the scan has fewer.
        sampling: Pattern that takes samples away.

    Raises:
        RawDataError: When a slice is undersampled, so that it has no reference, or empty.
    """
    planes = _middle(scan.header.slices, slices)
    found = []
    for plane in planes:
        sample = scan[plane]
        if not sample.cartesian:
            raise RawDataError(
                f"{scan.path}: sampled along a trajectory, but disturbances act on lines and "
                "points of the Cartesian grid; expected a fully sampled Cartesian scan"
            )
        h, w = sample.kspace.shape[-2:]
        mask = sample.mask.expand(h, w)
        rows, columns = mask.any(1), mask.any(0)
        inside = mask[rows][:, columns].all() and all(map(_without_gaps, (rows, columns)))
        if not (inside and sample.kspace.any()):
            what = "undersampled" if mask.any() and not inside else "empty"
            raise RawDataError(
                f"{scan.path}: slice {plane} is {what}, so that it has no reference; expected a "
                "fully sampled scan"
            )
        sample = sample.replace(target=None, peak=None, neighbors=None, calibration=None)
        found.append(FullSlice(sample, sample.kspace))
    header = replace(
        scan.header, slices=len(planes), frames=(Frame(),), stacks=(), geometry=None,
        volumetric=False,
    )  # fmt: skip
    return Case(header, tuple(found), sampling, planes=planes)


def simulated_case(scan: SimulatedScan, planes: Sequence[int], sampling: SamplingPattern) -> Case:
    """Return slices of a simulated scan; their reference has no noise.

    Args:
        scan: Scan of a subject.
        planes: Numbers of the slices.
        sampling: Pattern that takes samples away.

    Raises:
        ConfigError: When the scan has a trajectory.
    """
    if scan.protocol.trajectory is not None:
        raise ConfigError(
            f"simulation.trajectory: {scan.header.name} is sampled along a trajectory; lines of "
            "a Cartesian grid are taken away here, so leave it out"
        )
    slices = tuple(
        FullSlice(scan[plane].replace(target=None, peak=None), scan.truth(plane))
        for plane in planes
    )
    header = replace(scan.header, slices=len(slices), frames=(Frame(),), geometry=None)
    return Case(header, slices, sampling, scan, tuple(planes))


def middle_planes(scan: SimulatedScan, slices: int) -> tuple[int, ...]:
    """Return the numbers of the middle slices of a simulated scan."""
    return _middle(scan.header.slices, slices)


def _middle(total: int, wanted: int) -> tuple[int, ...]:
    count = min(total, wanted)
    first = (total - count) // 2
    return tuple(range(first, first + count))


def _without_gaps(line: Tensor) -> bool:
    """Tell whether what is measured along an axis is one interval."""
    return int(line.int().diff().abs().sum()) <= 2 - int(line[0]) - int(line[-1])
