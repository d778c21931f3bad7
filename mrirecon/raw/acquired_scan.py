"""A Scan of single readouts, wherever these are: in a file, or in memory as they came in."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition import Acquisition, Fetch
from mrirecon.raw.acquisition_plan import plan_acquisition
from mrirecon.raw.along_trajectory import along_trajectory
from mrirecon.raw.cartesian_sampling import CartesianSampling
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.kspace_grid import Grid
from mrirecon.raw.readouts import Heads
from mrirecon.raw.sequence_places import with_sequence
from mrirecon.raw.whitening import NoiseScan
from mrirecon.read_options import ALONG_TRAJECTORY, ReadOptions
from mrirecon.sampling.sampled_plane import SampledPlane
from mrirecon.scan import Scan, ScanHeader, SequenceParameters

if TYPE_CHECKING:
    import mrirecon.types


@dataclass(frozen=True)
class Measurement:
    """One measurement of a file, of which only headers have been read.

    Attributes:
        name: Place of the measurement in the file, for instance an HDF5 group.
        header: Header of the measurement as a whole.
        heads: Headers of all readouts.
        noise: Noise scan that was found elsewhere in the file; used when the measurement has none.
        notes: Notes for the user about the choice of this measurement, one sentence each.
        xml: Text of the ISMRMRD header as it was stored; empty where a format has none.
    """

    name: str
    header: MeasurementHeader
    heads: Heads
    noise: NoiseScan | None = None
    notes: tuple[str, ...] = ()
    xml: str = ""


class AcquiredScan(Scan):
    """An acquisition made of single readouts, on a Cartesian grid or along a trajectory.

    A slice of a 2-D scan is sorted when it is asked for. Of a 3-D scan the whole frame is sorted
    and kept, because its planes lie across all readouts.

    Args:
        name: Name of the scan.
        format_: Name of the format that the readouts came in.
        measurement: Headers of the measurement and of all readouts.
        fetch: Function that returns its readouts by number.
        noise: Noise scan that is used instead of the measurement's own.
        reading: Read options, which override what the header says; None overrides nothing.

    Attributes:
        measurement: Measurement that was understood, of which headers are known.
        acquisition: The measurement, understood.

    Raises:
        RawDataError: When there are no imaging lines, or something varies that is not supported.
    """

    def __init__(
        self,
        name: str,
        format_: str,
        measurement: Measurement,
        fetch: Fetch,
        *,
        noise: NoiseScan | None = None,
        reading: ReadOptions | None = None,
    ) -> None:
        self._planes: tuple[int, Callable[[int], mrirecon.types.Sample]] | None = None
        self._sampling: CartesianSampling | None = None
        reading, header, heads = reading or ReadOptions(), measurement.header, measurement.heads
        fetch, reading, told = with_sequence(header, heads, fetch, reading)
        self.measurement = replace(measurement, notes=(*measurement.notes, *told))
        self._fetch = fetch
        noise = noise or measurement.noise
        self.acquisition: Acquisition
        if told or along_trajectory(header, heads, fetch, reading):
            # imports torch, by which trajectories are understood
            from mrirecon.raw.trajectory_plan import plan_trajectory

            self.acquisition = plan_trajectory(header, heads, fetch, noise=noise, reading=reading)
        else:
            _refuse_idle(reading)
            found = plan_acquisition(header, heads, fetch, noise=noise, reading=reading)
            self.acquisition, self._sampling = found, CartesianSampling(found, fetch)
        self.header = _scan_header(name, format_, self.measurement, self.acquisition)

    def _read(self, index: int) -> "mrirecon.types.Sample":
        frame, place = divmod(index, self.header.slices)
        if not self.acquisition.whole_frames:
            sample = self.acquisition.slice(frame, place, self._fetch)
        else:
            if self._planes is None or self._planes[0] != frame:
                self._planes = None  # frees the memory before more is taken
                self._planes = (frame, self.acquisition.planes_of(frame, self._fetch))
            sample = self._planes[1](place)
        return sample.replace(key=(self.header.name, index))

    def sampled(self, index: int) -> SampledPlane:
        if self._sampling is None:
            return super().sampled(index)
        return self._sampling.plane(index)

    def noise_correlation(self) -> Float64[np.ndarray, "coil coil"] | None:
        """Return the correlation that whitening removed; None without a noise scan."""
        whitening = self.acquisition.whitening
        if whitening is None:
            return None
        root = np.linalg.pinv(whitening.astype(np.complex128))
        covariance = np.abs(root @ root.conj().T)
        deviation = np.sqrt(np.diag(covariance))
        deviation = np.where(deviation > 0, deviation, 1.0)  # a channel that was switched off
        return covariance / np.outer(deviation, deviation)


def _refuse_idle(reading: ReadOptions) -> None:
    """Refuse options of trajectories for lines on a grid."""
    idle = [name for name in reading.chosen() if name in ALONG_TRAJECTORY]
    if idle:
        raise RawDataError(
            f"reading.{idle[0]} is for readouts along a trajectory, but these are lines on a "
            "Cartesian grid; leave it out, or say with reading.trajectory where the samples lie"
        )


def _scan_header(
    name: str, format_: str, measurement: Measurement, acquisition: Acquisition
) -> ScanHeader:
    header, grid = measurement.header, acquisition.grid
    return ScanHeader(
        name=name,
        format=format_,
        slices=acquisition.slices,
        coils=acquisition.coils,
        grid=grid.shape,
        canvas=grid.canvas,
        matrix=grid.matrix,
        voxel=grid.voxel,
        geometry=acquisition.stack.geometry,
        stacks=acquisition.stack.stacks,
        subject=header.subject,
        acquisition=header.protocol or "",
        sequence=_sequence(header, acquisition),
        echo_times=header.echo_times,
        vendor=header.vendor or "",
        model=header.model or "",
        patient_position=header.patient_position,
        frames=acquisition.frames,
        volumetric=isinstance(grid, Grid) and grid.partition is not None,
        whitened=acquisition.white,
        notes=(*measurement.notes, *acquisition.notes),
    )


def _sequence(header: MeasurementHeader, acquisition: Acquisition) -> SequenceParameters:
    """Add what only the readouts, or the encoding that they use, tell."""
    lines = acquisition.heads[acquisition.kinds.imaging]
    encoding = header.encodings[int(lines["encoding_space_ref"][0])]
    dwell = float(np.median(lines["sample_time_us"]))
    return replace(
        header.sequence,
        dwell_time=dwell if dwell > 0 else None,
        echo_train_length=encoding.echo_train_length,
        acceleration=encoding.acceleration[0],
        frame_interval=acquisition.frame_interval(header.vendor),
    )
