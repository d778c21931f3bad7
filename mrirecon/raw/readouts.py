"""Readouts as they come from a file or from a scanner, and their sorting into kinds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex64, Float32, Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.mrd_records import NOT_IMAGE, NOT_IMAGE_MASK, AcquisitionFlag, flag_mask

Heads = np.ndarray
"""Structured array of :data:`~mrirecon.raw.mrd_records.ACQUISITION_HEADER`, one element each."""
Index = Int64[np.ndarray, "readout"]
Lines = Int64[np.ndarray, "_"]
"""Numbers of readouts, in functions that take several sets of them."""


@dataclass(frozen=True)
class Readouts:
    """Some readouts: their headers and, in the same order, their samples and places.

    Attributes:
        heads: Headers of the readouts.
        samples: Samples of each readout, coil and sample.
        places: Places of the samples of each readout as they are stored, sample and axis; empty
            when none are.
    """

    heads: Heads
    samples: Sequence[Complex64[np.ndarray, "_ _"]]
    places: Sequence[Float32[np.ndarray, "_ _"]] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def select(self, index: Index) -> "Readouts":
        """Return the readouts at ``index``."""
        places = [self.places[i] for i in index] if self.places else []
        return Readouts(self.heads[index], [self.samples[i] for i in index], places)


def flagged(heads: Heads, *flags: AcquisitionFlag) -> Bool[np.ndarray, "readout"]:
    """Return which readouts carry at least one of ``flags``."""
    return (heads["flags"] & np.uint64(flag_mask(*flags))) != 0


@dataclass(frozen=True)
class LineKinds:
    """Which readouts do what; each is a sorted index into the heads.

    Attributes:
        imaging: Lines of the image, embedded calibration lines included.
        calibration: Lines of a separate reference scan, and those that serve both purposes.
        noise: Readouts of a noise scan.
        dropped: Number of readouts of each other kind, which take no part, by flag name.
        merged: Number of calibration-only lines that ``imaging`` includes.
    """

    imaging: Int64[np.ndarray, "line"]
    calibration: Int64[np.ndarray, "reference"]
    noise: Int64[np.ndarray, "noise"]
    dropped: dict[str, int]
    merged: int = 0


def calibration_only(heads: Heads) -> Bool[np.ndarray, "readout"]:
    """Return which readouts serve calibration and not the image."""
    both = flagged(heads, AcquisitionFlag.PARALLEL_CALIBRATION_AND_IMAGING)
    return flagged(heads, AcquisitionFlag.PARALLEL_CALIBRATION) & ~both


def classify(heads: Heads, calibration_mode: str | None) -> LineKinds:
    """Sort readouts into kinds by their flags.

    Lines flagged as calibration only belong to the image when the calibration is ``embedded``:
    Siemens marks just those on the undersampled raster as calibration *and* imaging. In every other
    mode contrast or timing may differ, so they are kept apart, together with the lines that are
    flagged as both: only these complete the fully sampled centre.
    """
    image = (heads["flags"] & np.uint64(NOT_IMAGE_MASK)) == 0
    both = flagged(heads, AcquisitionFlag.PARALLEL_CALIBRATION_AND_IMAGING)
    only = image & calibration_only(heads)
    noise = flagged(heads, AcquisitionFlag.NOISE_MEASUREMENT)
    # a body-coil prescan may carry the noise flag too, and is no noise
    noise &= ~flagged(heads, AcquisitionFlag.SURFACECOILCORRECTIONSCAN_DATA)
    embedded = calibration_mode == "embedded"
    apart = only.any() and not embedded
    dropped: dict[str, int] = {}
    rest = ~image & ~noise
    for flag in reversed(NOT_IMAGE):  # a navigator may also be flagged as feedback: count it once
        hit = rest & flagged(heads, flag)
        if hit.any():
            dropped[flag.name] = int(hit.sum())
        rest &= ~hit
    return LineKinds(
        imaging=np.flatnonzero(image if embedded else image & ~only),
        calibration=np.flatnonzero(only | (image & both) if apart else image & False),
        noise=np.flatnonzero(noise),
        dropped=dropped,
        merged=int(only.sum()) if embedded else 0,
    )


def unpack(
    heads: Heads, data: Sequence[np.ndarray], first: Index, places: Sequence[np.ndarray] = ()
) -> Readouts:
    """Turn interleaved (real, imaginary) float32 vectors into complex readouts.

    Args:
        heads: Headers of these readouts.
        data: One flat vector each, in the order channel, sample, part.
        first: Numbers of these readouts in the file, for error messages.
        places: Flat vectors of the trajectory, in the order sample, axis; empty without any.

    Raises:
        RawDataError: When a vector does not have the length that its header announces.
    """
    samples = []
    shapes = zip(heads["active_channels"], heads["number_of_samples"], strict=True)
    for number, values, (coils, count) in zip(first, data, shapes, strict=True):
        coils, count = int(coils), int(count)
        if values.size != 2 * coils * count:
            raise RawDataError(
                f"readout {number} holds {values.size} numbers, but its header announces "
                f"{coils} channels x {count} complex samples = {2 * coils * count} numbers; "
                "the file is damaged or compressed"
            )
        values = np.ascontiguousarray(values, np.float32)
        samples.append(values.view(np.complex64).reshape(coils, count))
    return Readouts(heads, samples, _unpacked_places(heads, places, first))


def _unpacked_places(
    heads: Heads, places: Sequence[np.ndarray], first: Index
) -> list[Float32[np.ndarray, "_ _"]]:
    found = []
    for number, values, head in zip(first, places, heads if len(places) else [], strict=False):
        count, axes = int(head["number_of_samples"]), int(head["trajectory_dimensions"])
        if values.size != count * axes:
            raise RawDataError(
                f"readout {number} holds a trajectory of {values.size} numbers, but its header "
                f"announces {count} samples x {axes} axes = {count * axes}; the file is damaged"
            )
        found.append(np.ascontiguousarray(values, np.float32).reshape(count, axes))
    return found
