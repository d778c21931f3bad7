"""Readouts of simulated scans as acquisitions of ISMRMRD: their headers, samples and places."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Complex64, Float32

from mrirecon.raw.mrd_records import ACQUISITION, ACQUISITION_HEADER, AcquisitionFlag
from mrirecon.simulation.acquisition_options import (
    NOISE_DWELL_TIME,
    AcquisitionOptions,
    noise_readouts,
)
from mrirecon.simulation.simulated_scan import SimulatedScan

_ROWS_PER_CHUNK = 256


@dataclass(frozen=True)
class Readouts:
    """Readouts that follow one another.

    Attributes:
        heads: Header of each readout.
        data: Samples of each readout.
        places: Places of the samples, in cycles per pixel; None on the Cartesian grid.
    """

    heads: np.ndarray
    data: Complex64[np.ndarray, "line coil sample"]
    places: Float32[np.ndarray, "line sample 2"] | None = None


def noise_part(scan: SimulatedScan, options: AcquisitionOptions) -> list[Readouts]:
    """Return the noise scan, if there is one."""
    if not options.noise_readouts:
        return []
    data = noise_readouts(scan, options).transpose(2, 0, 1)
    heads = heads_of(scan, 0, data.shape, NOISE_DWELL_TIME)
    heads["flags"] = bits(AcquisitionFlag.NOISE_MEASUREMENT)
    return [Readouts(heads, data)]


def interleaved(slices: int, frames: int) -> list[int]:
    """Return the numbers of slices and frames in the order in which they are measured."""
    order = (*range(0, slices, 2), *range(1, slices, 2))
    return [frame * slices + index for frame in range(frames) for index in order]


def heads_of(
    scan: SimulatedScan, index: int, shape: tuple[int, ...], dwell_time: float
) -> np.ndarray:
    """Return acquisition headers of some readouts of a slice and frame.

    Args:
        scan: Scan that the readouts belong to.
        index: Number of the slice and frame.
        shape: Number of readouts, coils and samples.
        dwell_time: Time of a sample in µs.
    """
    count, coils, samples = shape
    frame, plane = divmod(index, scan.header.slices)
    geometry = scan.header.geometry
    assert geometry is not None
    heads = np.zeros(count, ACQUISITION_HEADER)
    heads["version"] = 1
    heads["number_of_samples"] = samples
    heads["available_channels"] = heads["active_channels"] = coils
    heads["channel_mask"][:, 0] = (1 << coils) - 1
    heads["center_sample"] = samples // 2
    heads["sample_time_us"] = dwell_time
    heads["position"] = geometry.positions[plane]
    heads["read_dir"] = geometry.row_direction
    heads["phase_dir"] = geometry.column_direction
    heads["slice_dir"] = geometry.slice_direction
    heads["idx"]["slice"] = plane
    for counter in ("phase", "repetition"):
        heads["idx"][counter] = getattr(scan.header.frames[frame], counter)
    return heads


def mark_ends(flags: np.ndarray, average: int, averages: int) -> None:
    """Flag the first and the last readout of an average of a slice."""
    flags[0] |= bits(AcquisitionFlag.FIRST_IN_ENCODE_STEP1, AcquisitionFlag.FIRST_IN_AVERAGE)
    flags[-1] |= bits(AcquisitionFlag.LAST_IN_ENCODE_STEP1, AcquisitionFlag.LAST_IN_AVERAGE)
    if average == 0:
        flags[0] |= bits(AcquisitionFlag.FIRST_IN_SLICE)
    if average == averages - 1:
        flags[-1] |= bits(AcquisitionFlag.LAST_IN_SLICE)


def bits(*flags: AcquisitionFlag) -> np.uint64:
    """Return the word of some flags."""
    return np.uint64(sum(flag.mask for flag in flags))


def write_acquisitions(file: h5py.File, xml: bytes, parts: Sequence[Readouts]) -> None:
    """Write a header and readouts, in their order, as the group ``dataset``."""
    records = np.zeros(sum(len(part.heads) for part in parts), ACQUISITION)
    heads = records["head"]
    heads[:] = np.concatenate([part.heads for part in parts])
    heads["scan_counter"] = np.arange(len(records))
    heads["acquisition_time_stamp"] = np.arange(len(records))
    heads["flags"][-1] |= bits(AcquisitionFlag.LAST_IN_MEASUREMENT)
    for row, (places, samples) in enumerate(_rows(parts)):
        records["traj"][row] = places.ravel()
        records["data"][row] = samples.ravel().view(np.float32)
    group = file.create_group("dataset")
    group.create_dataset("xml", data=[xml], dtype=h5py.string_dtype(), maxshape=(None,))
    chunks = (min(_ROWS_PER_CHUNK, len(records)),)
    group.create_dataset("data", data=records, maxshape=(None,), chunks=chunks)


def _rows(parts: Sequence[Readouts]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    nothing = np.zeros(0, np.float32)
    for part in parts:
        places = [nothing] * len(part.data) if part.places is None else part.places
        yield from zip(places, np.ascontiguousarray(part.data), strict=True)
