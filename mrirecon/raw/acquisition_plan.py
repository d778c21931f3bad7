"""Headers of readouts, understood: which make which image, where they go, what is wrong."""

from dataclasses import dataclass, replace

import numpy as np

from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.averaging import flat_places
from mrirecon.raw.cartesian_acquisition import CartesianAcquisition
from mrirecon.raw.centers import readout_energy
from mrirecon.raw.checks import refuse_unsupported, sampling_notes, select_encoding
from mrirecon.raw.counters import completed
from mrirecon.raw.embedded import truly_embedded
from mrirecon.raw.frames import Repeats, check_repeats, completeness_note, frames_of
from mrirecon.raw.header import Encoding, MeasurementHeader
from mrirecon.raw.kspace_grid import Grid, plan_grid
from mrirecon.raw.memory import refuse_too_large
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.raw.oversampling import nearest_sample, readout_ranges
from mrirecon.raw.planning import (
    conjugated,
    imaging_kinds,
    whitening_of_a_line,
    without_pilot_tone,
)
from mrirecon.raw.probe import signal_notes
from mrirecon.raw.readouts import Heads, Index, LineKinds, calibration_only
from mrirecon.raw.reference import placed_reference
from mrirecon.raw.reference_grid import Reference
from mrirecon.raw.reversal import turned_centers
from mrirecon.raw.slice_positions import SliceStack, slice_stack, volume_stack
from mrirecon.raw.views import plausible_views
from mrirecon.raw.whitening import NoiseScan, Whitening
from mrirecon.read_options import ReadOptions
from mrirecon.sampling.calibration import central_block
from mrirecon.scan import Frame

ENOUGH = 12
"""Fewer central lines are no calibration region."""
TIME_AVERAGE = "Single frames have no calibration lines: their mean over time serves as reference."


@dataclass(frozen=True)
class _Lines:
    """Headers of readouts as they were understood.

    Attributes:
        heads: Headers of all readouts.
        kinds: Numbers of the readouts of each kind.
        encoding: Encoding of the imaging lines.
        notes: Notes about what was noticed, one sentence each.
    """

    heads: Heads
    kinds: LineKinds
    encoding: Encoding
    notes: tuple[str, ...]

    @property
    def imaging(self) -> Heads:
        """Headers of the imaging lines."""
        return self.heads[self.kinds.imaging]


def plan_acquisition(
    header: MeasurementHeader,
    heads: Heads,
    fetch: Fetch,
    *,
    noise: NoiseScan | None = None,
    reading: ReadOptions | None = None,
) -> CartesianAcquisition:
    """Decide how readouts make images; only noise and the lines of one slice are fetched.

    Args:
        header: Header of the measurement as a whole.
        heads: Headers of all readouts.
        fetch: Function that returns readouts by number.
        noise: Noise scan that is used instead of the noise readouts among ``heads``.
        reading: Read options, which override what the header says; None overrides nothing.

    Raises:
        RawDataError: When there are no imaging lines, or something varies that is not supported.
    """
    reading = reading or ReadOptions()
    lines = _identified(header, heads, fetch)
    grid = plan_grid(lines.encoding, lines.imaging, header.vendor, reading.center)
    stack = volume_stack(lines.imaging, grid) if grid.partition else slice_stack(lines.imaging)
    frames, numbers = frames_of(lines.imaging)
    lines, reference = _with_reference(header, lines, grid, fetch)
    repeats = check_repeats(lines.imaging, calibration_only(lines.imaging))
    coils = int(lines.imaging["active_channels"][0])
    refuse_too_large(grid, coils)
    notes: list[str | None] = [*lines.notes, *grid.notes, *stack.notes]
    notes += sampling_notes(lines.kinds, grid, lines.imaging)
    notes += [completeness_note(frames, stack.order, lines.imaging, numbers), repeats.note]
    plane, slices = _planes_of(lines.imaging, numbers, grid, stack)
    planes = (len(frames), slices)
    notes += signal_notes(grid, lines.heads, lines.kinds.imaging, plane, planes, fetch)
    white, found = _whitened(header, lines, fetch, noise, repeats)
    average = not len(lines.kinds.calibration) and _average_over_time(
        grid, lines.imaging, numbers, frames
    )
    conjugate, sign = conjugated(header, reading.fourier_sign)
    notes += [*found, TIME_AVERAGE if average else "", sign]
    return CartesianAcquisition(
        heads=lines.heads,
        kinds=lines.kinds,
        grid=grid,
        stack=stack,
        frames=frames,
        frame=numbers,
        coils=coils,
        whitening=None if white is None else white.matrix,
        white=white is not None and white.white,
        conjugate=conjugate,
        line_mask=grid.partition is None and _complete(grid, lines.imaging),
        averages=None if repeats.equal else repeats.most,
        time_average=average,
        notes=tuple(note for note in notes if note),
        reference=reference,
    )


def _identified(header: MeasurementHeader, heads: Heads, fetch: Fetch) -> _Lines:
    """Find the imaging lines, their encoding, and the counters that a file left unset.

    Raises:
        RawDataError: When there are none, or something varies that is not supported.
    """
    kinds = imaging_kinds(header, heads)
    kinds, apart = truly_embedded(heads, kinds, fetch)
    notes = [*header.notes, *apart]
    if header.pilot_tone:
        heads = without_pilot_tone(heads)
        notes.insert(0, "The samples of the pilot tone were left out.")
    encoding, corrected = plausible_views(select_encoding(header, heads[kinds.imaging]))
    counted = completed(
        heads,
        encoding,
        header.echo_times,
        kinds.imaging,
        kinds.calibration,
        lambda numbers: readout_energy(fetch(numbers)),
    )
    encoding = counted.encoding
    heads, turned = turned_centers(counted.heads, kinds.imaging, fetch, encoding.encoded.matrix[0])
    navigators = AcquisitionFlag.PHASECORR_DATA.name in kinds.dropped
    refuse_unsupported(encoding, heads[kinds.imaging], navigators)
    return _Lines(heads, kinds, encoding, (*notes, *corrected, *counted.notes, *turned))


def _with_reference(
    header: MeasurementHeader, lines: _Lines, grid: Grid, fetch: Fetch
) -> tuple[_Lines, Reference | None]:
    """Place separate reference lines; also returns their grid when they have one of their own."""
    if not len(lines.kinds.calibration):
        return lines, None
    placed = placed_reference(
        header,
        lines.encoding,
        lines.heads,
        lines.kinds.imaging,
        lines.kinds.calibration,
        grid,
        fetch,
    )
    kinds = replace(lines.kinds, calibration=placed.calibration)
    notes = (*lines.notes, *placed.notes)
    return replace(lines, heads=placed.heads, kinds=kinds, notes=notes), placed.own


def _average_over_time(grid: Grid, lines: Heads, numbers: Index, frames: tuple[Frame, ...]) -> bool:
    """Tell whether the first slice of a frame lacks a centre that all its series' frames have."""
    first = frames[0]
    series = [(frame.contrast, frame.set) == (first.contrast, first.set) for frame in frames]
    here = lines["idx"]["slice"] == lines["idx"]["slice"].min()
    found = []
    for chosen in (here & (numbers == 0), here & np.array(series)[numbers]):
        h, w = grid.shape if grid.partition else (1, grid.shape[1])
        mask = np.zeros(h * w, bool)
        mask[flat_places(grid, lines[chosen])] = True
        found.append(central_block(mask.reshape(h, w), grid.shape))
    own, together = (min(size) for size in found)
    return own < ENOUGH <= together


def _complete(grid: Grid, lines: Heads) -> bool:
    """Tell whether every readout covers every sample that is left without oversampling."""
    placed = readout_ranges(lines, grid.recorded)
    used = nearest_sample(grid.full, grid.shape[0]) - grid.full // 2
    return bool(placed.start.max() <= used.min() and placed.stop.min() > used.max())


def _planes_of(lines: Heads, numbers: Index, grid: Grid, stack: SliceStack) -> tuple[Index, int]:
    """Return the number of each line's plane among those of all frames, and the slices of one."""
    if grid.partition is not None:
        return numbers, 1
    return stack.numbered(numbers, lines["idx"]["slice"])


def _whitened(
    header: MeasurementHeader,
    lines: _Lines,
    fetch: Fetch,
    noise: NoiseScan | None,
    repeats: Repeats,
) -> tuple[Whitening | None, list[str]]:
    """Return what whitens the mean of repeated lines, and what was noticed."""
    found, notes = whitening_of_a_line(header, lines.heads, lines.kinds, fetch, noise)
    if found is None or repeats.most < 2:
        return found, notes
    # the mean of n lines has 1/n of the noise variance; whitened means unit variance, which
    # lines that were averaged less often exceed: their weight says so
    matrix = (found.matrix * np.sqrt(repeats.most)).astype(np.complex64)
    return replace(found, matrix=matrix), notes
