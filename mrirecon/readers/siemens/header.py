"""Siemens' protocol and readouts as a MeasurementHeader."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.header import Encoding, Limits, MeasurementHeader, Space
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.raw.readouts import Heads, classify, flagged
from mrirecon.readers.siemens.protocol import Protocol, coil_names

TRAJECTORIES = {1: "cartesian", 2: "radial", 4: "spiral", 8: "blade (propeller)"}
CALIBRATION_MODES = {
    2: "embedded",
    4: "separate",
    8: "separate",
    16: "interleaved",
    32: "interleaved",
    64: "interleaved",
}
_MOST_LINES = 4096
_INVERSION = (1, 2)  # slice-selective and non-selective; 4 is off


def measurement_header(
    protocol: Protocol, heads: Heads, channels: Sequence[int], uid: int
) -> MeasurementHeader:
    """Build the header of a measurement from its protocol and its readouts.

    Raises:
        RawDataError: When the measurement is spectroscopy or not labelled with its encoding.
    """
    vector = protocol.number("sSpecPara.lVectorSize")
    if (vector or 0) > 0 or re.match(r"(svs|csi|fid)(_|$)", protocol.sequence):
        raise RawDataError(
            f"the sequence {protocol.sequence!r} is spectroscopy, expected imaging; "
            "spectroscopy is not supported"
        )
    echoes = max(1, int(protocol.number("lContrasts") or 1))
    inverted = protocol.number("sPrepPulses.ucInversion") in _INVERSION
    field = protocol.positive("flMagneticFieldStrength")
    return MeasurementHeader(
        encodings=(_encoding(protocol, heads),),
        vendor="SIEMENS",
        model=_text(protocol.derived("ManufacturersModelName")),
        field_strength=field or protocol.number("sProtConsistencyInfo.flNominalB0"),
        coil_labels=coil_names(protocol, channels),
        repetition_times=_times(protocol, "alTR", 1),
        echo_times=_times(protocol, "alTE", echoes),
        inversion_times=_times(protocol, "alTI", 1) if inverted else (),
        flip_angles=_listed(protocol, "adFlipAngleDegree", 1),
        protocol=protocol.name or None,
        measurement=str(uid),
        patient_position=_text(protocol.derived("tPatientPosition", "PatientPosition")),
        velocity_encoding=protocol.number("sAngio.sFlowArray.asElm[0].nVelocity") or None,
    )


def _encoding(protocol: Protocol, heads: Heads) -> Encoding:
    number, cut = protocol.number, "sSliceArray.asSlice[0]"
    read, phase = number(f"{cut}.dReadoutFOV"), number(f"{cut}.dPhaseFOV")
    thickness = number(f"{cut}.dThickness")
    base = number("sKSpace.lBaseResolution")
    oversampling = protocol.positive("flReadoutOSFactor") or 2.0
    more = 1.0 + (number("sKSpace.dPhaseOversamplingForDialog") or 0.0)
    deeper = 1.0 + (number("sKSpace.dSliceOversamplingForDialog") or 0.0)
    volumetric = number("sKSpace.ucDimension") == 4
    planned = number("sKSpace.lPhaseEncodingLines")
    lines, limits = _extent(protocol, heads, 1, (planned, _times_(planned, more)))
    partitions, planes = 1, number("sKSpace.lImagesPerSlab") or number("sKSpace.lPartitions")
    depth_limits = Limits(0, 0, 0)
    if volumetric:
        count = number("sKSpace.lPartitions")
        partitions, depth_limits = _extent(protocol, heads, 2, (count, _times_(count, deeper)))
    rows = protocol.positive("NImageCols", "iNoOfImageColumns") or base
    columns = protocol.positive("NImageLins")
    if columns is None and None not in (rows, read, phase):
        columns = round(rows * phase / read) if read else None  # type: ignore[operator]
    return Encoding(
        encoded=_space(
            (protocol.positive("iNoOfFourierColumns") or _times_(base, oversampling)),
            lines,
            partitions,
            (_times_(read, oversampling), _times_(phase, more), _times_(thickness, deeper))
            if volumetric
            else (_times_(read, oversampling), _times_(phase, more), thickness),
        ),
        recon=_space(rows, columns, planes if volumetric else 1, (read, phase, thickness)),
        limits={
            "kspace_encoding_step_1": limits,
            "kspace_encoding_step_2": depth_limits,
        },
        trajectory=_trajectory(protocol, heads),
        acceleration=(number("sPat.lAccelFactPE"), number("sPat.lAccelFact3D")),
        calibration_mode=CALIBRATION_MODES.get(int(number("sPat.ucRefScanMode") or 0), "other"),
        echo_train_length=int(number("sFastImaging.lTurboFactor") or 1),
        multiband=int(number("sSliceAcceleration.lMultiBandFactor") or 1),
    )


def _extent(
    protocol: Protocol, heads: Heads, step: int, planned: Sequence[float | None]
) -> tuple[int, Limits]:
    """Return the number of encoded lines (or partitions) and the range of their counter.

    The protocol has several such numbers: with and without oversampling, filled up with zeros. The
    smallest one that holds the measured lines around their centre is right; partial Fourier counts
    from the first measured line.

    Raises:
        RawDataError: When lines are merely numbered, so that their place in k-space is unknown.
    """
    lines = heads[classify(heads, None).imaging]
    if not len(lines):
        return max((round(count) for count in planned if count), default=1), Limits()
    counter = lines["idx"][f"kspace_encode_step_{step}"]
    first, last = int(counter.min()), int(counter.max())
    centers = np.unique(lines["idx"]["user"][:, 4 + step])
    center = int(centers[0]) if len(centers) == 1 else 0
    counts = sorted({round(count) for count in planned if count})
    known = 0 < center <= last
    required = 2 * max(center, last + 1 - center) if known else last + 1
    if known and last == 2 * center:  # an odd number of lines
        required = last + 1
    name, most = ("LIN" if step == 1 else "PAR"), (counts or [_MOST_LINES])[-1]
    if not known and required >= 2 * most:
        raise RawDataError(
            f"the counter {name} runs to {last}, but the protocol plans {most} and no centre is "
            f"marked: the sequence {protocol.sequence!r} numbered its readouts instead of "
            "labelling what they encode, so their place in k-space is unknown. Set the labels "
            "(LIN, PAR, SLC, …) in the sequence"
        )
    if required > 2 * most:
        raise RawDataError(
            f"the counter {name} runs to {last} around the centre {center}, but the protocol "
            f"plans {most}: the file is damaged, or the sequence labels its lines wrongly"
        )
    fitting = [count for count in counts if count >= required]
    size = fitting[0] if fitting else required
    return size, Limits(first, last, center if known else None)


def _trajectory(protocol: Protocol, heads: Heads) -> str:
    kind = TRAJECTORIES.get(int(protocol.number("sKSpace.ucTrajectory") or 1), "unknown")
    if kind != "cartesian":
        return kind
    reversed_ = flagged(heads[classify(heads, None).imaging], AcquisitionFlag.REVERSE).any()
    corrected = flagged(heads, AcquisitionFlag.PHASECORR_DATA).any()
    factor = protocol.number("sFastImaging.lEPIFactor") or 1
    if (reversed_ and corrected) or (factor > 1 and (reversed_ or corrected)):
        return "epi"
    return kind


def _space(
    x: float | None,
    y: float | None,
    z: float | None,
    view: tuple[float | None, float | None, float | None],
) -> Space:
    def count(value: float | None) -> int | None:
        return round(value) if value is not None and 0 < value < 65536 else None

    x_view, y_view, z_view = (v if v is not None and 0 < v < 1e5 else None for v in view)
    return Space((count(x), count(y), count(z)), (x_view, y_view, z_view))


def _times(protocol: Protocol, name: str, count: int) -> tuple[float, ...]:
    """Return the first ``count`` times in ms; the protocol has µs."""
    return tuple(value / 1000.0 for value in _listed(protocol, name, count))


def _listed(protocol: Protocol, name: str, count: int) -> tuple[float, ...]:
    values = (protocol.number(f"{name}[{i}]") for i in range(min(count, 512)))
    return tuple(value for value in values if value is not None)


def _times_(value: float | None, factor: float) -> float | None:
    return value * factor if value is not None else None


def _text(value: Any) -> str | None:
    return str(value).strip().strip('"') or None if value is not None else None
