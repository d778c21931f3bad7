"""Write simulated scans as raw files: ISMRMRD, the layout of fastMRI, and noise-free references.

Files appear complete or not at all, and an existing file is replaced on request only.
"""

from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Complex64

from mrirecon.errors import ConfigError
from mrirecon.files import Kind, atomic, mark_hdf5
from mrirecon.fourier import ifft
from mrirecon.hdf5_output import created_hdf5
from mrirecon.image import center_crop, root_sum_of_squares
from mrirecon.raw.mrd_records import ACQUISITION, ACQUISITION_HEADER, AcquisitionFlag
from mrirecon.simulation.acquisition_options import (
    DWELL_TIME,
    NOISE_DWELL_TIME,
    AcquisitionOptions,
    LinePlan,
    noise_readouts,
    plan_lines,
    raw_slice,
)
from mrirecon.simulation.header_xml import header_xml
from mrirecon.simulation.receiver_noise import apply_channels, coloring
from mrirecon.simulation.simulated_scan import SimulatedScan

_ROWS_PER_CHUNK = 256
Readouts = tuple[np.ndarray, Complex64[np.ndarray, "kept coil acquired"]]


def write_ismrmrd(
    path: str | Path,
    scan: SimulatedScan,
    options: AcquisitionOptions | None = None,
    overwrite: bool = False,
) -> None:
    """Write the acquisitions of ``scan`` as an ISMRMRD (MRD version 1) file.

    First comes the noise scan, then frame after frame, in each slice after slice, even slices
    before odd ones. Counters of
    phase encoding start at 0 with the first line of the measured interval; slices count along the
    slice direction. Calibration lines that lie on the undersampling raster are flagged
    ``PARALLEL_CALIBRATION_AND_IMAGING``, the others ``PARALLEL_CALIBRATION``.

    Raises:
        OutputError: When the file exists and ``overwrite`` is False, or cannot be written.
    """
    options = options or AcquisitionOptions()
    plans = [plan_lines(scan, options, frame) for frame in range(len(scan.header.frames))]
    with (
        atomic(Path(path), Kind.RAW, overwrite=overwrite) as part,
        created_hdf5(part) as file,
    ):
        parts = [_noise_part(scan, options)] if options.noise_readouts else []
        for index in _order(scan.header.slices, len(scan.header.frames)):
            parts += [
                _slice_part(
                    scan, plans[index // scan.header.slices], index, average, options.averages, raw
                )
                for average, raw in enumerate(raw_slice(scan, index, options))
            ]
        records = np.zeros(sum(len(heads) for heads, _ in parts), ACQUISITION)
        heads = records["head"]
        heads[:] = np.concatenate([part for part, _ in parts])
        heads["scan_counter"] = np.arange(len(records))
        heads["acquisition_time_stamp"] = np.arange(len(records))
        heads["flags"][-1] |= _bits(AcquisitionFlag.LAST_IN_MEASUREMENT)
        nothing = np.zeros(0, np.float32)
        row = 0
        for _, data in parts:
            for line in np.ascontiguousarray(data):
                records["traj"][row] = nothing
                records["data"][row] = line.ravel().view(np.float32)
                row += 1
        group = file.create_group("dataset")
        xml = header_xml(scan, options, plans[0])
        group.create_dataset("xml", data=[xml], dtype=h5py.string_dtype(), maxshape=(None,))
        chunks = (min(_ROWS_PER_CHUNK, len(records)),)
        group.create_dataset("data", data=records, maxshape=(None,), chunks=chunks)
        mark_hdf5(file, Kind.RAW)


def write_fastmri(
    path: str | Path,
    scan: SimulatedScan,
    options: AcquisitionOptions | None = None,
    overwrite: bool = False,
) -> None:
    """Write ``scan`` in the HDF5 layout of fastMRI (Zbontar et al., arXiv:1811.08839).

    k-space keeps its readout oversampling and its colored noise. Without ``options.sampling`` the
    file is one of the training set, with ``reconstruction_rss`` made from the noisy data as fastMRI
    does; with it the file is one of the test set, masked and without reconstruction. What is not
    measured (partial Fourier, phase resolution, asymmetric echo) is zero. There is no noise scan,
    and no place for frames.

    Raises:
        ConfigError: When the scan has frames.
        OutputError: When the file exists and ``overwrite`` is False, or cannot be written.
    """
    options = options or AcquisitionOptions()
    if scan.protocol.frames is not None:
        raise ConfigError(
            f"{scan.header.name} has {len(scan.header.frames)} frames, for which fastMRI's layout "
            "has no place; write format=ismrmrd"
        )
    plan = plan_lines(scan, options)
    shape = (len(scan), scan.header.coils, plan.samples, scan.header.grid[1])
    kspace = np.empty(shape, np.complex64)
    for index in range(len(scan)):
        kspace[index] = sum(raw_slice(scan, index, options)) / np.float32(options.averages)
    kspace[..., ~plan.kept] = 0
    kspace[..., : plan.skipped, :] = 0
    with (
        atomic(Path(path), Kind.RAW, overwrite=overwrite) as part,
        created_hdf5(part) as file,
    ):
        file["kspace"] = kspace
        file["ismrmrd_header"] = header_xml(scan, options, plan)
        file.attrs["acquisition"] = scan.header.acquisition
        file.attrs["patient_id"] = scan.header.subject
        if plan.drawn is not None:
            file["mask"] = plan.drawn.mask[0].numpy()
            file.attrs["acceleration"] = round(plan.drawn.nominal)
            file.attrs["num_low_frequency"] = plan.drawn.acs[1]
        else:
            images = torch.stack([ifft(torch.from_numpy(coils)) for coils in kspace])
            volume = root_sum_of_squares(center_crop(images, scan.header.matrix)).numpy()
            file["reconstruction_rss"] = volume
            file.attrs["max"] = volume.max()
            file.attrs["norm"] = np.linalg.norm(volume)
        mark_hdf5(file, Kind.RAW)


def write_reference(
    path: str | Path,
    scan: SimulatedScan,
    averages: int = 1,
    whitened: bool = True,
    overwrite: bool = False,
) -> None:
    """Write the noise-free truth as ``reconstruction`` (slice, y, x), float32.

    Frames of a moving object have a leading axis for them, and ``displacement`` (frame, slice, 3,
    y, x) beside it: see :meth:`~mrirecon.simulation.SimulatedScan.displacement`. Whitened, as a
    reader makes it of a file with a noise scan, its unit is the noise of the averaged data, so the
    signal grows with the root of ``averages``. Else it is in the raw units.

    Raises:
        OutputError: When the file exists and ``overwrite`` is False, or cannot be written.
    """
    channels = np.sqrt(averages) * np.eye(scan.header.coils, dtype=np.complex128)
    channels = channels if whitened else coloring(scan.covariance)
    coils = [apply_channels(channels, scan.truth(index)) for index in range(len(scan))]
    volume = torch.stack([root_sum_of_squares(ifft(kspace)) for kspace in coils]).numpy()
    frames, moving = len(scan.header.frames), scan.protocol.frames is not None
    shape = (frames, scan.header.slices)
    with (
        atomic(Path(path), Kind.REFERENCE, overwrite=overwrite) as part,
        created_hdf5(part) as file,
    ):
        file["reconstruction"] = volume.reshape(*shape, *volume.shape[1:]) if moving else volume
        if moving:
            fields = np.stack([scan.displacement(index) for index in range(len(scan))])
            file["displacement"] = fields.reshape(*shape, *fields.shape[1:])
            file["displacement"].attrs["units"] = "mm along y, x and the normal of the slice"
        file.attrs["simulated"] = True
        file.attrs["noise_free"] = True
        noise = "standard deviations of the noise's real component"
        file.attrs["units"] = noise if whitened else "as in the raw file"
        file.attrs["acquisition"] = scan.header.acquisition
        file.attrs["patient_id"] = scan.header.subject
        file.attrs["max"] = volume.max()
        mark_hdf5(file, Kind.REFERENCE)


def _order(slices: int, frames: int) -> list[int]:
    """Return the numbers of slices and frames in the order in which they are measured."""
    interleaved = (*range(0, slices, 2), *range(1, slices, 2))
    return [frame * slices + index for frame in range(frames) for index in interleaved]


def _noise_part(scan: SimulatedScan, options: AcquisitionOptions) -> Readouts:
    data = noise_readouts(scan, options).transpose(2, 0, 1)
    heads = _heads(scan, 0, data.shape, NOISE_DWELL_TIME)
    heads["flags"] = _bits(AcquisitionFlag.NOISE_MEASUREMENT)
    return heads, data


def _slice_part(
    scan: SimulatedScan,
    plan: LinePlan,
    index: int,
    average: int,
    averages: int,
    raw: Complex64[np.ndarray, "coil sample line"],
) -> Readouts:
    lines = np.flatnonzero(plan.kept)
    data = raw[:, plan.skipped :, lines].transpose(2, 0, 1)
    heads = _heads(scan, index, data.shape, DWELL_TIME)
    heads["center_sample"] = plan.samples // 2 - plan.skipped
    heads["idx"]["kspace_encode_step_1"] = lines - plan.first
    frame, heads["idx"]["slice"] = divmod(index, scan.header.slices)
    for counter in ("phase", "repetition"):
        heads["idx"][counter] = getattr(scan.header.frames[frame], counter)
    heads["idx"]["average"] = average
    flags = heads["flags"]
    both, only = plan.calibration & plan.raster, plan.calibration & ~plan.raster
    flags[both[lines]] |= _bits(AcquisitionFlag.PARALLEL_CALIBRATION_AND_IMAGING)
    flags[only[lines]] |= _bits(AcquisitionFlag.PARALLEL_CALIBRATION)
    flags[0] |= _bits(AcquisitionFlag.FIRST_IN_ENCODE_STEP1, AcquisitionFlag.FIRST_IN_AVERAGE)
    flags[-1] |= _bits(AcquisitionFlag.LAST_IN_ENCODE_STEP1, AcquisitionFlag.LAST_IN_AVERAGE)
    if average == 0:
        flags[0] |= _bits(AcquisitionFlag.FIRST_IN_SLICE)
    if average == averages - 1:
        flags[-1] |= _bits(AcquisitionFlag.LAST_IN_SLICE)
    return heads, data


def _heads(
    scan: SimulatedScan, index: int, shape: tuple[int, ...], dwell_time: float
) -> np.ndarray:
    """Return acquisition headers of some readouts ``(line, coil, sample)`` at one slice."""
    count, coils, samples = shape
    geometry = scan.header.geometry
    assert geometry is not None
    heads = np.zeros(count, ACQUISITION_HEADER)
    heads["version"] = 1
    heads["number_of_samples"] = samples
    heads["available_channels"] = heads["active_channels"] = coils
    heads["channel_mask"][:, 0] = (1 << coils) - 1
    heads["center_sample"] = samples // 2
    heads["sample_time_us"] = dwell_time
    heads["position"] = geometry.positions[index % scan.header.slices]
    heads["read_dir"] = geometry.row_direction
    heads["phase_dir"] = geometry.column_direction
    heads["slice_dir"] = geometry.slice_direction
    return heads


def _bits(*flags: AcquisitionFlag) -> np.uint64:
    return np.uint64(sum(flag.mask for flag in flags))
