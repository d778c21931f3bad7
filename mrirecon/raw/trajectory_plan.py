"""Headers of readouts along a trajectory, understood: which make which image, where they lie."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.along_trajectory import LOOKS, spread
from mrirecon.raw.checks import left_out, refuse_unreadable, select_encoding
from mrirecon.raw.frame_calibration import TOLD
from mrirecon.raw.frames import frames_of
from mrirecon.raw.header import Encoding, MeasurementHeader
from mrirecon.raw.kspace_grid import STEPS, Axis, phase_axis
from mrirecon.raw.planning import conjugated, imaging_kinds, whitening_of_a_line, without_pilot_tone
from mrirecon.raw.readout_bins import binned
from mrirecon.raw.readouts import Heads, Index, LineKinds, Readouts
from mrirecon.raw.slice_positions import partition_stack, slice_stack
from mrirecon.raw.stored_places import (
    ReadoutPlaces,
    refuse_other_partitions,
    stored_places,
    third_axis,
)
from mrirecon.raw.trajectory_acquisition import TrajectoryAcquisition
from mrirecon.raw.trajectory_grid import TrajectoryGrid
from mrirecon.raw.trajectory_image import image_of
from mrirecon.raw.trajectory_names import NAMED, is_name
from mrirecon.raw.trajectory_numbers import incomplete_stacks, named_spokes, numbered_spokes
from mrirecon.raw.trajectory_probe import looked_at
from mrirecon.raw.trajectory_units import Extent
from mrirecon.raw.views import plausible_views
from mrirecon.raw.whitening import NoiseScan
from mrirecon.read_options import ReadOptions
from mrirecon.sampling.trajectory_shape import shape_of


def plan_trajectory(
    header: MeasurementHeader,
    heads: Heads,
    fetch: Fetch,
    *,
    noise: NoiseScan | None = None,
    reading: ReadOptions | None = None,
) -> TrajectoryAcquisition:
    """Decide how readouts along a trajectory make images; few of them are fetched.

    Args:
        header: Header of the measurement as a whole.
        heads: Headers of all readouts.
        fetch: Function that returns readouts by number.
        noise: Noise scan that is used instead of the noise readouts among ``heads``.
        reading: Read options, which override what the header says; None overrides nothing.

    Raises:
        RawDataError: When there are no imaging readouts, or something is not supported.
    """
    reading = reading or ReadOptions()
    if reading.center is not None:
        raise RawDataError(
            "reading.center is the phase-encoding counter of k = 0 on a Cartesian grid, but these "
            "readouts lie along a trajectory; leave it out"
        )
    lines = _understood(header, heads, fetch, reading)
    imaging = lines.heads[lines.kinds.imaging]
    frames, numbers = frames_of(imaging)
    axis, partition, notes = _partitions(header, lines, imaging)
    stack = slice_stack(imaging) if axis is None else partition_stack(imaging, axis)
    places, grid, more = _placed(lines, numbers, axis, reading)
    white, found = whitening_of_a_line(header, lines.heads, lines.kinds, fetch, noise)
    conjugate, sign = conjugated(header, reading.fourier_sign)
    notes = [*lines.notes, *stack.notes, *notes, *more, *found, sign]
    notes += [TOLD] if len(frames) > 1 and axis is None else []
    spoke = numbered_spokes(imaging, numbers, partition)
    notes += incomplete_stacks(numbers, spoke, partition)
    coils = int(imaging["active_channels"][0])
    kept = (
        imaging["number_of_samples"].astype(int) - imaging["discard_pre"] - imaging["discard_post"]
    )
    if kept.min() < 1:
        raise RawDataError("a readout has no samples left after discarding; the file is damaged")
    acquisition = TrajectoryAcquisition(
        heads=lines.heads,
        kinds=lines.kinds,
        stack=stack,
        frames=frames,
        frame=numbers,
        coils=coils,
        whitening=None if white is None else white.matrix,
        white=white is not None and white.white,
        conjugate=conjugate,
        notes=(),
        grid=grid,
        places=places,
        samples=int(kept.max()),
        spoke=spoke,
        partition=partition,
    )
    more, delays = looked_at(acquisition, fetch, reading)
    return replace(
        acquisition,
        places=replace(places, delays=delays),
        notes=tuple(note for note in [*notes, *more] if note),
    )


@dataclass(frozen=True)
class _Lines:
    """Headers of readouts as they were understood.

    Attributes:
        heads: Headers of all readouts.
        kinds: Numbers of the readouts of each kind.
        encoding: Encoding of the imaging readouts.
        notes: Notes about what was noticed, one sentence each.
        looked: Some of the imaging readouts.
    """

    heads: Heads
    kinds: LineKinds
    encoding: Encoding
    notes: tuple[str, ...]
    looked: Readouts


def _understood(
    header: MeasurementHeader, heads: Heads, fetch: Fetch, reading: ReadOptions
) -> _Lines:
    """Find the imaging readouts, their frames and their partitions."""
    kinds = imaging_kinds(header, heads)
    notes = [*header.notes, *left_out(kinds)]
    if header.pilot_tone:
        heads = without_pilot_tone(heads)
        notes.insert(0, "The samples of the pilot tone were left out.")
    encoding, corrected = plausible_views(select_encoding(header, heads[kinds.imaging]))
    refuse_unreadable(encoding, heads[kinds.imaging])
    looked = fetch(spread(kinds.imaging))
    if reading.trajectory is None:
        stored_places(looked)
        third = third_axis(looked.places)
        notes += _more_axes(looked)
        if third == "density":
            notes.append(
                "The third coordinate of the trajectory is the same in all readouts and never "
                "negative: taken as density compensation, which is computed here instead."
            )
        if third == "partition" and len(np.unique(heads["idx"][STEPS[1]][kinds.imaging])) == 1:
            heads, more = _counted_partitions(heads, kinds, fetch)
            notes += more
        elif third == "partition":
            refuse_other_partitions(looked, looked.heads["idx"][STEPS[1]].astype(np.int64))
    heads, kinds, frames = binned(header, heads, kinds, reading)
    return _Lines(heads, kinds, encoding, (*notes, *corrected, *frames), looked)


def _more_axes(looked: Readouts) -> list[str]:
    """Say that coordinates beyond the three axes of k-space are not used."""
    axes = max((values.shape[1] for values in looked.places), default=0)
    if axes < 4:
        return []
    return [
        f"The trajectory has {axes} numbers for each sample: those after the third are no places "
        "in k-space and were left out (density compensation, for instance, is computed here)."
    ]


def _counted_partitions(heads: Heads, kinds: LineKinds, fetch: Fetch) -> tuple[Heads, list[str]]:
    """Count partitions by the third coordinate, where no counter tells them."""
    place = np.concatenate(
        [
            [float(values[0, 2]) for values in fetch(part).places]
            for part in np.array_split(kinds.imaging, -(-len(kinds.imaging) // LOOKS))
        ]
    )
    levels = np.unique(np.round(place / np.ptp(place), 4))
    step = float(np.diff(levels).min()) * float(np.ptp(place))
    number = np.rint(place / step).astype(np.int64)
    heads = heads.copy()
    heads["idx"][STEPS[1]][kinds.imaging] = (number - number.min()).astype(np.uint16)
    note = (
        f"No counter tells partitions: {len(levels)} were counted by the third coordinate of the "
        "trajectory."
    )
    return heads, [note]


def _partitions(
    header: MeasurementHeader, lines: _Lines, imaging: Heads
) -> tuple[Axis | None, Index, list[str]]:
    """Return the partitions of a slab, and the place of each readout among them."""
    steps = imaging["idx"][STEPS[1]].astype(np.int64)
    if len(np.unique(steps)) == 1:
        return None, np.zeros(len(steps), np.int64), []
    notes: list[str] = []
    axis = phase_axis(lines.encoding, 2, imaging, header.vendor, None, notes)
    places = axis.places(steps, STEPS[1])
    there = np.unique(places)
    notes.append(
        f"A stack of {len(there)} partitions was Fourier transformed into {axis.matrix} slices."
    )
    if len(there) < axis.size:
        low, high = int(there[0]) - axis.size // 2, int(there[-1]) - axis.size // 2
        notes.append(
            f"{axis.size - len(there)} of {axis.size} partitions were not acquired (those that "
            f"were are {low} to {high} off the centre): they are zero-filled."
        )
    return axis, places, notes


def _placed(
    lines: _Lines,
    numbers: Index,
    axis: Axis | None,
    reading: ReadOptions,
) -> tuple[ReadoutPlaces, TrajectoryGrid, list[str]]:
    """Find the places of samples in cycles per field of view, and the image that they make."""
    told = reading.trajectory
    if told is not None and not is_name(told):
        raise RawDataError(
            f"reading.trajectory={told}, expected a Pulseq sequence (.seq), or a name for files of "
            f"single readouts, which are made for their counters: {NAMED}"
        )
    imaging = lines.heads[lines.kinds.imaging]
    if told is not None:
        found, notes = image_of(lines.encoding, imaging, reading, None, axis)
        named, more = named_spokes(told, lines.encoding, imaging, numbers, found.pixels)
        return ReadoutPlaces(named=named), found.grid, [*notes, *more]
    whole = _together(stored_places(lines.looked))
    shape = shape_of(whole)
    extent = Extent(float(whole.abs().max()), shape.step, "radial" in shape.kind)
    if not extent.reach > 0:
        raise RawDataError(
            "the trajectory of the readouts is zero everywhere, expected places in k-space; the "
            f"converter did not fill it in: convert the file again, or say {NAMED}"
        )
    found, notes = image_of(lines.encoding, imaging, reading, extent, axis)
    return ReadoutPlaces(found.factor), found.grid, notes


def _together(places: list[Float32[np.ndarray, "_ 2"]]) -> Float32[Tensor, "h w 2"]:
    """Stack places of readouts; short ones stay where they end."""
    longest = max(len(values) for values in places)
    padded = [np.concatenate([v, np.repeat(v[-1:], longest - len(v), axis=0)]) for v in places]
    return torch.from_numpy(np.stack(padded, axis=1))
