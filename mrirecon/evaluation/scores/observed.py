"""Facts of a comparison, in words and for programs: scores defined otherwise do not compare."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from mrirecon.evaluation.scores.orientation import misplaced
from mrirecon.evaluation.scores.protocol import Protocol, compared, fitted_factor
from mrirecon.evaluation.scores.volumes import StoredVolume, read_volume
from mrirecon.metrics import FlowMetric
from mrirecon.types import Volume

Signature = tuple[float, float, float, float]
"""Numbers that tell one reference from others, see :func:`signature`."""
LARGEST_FACTOR = 2.0
"""Intensities that differ by more are in other units, or those of another scan."""
REFERENCE = "reference"
"""What the references are called among the methods."""
LARGEST_BACKGROUND = 0.25
"""Part of the squared error that may lie where an image was cut to zero before it is told."""

TOLD = {
    "misfit": "measured k-space that is explained neither by image, coil maps nor noise",
    "unmeasured": "energy of the image that was not measured, but added by the method",
    "unmeasured_error": "energy of the error that lies in what was not measured",
}
"""Numbers of quality pages, and what they mean."""


class Observed:
    """What a run has read: from which data sets, of which sizes, in which units."""

    def __init__(self) -> None:
        self._datasets: dict[str, Counter[str]] = defaultdict(Counter)
        self._matrices: Counter[tuple[int, int]] = Counter()
        self._factors: dict[str, list[float]] = defaultdict(list)
        self._background: dict[str, list[float]] = defaultdict(list)
        self._identical: Counter[str] = Counter()
        self._misplaced: dict[str, Counter[str]] = defaultdict(Counter)
        self._judged: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in TOLD}
        self._references: dict[str, Signature] = {}
        self._regions: dict[str, dict[str, int]] = defaultdict(dict)
        self._unplaced = 0
        self._slices: Counter[int] = Counter()

    def read(self, path: Path, dataset: str | None, method: str = REFERENCE) -> StoredVolume:
        """Read a volume, and remember where it was found."""
        stored = read_volume(path, dataset)
        self._datasets[method][stored.dataset] += 1
        for name in TOLD if method != REFERENCE else ():
            if (value := getattr(stored.judged, name)) is not None:
                self._judged[name][method].append(value)
        return stored

    def add(self, other: "Observed") -> None:
        """Take what was seen of the next volumes."""
        self._unplaced += other._unplaced
        self._slices.update(other._slices)
        self._matrices.update(other._matrices)
        self._identical.update(other._identical)
        self._references.update(other._references)
        self._regions.update(other._regions)
        for counters, more in (
            (self._datasets, other._datasets), (self._misplaced, other._misplaced),
        ):  # fmt: skip
            for method, counter in more.items():
                counters[method].update(counter)
        for lists, further in (
            (self._factors, other._factors), (self._background, other._background),
            *((self._judged[name], other._judged[name]) for name in TOLD),
        ):  # fmt: skip
            for method, numbers in further.items():
                lists[method] += numbers

    def placed(self, blindly: bool) -> None:
        """Remember a volume with a label map of which no file tells where it lies."""
        self._unplaced += blindly

    def region(self, name: str, label: str, voxels: int) -> None:
        """Remember how many voxels of a region were scored."""
        self._regions[name][label] = voxels

    def judged(self) -> tuple[str, ...]:
        """Tell what quality pages beside the files say, one sentence for each number."""
        means = self._means()
        return tuple(
            f"{text}, mean over the planes that were looked at: "
            + ", ".join(f"{method} {value:.1%}" for method, value in means[name].items())
            for name, text in TOLD.items()
            if means[name]
        )

    def _means(self) -> dict[str, dict[str, float]]:
        return {
            name: {method: statistics.fmean(values) for method, values in own.items()}
            for name, own in self._judged.items()
        }

    def compare(
        self, name: str, images: dict[str, Volume], reference: Volume, protocol: Protocol
    ) -> None:
        """Remember the size of a reference, and how units and place of each method are off."""
        self._matrices[(reference.shape[-2], reference.shape[-1])] += 1
        self._slices[len(reference)] += 1
        self._references[name] = signature(reference)
        plain = replace(protocol, scale="none")
        for method, image in images.items():
            pair = compared(method, name, image, reference, plain)
            self._identical[method] += torch.equal(*pair)
            factor = fitted_factor(*pair)
            self._factors[method].append(factor)
            if moved := misplaced(*pair):
                self._misplaced[method][moved] += 1
            if protocol.scale == "least_squares":
                pair = (pair[0] * factor, pair[1])
            self._background[method].append(error_in_background(*pair))

    def definition(self, protocol: Protocol) -> str:
        """Tell what was scored; numbers that are scored otherwise do not compare."""
        names = ", ".join(self._datasets["reference"])
        sizes = ", ".join(f"{y} x {x}" for y, x in self._matrices)
        what = f"whole images of {names} ({sizes})"
        tall = [f"{y} x {x}" for y, x in self._matrices if y > x]
        if protocol.region == "square":
            what = f"the central square of {names} ({sizes}), as fastMRI's evaluate.py"
        elif tall:
            what += "; fastMRI's evaluate.py scores the central square only: region=square"
        if protocol.foreground:
            what += ", the foreground only (Otsu's threshold of the reference, holes filled)"
        if protocol.ends:
            what += f" without {protocol.ends} slice{'s' * (protocol.ends > 1)} at each end"
        if protocol.scale == "least_squares":
            what += "; intensities fitted by least squares"
        for venc in {m.venc for m in protocol.metrics.values() if isinstance(m, FlowMetric)}:
            what += f"; velocities up to {venc:g} cm/s, in the foreground"
        each = "slice" if protocol.per == "slice" else "volume"
        if protocol.normalize != "none":
            own = "percentile of 99.5" if protocol.normalize == "percentile" else "maximum"
            what += f"; each {each} divided by its own {own}"
        peak = f"the peak is that of the reference {each}"
        if "both" in (getattr(metric, "peak", "") for metric in protocol.metrics.values()):
            peak = f"the data range is what {each} and reference span together"
        if protocol.swapped != "never":
            some = " where there are several slices and frames" * (protocol.swapped == "frames")
            peak += f"; reference and image exchanged for the metrics{some}, and so is the peak"
        over = "slices, then " if protocol.per == "slice" else ""
        return f"scored: {what}; {peak}; mean over {over}volumes; protocol {protocol.name}"

    def facts(self, protocol: Protocol) -> dict[str, object]:
        """Return the definition for the report."""
        return {
            **protocol.facts(),
            "definition": self.definition(protocol),
            "datasets": {method: list(names) for method, names in self._datasets.items()},
            "matrices": [list(matrix) for matrix in self._matrices],
            "references": {name: list(told) for name, told in self._references.items()},
            "regions": {name: dict(voxels) for name, voxels in self._regions.items()},
            "intensity_factors": {m: statistics.median(f) for m, f in self._factors.items()},
            "misplaced": {m: dict(found) for m, found in self._misplaced.items()},
            "identical": {m: number for m, number in self._identical.items() if number},
            "quality": self._means(),
            "error_in_background": {m: statistics.mean(b) for m, b in self._background.items()},
        }

    def _other_slices(self, protocol: Protocol) -> list[str]:
        others = {count: n for count, n in self._slices.items() if count != protocol.slices}
        if not protocol.slices or not others:
            return []
        counts = " and ".join(map(str, sorted(others)))
        return [
            f"{sum(others.values())} volumes have {counts} slices, but the protocol "
            f"{protocol.name} scores volumes of {protocol.slices}: slices along another axis make "
            "other scores (3-D scans are scored across the readout, as mrirecon benchmark does)"
        ]

    def warnings(self, protocol: Protocol) -> list[str]:
        """Tell of what makes scores look other than images do."""
        found = self._other_slices(protocol)
        for method, factors in self._factors.items():
            found += cautions(
                method,
                statistics.median(factors) if protocol.scale == "none" else 1.0,
                f"{len(factors)} volumes",
                self._misplaced[method],
                statistics.mean(self._background[method]),
                self._identical[method],
            )
            if len(self._datasets[method]) > 1:
                names = ", ".join(self._datasets[method])
                found.append(f"{method}: volumes were found in different data sets: {names}")
        if self._unplaced:
            found.append(
                f"regions: no file of {self._unplaced} volumes tells where they lie, so that the "
                "axes of label maps were taken for x, y and slice as they are stored; look whether "
                "they fit, or compare reconstructions that know their geometry"
            )
        if len(self._datasets["reference"]) > 1:
            names = ", ".join(self._datasets["reference"])
            found.append(
                f"references were found in different data sets ({names}); choose one with "
                "reference_dataset=NAME"
            )
        return found


def cautions(
    method: str,
    factor: float,
    volumes: str,
    misplaced: Mapping[str, int],
    background: float,
    identical: int = 0,
) -> list[str]:
    """Tell of what makes the scores of a method look other than its images do.

    Args:
        method: Name of the method.
        factor: Number that brings its intensities closest to those of the references.
        volumes: How many volumes there are, in words.
        misplaced: Number of them in which the image lies otherwise than its reference, by the way
            in which it does.
        background: Part of the squared error that lies where its images are exactly zero.
        identical: Number of them whose image equals the reference in every voxel.
    """
    found = []
    if identical:
        found.append(
            f"{method}: in {identical} of {volumes}, the image equals its reference in every "
            "voxel, as copies of the reference do and no reconstruction of fewer samples does; "
            "look whether these are the right files"
        )
    if not 1 / LARGEST_FACTOR < factor < LARGEST_FACTOR:
        found.append(
            f"{method}: multiplied by {factor:.3g} its intensities would be closest to those of "
            "the reference, so these scores compare units more than images; correct the units, or "
            "score with scale=least_squares"
        )
    for moved, number in Counter(misplaced).most_common(1):
        found.append(
            f"{method}: in {number} of {volumes}, the image would be much closer to its reference "
            f"when {moved}, so these scores compare places more than images; write both in the "
            "same orientation and order"
        )
    if background > LARGEST_BACKGROUND:
        found.append(
            f"{method}: {background:.0%} of the squared error lies where its images are exactly "
            "zero and the references are not: the background outside of the coil maps was cut "
            "off; sensitivity.crop=0 keeps it"
        )
    return found


def signature(reference: Volume) -> Signature:
    """Tell a reference from others, whatever the rounding of the computer that made it.

    Returns:
        The root of the sum of squares, and where their centre lies along slice, y and x, as parts
        of the volume; numbers of other images of the same anatomy differ, too.
    """
    squares = reference.double().square()
    total = float(squares.sum())
    centre = []
    for axis in range(3):
        along = squares.sum([other for other in range(3) if other != axis])
        place = torch.linspace(0, 1, len(along) + 2, dtype=torch.float64)[1:-1]
        centre.append(float((along * place).sum()) / total if total else 0.0)
    return total**0.5, centre[0], centre[1], centre[2]


def error_in_background(image: Volume, reference: Volume) -> float:
    """Return the part of the squared error where the image is exactly zero."""
    squares = (image - reference).double().square()
    total = float(squares.sum())
    return float(squares[image == 0].sum()) / total if total else 0.0
