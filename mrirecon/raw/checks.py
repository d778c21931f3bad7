"""Refusals, by name, of what is not supported, and notes on how a scan was sampled."""

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.header import Encoding, MeasurementHeader
from mrirecon.raw.kspace_grid import STEPS, Axis, Grid
from mrirecon.raw.mrd_records import COMPRESSION_MASK, AcquisitionFlag
from mrirecon.raw.oversampling import readout_ranges
from mrirecon.raw.readouts import Heads, LineKinds, flagged
from mrirecon.sampling.calibration import LEAST


def select_encoding(header: MeasurementHeader, heads: Heads) -> Encoding:
    """Return the encoding that the imaging lines refer to.

    Raises:
        RawDataError: When they refer to several encodings, or to one that the header lacks.
    """
    used = np.unique(heads["encoding_space_ref"]).tolist()
    if len(used) > 1:
        raise RawDataError(
            f"the imaging lines use several encodings (encoding_space_ref {used}), expected one; "
            "this is not supported yet"
        )
    if used[0] >= len(header.encodings):
        raise RawDataError(
            f"the imaging lines use encoding {used[0]}, the XML header describes only "
            f"{len(header.encodings)}; the file is inconsistent, convert it again"
        )
    return header.encodings[used[0]]


def refuse_unsupported(encoding: Encoding, heads: Heads, navigators: bool = False) -> None:
    """Refuse imaging lines that this version would sort wrongly.

    Args:
        encoding: Encoding of the imaging lines, as the header tells it.
        heads: Headers of the imaging lines.
        navigators: Whether there are phase-correction readouts besides.

    Raises:
        RawDataError: Naming the feature or the counter, and what was found.
    """
    if encoding.trajectory != "cartesian":
        raise RawDataError(
            f"the trajectory is {encoding.trajectory!r}, expected 'cartesian', or readouts whose "
            "places are stored; EPI data are not supported yet"
        )
    refuse_unreadable(encoding, heads)
    partitions = np.unique(heads["idx"][STEPS[1]]).tolist()
    _refuse_epi(encoding, heads, navigators)
    if len(np.unique(heads["idx"][STEPS[0]])) == len(partitions) == 1:
        raise RawDataError(
            "no phase encoding varies: this is spectroscopy, a projection or a single line, "
            "expected the lines of an image"
        )


def refuse_unreadable(encoding: Encoding, heads: Heads) -> None:
    """Refuse imaging lines that cannot be read, wherever their samples lie.

    Args:
        encoding: Encoding of the imaging lines, as the header tells it.
        heads: Headers of the imaging lines.

    Raises:
        RawDataError: Naming the feature or the counter, and what was found.
    """
    if (heads["flags"] & np.uint64(COMPRESSION_MASK)).any():
        raise RawDataError(
            "readouts are compressed (flags 53 to 56), expected plain samples; "
            "export the scan without compression"
        )
    if encoding.multiband is not None and encoding.multiband > 1:
        raise RawDataError(
            f"{encoding.multiband} slices were excited at once (multiband), expected one; "
            "this is not supported yet"
        )
    slabs = np.unique(heads["idx"]["slice"]).tolist()
    partitions = np.unique(heads["idx"][STEPS[1]]).tolist()
    if len(slabs) > 1 and len(partitions) > 1:
        raise RawDataError(
            f"both 'slice' ({_listed(slabs)}) and '{STEPS[1]}' ({_listed(partitions)}) vary: "
            "several 3-D slabs in one scan are not supported yet; export a single slab"
        )
    channels = np.unique(heads["active_channels"]).tolist()
    if len(channels) > 1 or channels[0] == 0:
        raise RawDataError(
            f"imaging lines have different or no channels ({_listed(channels)}), expected the same "
            "number in each"
        )


def _refuse_epi(encoding: Encoding, heads: Heads, navigators: bool) -> None:
    """Refuse images of which some lines are reversed; whole reversed echoes are no EPI."""
    names = ("slice", "contrast", "set", "phase", "repetition")
    keys = np.stack([heads["idx"][name] for name in names], axis=1)
    _, image = np.unique(keys, axis=0, return_inverse=True)
    reverse = flagged(heads, AcquisitionFlag.REVERSE)
    reversed_lines, lines = np.bincount(image.reshape(-1), reverse), np.bincount(image.reshape(-1))
    mixed = ((reversed_lines > 0) & (reversed_lines < lines)).any()
    if mixed and (navigators or (encoding.echo_train_length or 1) > 1):
        train = encoding.echo_train_length or "an unknown number of"
        raise RawDataError(
            f"{int(reverse.sum())} of {len(heads)} lines are reversed, others of the same image "
            f"are not, and the echo train has {train} echoes"
            f"{', with phase-correction readouts' if navigators else ''}: this looks like EPI, "
            "which needs a phase correction and is not supported yet"
        )


def sampling_notes(kinds: LineKinds, grid: Grid, heads: Heads) -> list[str]:
    """Describe partial Fourier, asymmetric echoes and the readouts that take no part."""
    notes = left_out(kinds)
    lines, partitions = grid.places(heads)
    notes += _partial_fourier(lines, grid.phase, "phase encoding", "lines")
    if grid.partition is not None:
        notes += _partial_fourier(partitions, grid.partition, "partitions", "partitions")
    placed = readout_ranges(heads, grid.recorded)
    left, right = -int(placed.start.min()), int(placed.stop.max())
    if abs(left - right) > 1:
        notes.append(
            f"Asymmetric echo: {left} samples before and {right} after the centre, of "
            f"{grid.full // 2}; the rest is {'zero-filled' if grid.partition else 'unmeasured'}."
        )
    if placed.reverse.any():
        notes.append(f"{int(placed.reverse.sum())} reversed readouts were turned around.")
    return notes


def left_out(kinds: LineKinds) -> list[str]:
    """Describe the readouts that take no part in the image, and those that might not have."""
    notes = []
    if kinds.dropped:
        text = ", ".join(f"{count} {name}" for name, count in kinds.dropped.items())
        notes.append(f"Readouts that are no image lines were left out: {text}.")
    if kinds.merged:
        notes.append(f"{kinds.merged} embedded calibration lines were merged into k-space.")
    if len(kinds.calibration):
        notes.append(f"{len(kinds.calibration)} calibration lines were kept apart from the image.")
    return notes


def _partial_fourier(places: np.ndarray, axis: Axis, what: str, unit: str) -> list[str]:
    lines = np.unique(places) - axis.size // 2
    gaps = np.diff(lines)
    step = int(gaps.max(initial=1))
    low, high = -int(lines[0]), int(lines[-1])
    if low < 0 or high < 0:
        return [
            f"The {unit} along the {what} span {-low} to {high} off the centre and miss it: the "
            "image has no overall contrast. Check the centre (reading.center)."
        ]
    # a raster ends within a step of either side, and is broken by calibration lines at two places
    random = ((gaps > 1) & (gaps < step)).sum() > 2
    if abs(low - high) <= (2 * step if random else step):
        return []
    # an even grid has one line more below the centre
    whole = 2 * max(low, high) + step if axis.size % 2 else 2 * max(low, high + step)
    fraction = (low + high + step) / whole
    remedy = "too much for partial_fourier=pocs"
    if min(low, high) >= LEAST:
        remedy = "partial_fourier=pocs fills it in"
    return [
        f"Partial Fourier along the {what}: about {fraction:.0%} of k-space, from {-low} to {high} "
        f"{unit} off the centre; the rest is unmeasured ({remedy})."
    ]


def _listed(values: list[int]) -> str:
    text = ", ".join(map(str, values[:8]))
    return text + ", …" if len(values) > 8 else text
