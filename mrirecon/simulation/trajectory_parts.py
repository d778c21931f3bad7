"""Readouts along the trajectory of a simulated scan, as a raw file holds them."""

from collections.abc import Iterator

import numpy as np
import torch

from mrirecon.errors import ConfigError
from mrirecon.fourier import fft
from mrirecon.sampling.base import scan_rng
from mrirecon.simulation.acquisition_options import DWELL_TIME, AcquisitionOptions, Raw, received
from mrirecon.simulation.acquisitions import Readouts, heads_of, interleaved, mark_ends
from mrirecon.simulation.header_xml import header_of, limits
from mrirecon.simulation.simulated_scan import SimulatedScan


def trajectory_parts(
    scan: SimulatedScan, options: AcquisitionOptions
) -> tuple[bytes, Iterator[Readouts]]:
    """Return the header of a scan with a trajectory, and its readouts part by part.

    The stored places are those that were meant, in cycles per pixel, [-0.5, 0.5], along the readout
    direction (h) and the phase direction (w). In a slab, partition after partition is measured, the
    one of k = 0 is ``count // 2``, and the position is that of the slice ``count // 2``.

    Raises:
        ConfigError: When an option has no meaning along a trajectory, or slices are no slab.
    """
    _check(scan, options)
    _readouts_of(scan, options, 0)  # what the sampling refuses is told before a file is begun
    slices, frames = scan.header.slices, len(scan.header.frames)
    if options.slab:
        parts = (
            _part(scan, options, index, average, raw)
            for frame in range(frames)
            for index, clean in _partitions(scan, frame)
            for average, raw in enumerate(received(scan, clean, options.averages, index))
        )
    else:
        parts = (
            _part(scan, options, index, average, raw)
            for index in interleaved(slices, frames)
            for average, raw in enumerate(
                received(scan, scan.noise_free(index), options.averages, index)
            )
        )
    return header_of(scan, _encoding(scan, options)), parts


def _check(scan: SimulatedScan, options: AcquisitionOptions) -> None:
    for name in ("partial_fourier", "phase_resolution", "echo_fraction"):
        if getattr(options, name) != 1:
            raise ConfigError(
                f"{name} is {getattr(options, name)}, which lines of a Cartesian grid have; along "
                "a trajectory it is 1"
            )
    if options.slab and scan.protocol.prescription.gap != 0:
        raise ConfigError(
            f"slab: prescription.gap is {scan.protocol.prescription.gap} mm; the slices of a slab "
            "touch, expected 0"
        )


def _partitions(scan: SimulatedScan, frame: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the numbers and the clean readouts of the partitions of a frame."""
    first = frame * scan.header.slices
    whole = torch.stack([scan.noise_free(first + index) for index in range(scan.header.slices)])
    for number, partition in enumerate(fft(whole, axes=(0,))):
        yield first + number, partition


def _readouts_of(scan: SimulatedScan, options: AcquisitionOptions, frame: int) -> np.ndarray:
    """Return the numbers of the readouts of a frame that are measured."""
    trajectory, matrix = scan.protocol.trajectory, scan.header.matrix[0]
    assert trajectory is not None
    if options.sampling is None:
        return np.arange(trajectory.readouts)
    shape = (trajectory.samples(matrix), trajectory.readouts)
    mask = options.sampling.of_frame(shape, scan_rng(scan.header.name), frame).mask
    if mask.shape[0] != 1:
        raise ConfigError(
            f"{type(options.sampling).__name__} keeps single positions of the Cartesian grid; "
            "choose sampling=spokes, or fewer readouts of the trajectory"
        )
    return np.flatnonzero(mask[0].numpy())


def _part(
    scan: SimulatedScan, options: AcquisitionOptions, index: int, average: int, raw: Raw
) -> Readouts:
    frame, plane = divmod(index, scan.header.slices)
    trajectory, matrix = scan.protocol.trajectory, scan.header.matrix[0]
    assert trajectory is not None
    kept = _readouts_of(scan, options, frame)
    data = raw[:, :, kept].transpose(2, 0, 1)
    places = trajectory.places(matrix, frame).transpose(0, 1)[kept] / matrix
    heads = heads_of(scan, index, data.shape, DWELL_TIME)
    heads["trajectory_dimensions"] = 2
    heads["center_sample"] = int(places[0].norm(dim=-1).argmin())
    heads["idx"]["kspace_encode_step_1"] = kept
    heads["idx"]["average"] = average
    if options.slab:
        geometry = scan.header.geometry
        assert geometry is not None
        heads["idx"]["slice"] = 0
        heads["idx"]["kspace_encode_step_2"] = plane
        heads["position"] = geometry.positions[scan.header.slices // 2]
    mark_ends(heads["flags"], average, options.averages)
    return Readouts(heads, data, places.numpy())


def _encoding(scan: SimulatedScan, options: AcquisitionOptions) -> dict[str, object]:
    trajectory, matrix = scan.protocol.trajectory, scan.header.matrix[0]
    assert trajectory is not None
    prescription, slices = scan.protocol.prescription, scan.header.slices
    deep = slices if options.slab else 1
    view, thickness = prescription.fov[0], deep * prescription.thickness
    finer = trajectory.samples(matrix) / matrix if trajectory.kind != "spiral" else 1
    size, fov = {"x": round(finer * matrix), "y": round(finer * matrix), "z": deep}, finer * view
    return {
        "encodedSpace": {
            "matrixSize": size,
            "fieldOfView_mm": {"x": fov, "y": fov, "z": thickness},
        },
        "reconSpace": {
            "matrixSize": {"x": matrix, "y": matrix, "z": deep},
            "fieldOfView_mm": {"x": view, "y": view, "z": thickness},
        },
        "encodingLimits": {
            "kspace_encoding_step_1": limits(trajectory.readouts - 1, 0),
            "kspace_encoding_step_2": limits(deep - 1, deep // 2),
            "average": limits(options.averages - 1, 0),
            "slice": limits(slices - deep if options.slab else slices - 1, 0),
            **{
                counter: limits(max(getattr(frame, counter) for frame in scan.header.frames), 0)
                for counter in ("contrast", "phase", "repetition", "set")
            },
        },
        "trajectory": trajectory.kind,
    }
