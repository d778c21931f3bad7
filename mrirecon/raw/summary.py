"""The contents of an acquisition in words: observed against what the header tells."""

import numpy as np

from mrirecon.raw.acquisition import Acquisition
from mrirecon.raw.frames import FRAME_COUNTERS
from mrirecon.raw.header import Encoding, MeasurementHeader
from mrirecon.raw.kspace_grid import STEPS
from mrirecon.raw.mrd_records import AcquisitionFlag

COUNTERS = (*STEPS, "average", "slice", *FRAME_COUNTERS, "segment")


def summary(header: MeasurementHeader, acquisition: Acquisition) -> tuple[tuple[str, str], ...]:
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
        *acquisition.along_readouts(),
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
