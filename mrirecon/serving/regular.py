"""What may be reconstructed before the rest of the measurement is there."""

from mrirecon.raw.acquired_scan import AcquiredScan
from mrirecon.raw.acquisition_plan import ENOUGH
from mrirecon.raw.header import Limits, MeasurementHeader
from mrirecon.raw.kspace_grid import Grid
from mrirecon.raw.readouts import calibration_only
from mrirecon.raw.trajectory_grid import TrajectoryGrid
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.serving.collector import Part, Unit

LATER = ("repetition", "phase")
"""Counters of images that are means over time of one another."""


def unit_of(method: Reconstructor, header: MeasurementHeader, *, fitted: bool) -> Unit:
    """Return what a method needs at once.

    Args:
        method: Method that reconstructs.
        header: Header of the measurement.
        fitted: Whether the method is fitted to the whole scan first.
    """
    if fitted or method.joint:
        return Unit.SCAN
    encoding = header.encodings[0]
    partitions = encoding.limits.get("kspace_encoding_step_2", Limits()).maximum or 0
    if partitions or (encoding.encoded.matrix[2] or 1) > 1 or method.context:
        return Unit.VOLUME
    return Unit.SLICE


def irregular(
    scan: AcquiredScan, part: Part, unit: Unit, grid: Grid | TrajectoryGrid | None
) -> str:
    """Say why a part must wait for the rest of the measurement; empty when it need not.

    What is decided for a whole file must come out the same for a part of it.

    Args:
        scan: The part, understood.
        part: Readouts of the part.
        unit: What it was meant to be.
        grid: Grid of the parts before; None for the first one.
    """
    acquisition, heads = scan.acquisition, part.readouts.heads
    imaging = acquisition.kinds.imaging
    for name in ("idx", "center_sample"):
        if (acquisition.heads[name][imaging] != heads[name][imaging]).any():
            return "the counters of its readouts were corrected"
    if unit is Unit.SLICE and (scan.header.volumetric or scan.header.slices > 1):
        return "its readouts are no single slice"
    if grid is not None and grid != acquisition.grid:
        return "its grid is another than that of the images before"
    limits = scan.measurement.header.encodings[0].limits
    embedded = scan.measurement.header.encodings[0].calibration_mode == "embedded"
    if embedded and calibration_only(heads).any() and not acquisition.kinds.merged:
        return "its reference lines are no part of the image"
    lasts = [limits.get(name, Limits()).maximum for name in LATER]
    if lasts != [0, 0] and not len(acquisition.kinds.calibration):
        acs = scan[0].acs
        if acs is not None and int(acs.min()) < ENOUGH <= min(acquisition.grid.shape):
            return "it has no calibration lines, and the mean over time may have some"
    return ""
