"""Headers of readouts, understood: which make which image, where they go, what is wrong."""

from dataclasses import replace

import numpy as np
import torch

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition import CartesianAcquisition, Fetch
from mrirecon.raw.centers import readout_energy
from mrirecon.raw.checks import refuse_unsupported, sampling_notes, select_encoding
from mrirecon.raw.counters import completed
from mrirecon.raw.frames import check_repeats, completeness_note, frames_of
from mrirecon.raw.geometry import SliceStack, slice_stack, volume_stack
from mrirecon.raw.grid import Grid, plan_grid
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.memory import refuse_too_large
from mrirecon.raw.mrd import AcquisitionFlag
from mrirecon.raw.noise import NoiseScan, Whitening, noise_scan, whitening
from mrirecon.raw.oversampling import nearest_sample, windows
from mrirecon.raw.probe import signal_notes
from mrirecon.raw.readouts import Heads, Index, LineKinds, calibration_only, classify
from mrirecon.raw.reference import placed_reference
from mrirecon.raw.reversal import turned_centers
from mrirecon.raw.sorting import flat_places
from mrirecon.raw.views import plausible_views
from mrirecon.sampling.calibration import central_block
from mrirecon.scan import Frame

ENOUGH = 12
"""Fewer central lines are no calibration region."""


def understand(
    header: MeasurementHeader,
    heads: Heads,
    fetch: Fetch,
    *,
    noise: NoiseScan | None = None,
    center: int | None = None,
    fourier_sign: int | None = None,
) -> CartesianAcquisition:
    """Decide how readouts make images; only noise and the lines of one slice are fetched.

    Args:
        header: What is known about the measurement as a whole.
        heads: Headers of all readouts.
        fetch: Returns readouts by number.
        noise: Used instead of the noise readouts among ``heads``.
        center: Value of ``kspace_encode_step_1`` that encodes k = 0, against the header.
        fourier_sign: 1 as here, -1 the opposite; the vendor's when None.

    Raises:
        RawDataError: When there are no imaging lines, or something varies that is not supported.
    """
    # the calibration mode is a property of the encoding that the imaging lines use
    kinds = classify(heads, None)
    if not len(kinds.imaging):
        found = {"noise": len(kinds.noise), "calibration": len(kinds.calibration)} | kinds.dropped
        text = ", ".join(f"{count} {name}" for name, count in found.items() if count)
        raise RawDataError(
            f"none of the {len(heads)} readouts is an imaging line (found: {text or 'nothing'}). "
            "Is this a noise or calibration scan? Give the file of the imaging measurement"
        )
    encoding = select_encoding(header, heads[kinds.imaging])
    kinds = classify(heads, encoding.calibration_mode)
    if header.pilot_tone:
        heads = _without_pilot_tone(heads)
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
    corrected += [*counted.notes, *turned]
    lines = heads[kinds.imaging]
    refuse_unsupported(encoding, lines, AcquisitionFlag.PHASECORR_DATA.name in kinds.dropped)
    grid = plan_grid(encoding, lines, header.vendor, center)
    stack = volume_stack(lines, grid) if grid.partition else slice_stack(lines)
    frames, numbers = frames_of(lines)
    notes = ["The samples of the pilot tone were left out."] if header.pilot_tone else []
    reference = None
    if len(kinds.calibration):
        placed = placed_reference(
            header, encoding, heads, kinds.imaging, kinds.calibration, grid, fetch
        )
        heads, reference = placed.heads, placed.own
        kinds = replace(kinds, calibration=placed.calibration)
        corrected += placed.notes
    notes += [*header.notes, *corrected, *grid.notes, *stack.notes]
    notes += sampling_notes(kinds, grid, lines)
    if note := completeness_note(frames, stack.order, lines, numbers):
        notes.append(note)
    repeats = check_repeats(lines, calibration_only(lines))
    notes += [repeats.note] if repeats.note else []
    coils = int(lines["active_channels"][0])
    refuse_too_large(grid, coils)
    plane, slices = _planes_of(lines, numbers, grid, stack)
    notes += signal_notes(grid, heads, kinds.imaging, plane, (len(frames), slices), fetch)
    white = _whiten(header, heads, kinds, fetch, notes, noise)
    matrix = None if white is None else white.matrix
    if matrix is not None and repeats.most > 1:
        # the mean of n lines has 1/n of the noise variance; whitened means unit variance, which
        # lines that were averaged less often exceed: their weight says so
        matrix = (matrix * np.sqrt(repeats.most)).astype(np.complex64)
    average = not len(kinds.calibration) and _average_over_time(grid, lines, numbers, frames)
    if average:
        notes.append(
            "Single frames have no calibration lines: their mean over time serves as reference."
        )
    conjugate = "siemens" in (header.vendor or "").lower()
    if fourier_sign is not None:
        conjugate = fourier_sign < 0
    elif conjugate:
        notes.append("Siemens' Fourier sign was converted: k-space is conjugated.")
    return CartesianAcquisition(
        heads=heads,
        kinds=kinds,
        grid=grid,
        stack=stack,
        frames=frames,
        frame=numbers,
        coils=coils,
        whitening=matrix,
        white=white is not None and white.white,
        conjugate=conjugate,
        line_mask=grid.partition is None and _complete(grid, lines),
        averages=None if repeats.equal else repeats.most,
        time_average=average,
        notes=tuple(notes),
        reference=reference,
    )


def _without_pilot_tone(heads: Heads) -> Heads:
    """Discard the first three samples and the last, where OCMR's pilot tone is.

    (Chen et al., OCMR (v1.0), arXiv:2008.03410, and its reference reader.)
    """
    heads = heads.copy()
    heads["discard_pre"] = np.maximum(heads["discard_pre"], 3)
    heads["discard_post"] = np.maximum(heads["discard_post"], 1)
    return heads


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
        found.append(central_block(torch.from_numpy(mask.reshape(h, w)), grid.shape))
    own, together = (min(size) for size in found)
    return own < ENOUGH <= together


def _complete(grid: Grid, lines: Heads) -> bool:
    """Tell whether every readout covers every sample that is left without oversampling."""
    placed = windows(lines, grid.recorded)
    used = nearest_sample(grid.full, grid.shape[0]) - grid.full // 2
    return bool(placed.start.max() <= used.min() and placed.stop.min() > used.max())


def _planes_of(lines: Heads, numbers: Index, grid: Grid, stack: SliceStack) -> tuple[Index, int]:
    """Return the number of each line's plane among those of all frames, and the slices of one."""
    if grid.partition is not None:
        return numbers, 1
    rank = np.zeros(max(stack.order) + 1, np.int64)
    rank[list(stack.order)] = np.arange(len(stack.order))
    return numbers * len(stack.order) + rank[lines["idx"]["slice"]], len(stack.order)


def _whiten(
    header: MeasurementHeader,
    heads: Heads,
    kinds: LineKinds,
    fetch: Fetch,
    notes: list[str],
    noise: NoiseScan | None,
) -> Whitening | None:
    if noise is None and not len(kinds.noise):
        elsewhere = [name for kind, name in header.dependencies if kind.lower() == "noise"]
        where = f" (it refers to measurement {elsewhere[0]})" if elsewhere else ""
        notes.append(
            f"The file has no noise scan{where}: k-space is not whitened; "
            "reading.noise=FILE takes one from another file."
        )
        return None
    lines = heads[kinds.imaging]
    dwell = float(np.median(lines["sample_time_us"]))
    labels = header.coil_labels
    try:
        if noise is None:
            noise = noise_scan(fetch(kinds.noise), labels, "of the same measurement")
        else:
            notes.append(f"The noise scan was taken from {noise.origin}.")
            if not (noise.labels and labels):
                notes.append(
                    "Coil names are missing: the channels of noise scan and image were matched by "
                    "number, which is wrong when their order differs."
                )
        coils = int(lines["active_channels"][0])
        result = whitening(noise, coils, labels, dwell, header.noise_bandwidth)
    except RawDataError as error:
        notes.append(f"K-space is not whitened: {error}.")
        return None
    notes.extend(result.notes)
    return result
