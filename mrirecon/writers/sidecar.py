"""The JSON file beside a NIfTI file that holds what NIfTI cannot, as BIDS keeps it."""

import json
from pathlib import Path
from typing import Any

from mrirecon import __version__
from mrirecon.files import Kind, atomic, mark, stamped
from mrirecon.reconstruction import Reconstruction
from mrirecon.writers.quantities import NAMINGS
from mrirecon.writers.scanner_coordinates import slice_spacing

UNKNOWN = (None, "")


def image_type(result: Reconstruction) -> tuple[str, ...]:
    """Return DICOM's four values for an image that is no scanner's own."""
    return ("DERIVED", "PRIMARY", *NAMINGS[result.quantity].contrast)


def write_sidecar(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write the sidecar; facts that the raw file does not tell are left out, not guessed."""
    with atomic(path, Kind.SIDECAR, overwrite=overwrite) as temporary:
        text = json.dumps(sidecar(result), indent=2, ensure_ascii=False)
        temporary.write_bytes(stamped(f"{text}\n".encode(), Kind.SIDECAR))


def sidecar(result: Reconstruction) -> dict[str, Any]:
    """Return BIDS' own names in BIDS' units (times in s), and the rest under ``mrirecon``.

    ``ParallelReductionFactorInPlane`` is the scanner's nominal factor; what was achieved stands
    under ``mrirecon``. In BIDS the ``RepetitionTime`` of several volumes is the time from one to
    the next, and ``RepetitionTimeExcitation`` what is TR otherwise.
    """
    header, made, sequence = result.header, result.provenance, result.header.sequence
    several = len(header.frames) > 1
    repetition = _seconds(sequence.repetition_time)
    facts = {
        "Modality": "MR",
        "ImageType": image_type(result),
        "Units": "rad" if result.quantity == "phase" else None,
        "Manufacturer": header.vendor,
        "ManufacturersModelName": header.model,
        "MagneticFieldStrength": sequence.field_strength,
        "ProtocolName": header.acquisition,
        "PatientPosition": header.patient_position,
        "MRAcquisitionType": "3D" if result.volumetric else "2D",
        "RepetitionTime": sequence.frame_interval if several else repetition,
        "RepetitionTimeExcitation": repetition if several else None,
        "EchoTime": _seconds(sequence.echo_time),
        "InversionTime": _seconds(sequence.inversion_time),
        "EchoNumber": header.frames[0].contrast + 1 if len(header.echo_times) > 1 else None,
        "FlipAngle": sequence.flip_angle,
        "EchoTrainLength": sequence.echo_train_length,
        "DwellTime": None if sequence.dwell_time is None else sequence.dwell_time * 1e-6,
        "ImagingFrequency": sequence.imaging_frequency,
        "ParallelReductionFactorInPlane": sequence.acceleration,
        "SliceThickness": header.voxel[2] if header.voxel else None,
        "SpacingBetweenSlices": slice_spacing(header),
        "ConversionSoftware": "mrirecon",
        "ConversionSoftwareVersion": __version__,
    }
    own = {
        "Output": mark(Kind.SIDECAR),  # stands first, where it is looked for
        "Notice": "Research reconstruction, not for diagnostic use",
        "Quantity": NAMINGS[result.quantity].words,
        "Meaning": result.meaning,
        "Method": made.method,
        "AchievedAcceleration": made.acceleration,
        "GeometryKnown": header.located,
        "Frames": [str(frame) for frame in header.frames],
        "Notes": header.notes,
        "SourceFile": made.source,
        "SourceFormat": header.format,
        "SourceFingerprint": made.fingerprint,
        "Checkpoint": made.checkpoint,
        "Adaptation": made.adaptation or None,
        "Spread": made.spread,
        "Calibration": made.calibration,
        "Readouts": made.readouts or None,
        "Command": made.command,
        "Commit": commit(made.versions),
        "Versions": made.versions,
        "Config": made.config,
    }
    return {"mrirecon": _known(own), **_known(facts)}


def commit(versions: tuple[str, ...]) -> str | None:
    """Return the git commit among the versions of a run, or None outside of a clone."""
    found = (entry.removeprefix("commit ") for entry in versions if entry.startswith("commit "))
    return next(found, None)


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if value not in UNKNOWN}


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
