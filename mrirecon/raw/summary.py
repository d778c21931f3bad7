"""The contents of an acquisition in words: observed against what the header tells."""

import numpy as np

from mrirecon.raw.acquisition import Acquisition
from mrirecon.raw.cartesian_acquisition import CartesianAcquisition
from mrirecon.raw.frames import FRAME_COUNTERS
from mrirecon.raw.gradient_delays import delay_words
from mrirecon.raw.header import Encoding, MeasurementHeader
from mrirecon.raw.kspace_grid import STEPS
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.raw.oversampling import readout_ranges
from mrirecon.raw.trajectory_acquisition import TrajectoryAcquisition

COUNTERS = (*STEPS, "average", "slice", *FRAME_COUNTERS, "segment")


def summary(
    header: MeasurementHeader, acquisition: CartesianAcquisition | TrajectoryAcquisition
) -> tuple[tuple[str, str], ...]:
    """Describe readouts, flags, counters, echoes, averages and noise, as ``(what, value)``."""
    kinds, heads = acquisition.kinds, acquisition.heads
    lines = heads[kinds.imaging]
    counts = {
        "imaging": len(kinds.imaging),
        "of these embedded calibration": kinds.merged,
        "separate calibration": len(kinds.calibration),
        "noise": len(kinds.noise),
        **kinds.dropped,
    }
    encoding = header.encodings[int(lines["encoding_space_ref"][0])]
    dwell = sorted({float(t) for t in lines["sample_time_us"]})
    return (
        ("readouts", ", ".join(f"{count} {name}" for name, count in counts.items() if count)),
        ("flags", _flags(heads["flags"]) or "none set"),
        (
            "counters",
            "; ".join(filter(None, (_counter(n, lines["idx"][n], encoding) for n in COUNTERS)))
            or "none varies",
        ),
        *_along_readouts(acquisition),
        ("noise scan", _noise(acquisition)),
        ("header says", _header(encoding)),
        ("dwell time", ", ".join(f"{t:g} us" for t in dwell)),
    )


def _flags(flags: np.ndarray) -> str:
    counts = {flag.name: int((flags & np.uint64(flag.mask) != 0).sum()) for flag in AcquisitionFlag}
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)


def _counter(name: str, values: np.ndarray, encoding: Encoding) -> str:
    """Give the observed range, and the header's where it differs; empty when all is 0."""
    seen = (int(values.min()), int(values.max()))
    limits = encoding.limits.get(name.replace("encode_step", "encoding_step"))
    told = seen
    if limits is not None and limits.maximum is not None:
        told = (limits.minimum or 0, limits.maximum)
    if seen == told == (0, 0):
        return ""
    return f"{name} {seen[0]}..{seen[1]}" + (
        f" (header {told[0]}..{told[1]})" if seen != told else ""
    )


def _echo(acquisition: CartesianAcquisition) -> str:
    lines, grid = acquisition.heads[acquisition.kinds.imaging], acquisition.grid
    placed = readout_ranges(lines, grid.recorded)
    left, right = -int(placed.start.min()), int(placed.stop.max())
    share = (left + right) / grid.full
    oversampling = grid.full / grid.readout.size
    return (
        f"{left} samples before and {right} from the centre on, {share:.0%} of {grid.full}; "
        f"oversampled {oversampling:g} times"
    )


def _averages(acquisition: CartesianAcquisition) -> str:
    if acquisition.averages is not None:
        return f"up to {acquisition.averages}, unequal: weighted"
    lines = acquisition.heads[acquisition.kinds.imaging]
    place = np.stack([lines["idx"][n] for n in (*FRAME_COUNTERS, "slice", *STEPS)], axis=1)
    return f"{len(lines) // len(np.unique(place, axis=0))}"


def _along_readouts(
    acquisition: CartesianAcquisition | TrajectoryAcquisition,
) -> tuple[tuple[str, str], ...]:
    if isinstance(acquisition, CartesianAcquisition):
        return ("echo", _echo(acquisition)), ("averages", _averages(acquisition))
    named = acquisition.places.named
    where = "stored with each readout" if named is None else f"made as told: {named.name}"
    return (
        ("trajectory", f"{where}, up to {acquisition.samples} samples"),
        ("gradient delays", delay_words(acquisition.places.delays)),
    )


def _noise(acquisition: Acquisition) -> str:
    index = acquisition.kinds.noise
    if not len(index):
        return "none in this measurement"
    heads = acquisition.heads[index]
    samples = int(heads["number_of_samples"].astype(np.int64).sum())
    channels = sorted({int(count) for count in heads["active_channels"]})
    dwell = float(np.median(heads["sample_time_us"]))
    text = ", ".join(map(str, channels))
    return f"{samples} samples of {text} channels, dwell time {dwell:g} us"


def _header(encoding: Encoding) -> str:
    parts = [
        f"encoded {_size(encoding.encoded.matrix)}, reconstructed {_size(encoding.recon.matrix)}",
        encoding.trajectory,
    ]
    if any(encoding.acceleration):
        parts.append("R = {} x {}".format(*(f"{r or 1:g}" for r in encoding.acceleration)))
    if encoding.calibration_mode:
        parts.append(f"{encoding.calibration_mode} calibration")
    if encoding.echo_train_length:
        parts.append(f"echo train of {encoding.echo_train_length}")
    return ", ".join(parts)


def _size(matrix: tuple[int | None, ...]) -> str:
    return " x ".join("?" if size is None else str(size) for size in matrix)
