"""Write simulated scans as raw files: ISMRMRD, the layout of fastMRI, and noise-free references.

Files appear complete or not at all, and an existing file is replaced on request only.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex64

from mrirecon.errors import ConfigError
from mrirecon.files import Kind, atomic, mark_hdf5
from mrirecon.fourier import ifft
from mrirecon.hdf5_output import created_hdf5
from mrirecon.image import center_crop, root_sum_of_squares
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.simulation.acquisition_options import (
    DWELL_TIME,
    AcquisitionOptions,
    LinePlan,
    plan_lines,
    raw_slice,
)
from mrirecon.simulation.acquisitions import (
    Readouts,
    bits,
    heads_of,
    interleaved,
    mark_ends,
    noise_part,
    write_acquisitions,
)
from mrirecon.simulation.header_xml import header_xml
from mrirecon.simulation.receiver_noise import apply_channels, coloring
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.trajectory_parts import trajectory_parts


def write_ismrmrd(
    path: str | Path,
    scan: SimulatedScan,
    options: AcquisitionOptions | None = None,
    overwrite: bool = False,
) -> None:
    """Write the acquisitions of ``scan`` as an ISMRMRD (MRD version 1) file.

    First comes the noise scan, then frame after frame, in each slice after slice, even slices
    before odd ones. Counters of phase encoding start at 0 with the first line of the measured
    interval; slices count along the slice direction. Calibration lines that lie on the
    undersampling raster are flagged ``PARALLEL_CALIBRATION_AND_IMAGING``, the others
    ``PARALLEL_CALIBRATION``. Along a trajectory, readouts bring the places of their samples.

    Raises:
        OutputError: When the file exists and ``overwrite`` is False, or cannot be written.
    """
    options = options or AcquisitionOptions()
    along = trajectory_parts if scan.protocol.trajectory else _line_parts
    xml, parts = along(scan, options)
    with (
        atomic(Path(path), Kind.RAW, overwrite=overwrite) as part,
        created_hdf5(part) as file,
    ):
        write_acquisitions(file, xml, [*noise_part(scan, options), *parts])
        mark_hdf5(file, Kind.RAW)


def _line_parts(
    scan: SimulatedScan, options: AcquisitionOptions
) -> tuple[bytes, Iterator[Readouts]]:
    """Return the header of a Cartesian scan, and its readouts part by part."""
    plans = [plan_lines(scan, options, frame) for frame in range(len(scan.header.frames))]
    slices = scan.header.slices
    parts = (
        _slice_part(scan, plans[index // slices], index, average, options.averages, raw)
        for index in interleaved(slices, len(scan.header.frames))
        for average, raw in enumerate(raw_slice(scan, index, options))
    )
    return header_xml(scan, options, plans[0]), parts


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
    and no place for frames or trajectories.

    Raises:
        ConfigError: When the scan has frames or a trajectory.
        OutputError: When the file exists and ``overwrite`` is False, or cannot be written.
    """
    options = options or AcquisitionOptions()
    if scan.protocol.frames is not None or scan.protocol.trajectory is not None:
        what = "a trajectory" if scan.protocol.trajectory else f"{len(scan.header.frames)} frames"
        raise ConfigError(
            f"{scan.header.name} has {what}, for which fastMRI's layout has no place; write "
            "format=ismrmrd"
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
    heads = heads_of(scan, index, data.shape, DWELL_TIME)
    heads["center_sample"] = plan.samples // 2 - plan.skipped
    heads["idx"]["kspace_encode_step_1"] = lines - plan.first
    heads["idx"]["average"] = average
    flags = heads["flags"]
    both, only = plan.calibration & plan.raster, plan.calibration & ~plan.raster
    flags[both[lines]] |= bits(AcquisitionFlag.PARALLEL_CALIBRATION_AND_IMAGING)
    flags[only[lines]] |= bits(AcquisitionFlag.PARALLEL_CALIBRATION)
    mark_ends(flags, average, averages)
    return Readouts(heads, data)
