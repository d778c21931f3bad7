"""DICOM: one MR image per slice, as every archive and viewer takes it."""

import datetime
import hashlib
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from mrirecon import __version__
from mrirecon.errors import OutputError
from mrirecon.files import Kind, atomic_folder, mark, refuse_existing, stamped
from mrirecon.reconstruction import Reconstruction
from mrirecon.writers.dicom_text import code_string, long_string, person_name
from mrirecon.writers.quantities import NAMINGS
from mrirecon.writers.scanner_coordinates import slice_place, slice_spacing
from mrirecon.writers.sidecar import image_type

LARGEST = 32767  # fits signed and unsigned 16-bit readers alike
IMPLEMENTATION = generate_uid(entropy_srcs=["mrirecon"])
NOTICE = "Research reconstruction, not for diagnostic use"
PATIENT_TAGS = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight",
    "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription",
    "AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID", "InstitutionName",
)  # fmt: skip


def write_dicom(
    path: Path, result: Reconstruction, *, overwrite: bool = False, template: Path | None = None
) -> None:
    """Write a folder with one file per slice: MR Image Storage, derived, with UIDs of its own.

    Signal is scaled by one factor for the whole series (``RescaleSlope`` undoes it). The patient's
    coordinates are DICOM's own, LPS mm; without geometry in the raw file the slices stand in an
    arbitrary axial stack and the image comment says so. All series that are made of one scan share
    study and frame of reference; other pixels, methods or templates give other series. The phase of
    complex images is a second series, in a folder ``<name>_phase_dicom``; ``RescaleSlope`` and
    ``RescaleIntercept`` give radians. Each companion of the image is a series, too, as in
    ``<name>_std_dicom``, with a slope of its own.

    Args:
        path: Path of the folder.
        result: Reconstruction to write.
        overwrite: Whether to replace an existing folder.
        template: A DICOM file of the same study; patient and study tags are copied from it.

    Raises:
        OutputError: When the folder exists, cannot be written, or the template cannot be read.
    """
    made = result.provenance
    if not made.fingerprint:  # what tells studies apart then
        result = replace(result, provenance=replace(made, fingerprint=_digest(result)))
    name = path.name.removesuffix("_dicom")
    others = [] if result.complex_volume is None else [result.phase()]
    parts = {path: replace(result, companions=())}
    parts |= {path.with_name(f"{name}_{o.quantity}_dicom"): o for o in [*others, *result.apart()]}
    for folder in parts:  # before the first is written
        refuse_existing(folder, overwrite, Kind.DICOM)
    tags = None if template is None else read_template(template)
    for folder, part in parts.items():
        _write_series(folder, part, overwrite, tags)


def _write_series(
    path: Path, result: Reconstruction, overwrite: bool, template: Dataset | None
) -> None:
    common = _series(result, template)
    with atomic_folder(path, Kind.DICOM, overwrite=overwrite) as part:
        frames, slices = result.volume.shape[:2]
        for number in range(frames * slices):
            frame, index = divmod(number, slices)
            image = _slice(common, result, frame, index)
            stream = io.BytesIO()
            image.save_as(stream, enforce_file_format=True)
            content = stamped(stream.getvalue(), Kind.DICOM)
            (part / f"{number + 1:04d}.dcm").write_bytes(content)


def read_template(path: Path) -> Dataset:
    """Return the patient and study tags of a DICOM file.

    Raises:
        OutputError: When it is no readable DICOM file.
    """
    if not path.is_file():  # a pipe would be waited for
        raise OutputError(f"DICOM template {path} is not a file, expected one DICOM file")
    try:
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
        # what is compressed as a whole would be expanded, whatever its size
        deflated = syntax == DeflatedExplicitVRLittleEndian
        source = Dataset() if deflated else pydicom.dcmread(path, stop_before_pixels=True)
    except pydicom.errors.InvalidDicomError as error:
        raise OutputError(
            f"DICOM template {path} cannot be read: it is no DICOM file (DICM does not stand at "
            "its byte 128); give one of the study"
        ) from error
    except OSError as error:
        raise OutputError(f"DICOM template {path} cannot be read: {error}") from error
    if deflated:
        raise OutputError(
            f"DICOM template {path} is compressed as a whole (transfer syntax {syntax}), expected "
            "another; convert it (dcmconv +te)"
        )
    tags = Dataset()
    for name in PATIENT_TAGS:
        if name in source:
            value = source[name].value  # names remember in what characters they were written
            setattr(tags, name, str(value) if source[name].VR == "PN" else value)
    return tags


def _series(result: Reconstruction, template: Dataset | None) -> Dataset:
    """Everything that the slices share."""
    header, now = result.header, datetime.datetime.now()
    series = Dataset()
    series.SpecificCharacterSet = "ISO_IR 192"  # UTF-8
    series.SOPClassUID = MRImageStorage
    series.Modality = "MR"
    series.ImageType = list(image_type(result))
    series.PatientID = long_string(header.subject or "unknown")
    series.PatientName = person_name(header.subject or "unknown")
    series.PatientPosition = code_string(header.patient_position or "") or "HFS"
    series.StudyDate = series.SeriesDate = series.ContentDate = now.strftime("%Y%m%d")
    series.StudyTime = series.SeriesTime = series.ContentTime = now.strftime("%H%M%S")
    for name in ("PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName",
                 "StudyID", "PositionReferenceIndicator"):  # fmt: skip
        setattr(series, name, "")
    _identify(series, result, template)
    series.Manufacturer = long_string(header.vendor)
    if header.model:
        series.ManufacturerModelName = long_string(header.model)
    naming = NAMINGS[result.quantity]
    series.SeriesNumber = result.number + naming.series
    parts = (
        header.acquisition,
        "mrirecon",
        naming.words,
        *result.suffix.strip("_").split("_"),
    )
    series.SeriesDescription = long_string(" ".join(part for part in parts if part))
    series.ProtocolName = long_string(header.acquisition)
    series.SoftwareVersions = f"mrirecon {__version__}"
    derivation = (NOTICE, result.meaning, result.provenance.command)
    series.DerivationDescription = long_string(". ".join(filter(None, derivation)), 1024)
    series.ImageComments = NOTICE + (
        "" if header.geometry else ". Position and orientation are unknown"
    )
    series.BurnedInAnnotation = "NO"
    _sequence(series, result)
    _pixels(series, result)
    return series


def _digest(result: Reconstruction) -> str:
    return hashlib.sha256(result.volume.numpy().tobytes()).hexdigest()


def _identify(series: Dataset, result: Reconstruction, template: Dataset | None) -> None:
    """Choose UIDs by content: the same scan is the same study, the same series the same files."""
    made = result.provenance
    pixels, scan = _digest(result), made.fingerprint
    series.StudyInstanceUID = generate_uid(entropy_srcs=[scan, "study"])
    series.FrameOfReferenceUID = generate_uid(entropy_srcs=[scan, "frame of reference"])
    series.update(template or Dataset())
    told = [
        scan,
        pixels,
        result.suffix,
        result.quantity,
        made.method,
        made.command,
        made.config,
        *made.versions,
    ]
    told += [repr(result.header), repr(template)]
    series.SeriesInstanceUID = generate_uid(entropy_srcs=told)


def _sequence(series: Dataset, result: Reconstruction) -> None:
    known = result.header.sequence
    series.ScanningSequence, series.SequenceVariant, series.ScanOptions = "RM", "NONE", ""
    series.MRAcquisitionType = "3D" if result.volumetric else "2D"
    series.EchoTrainLength = None
    series.EchoNumbers = result.header.frames[0].contrast + 1
    for name, value in (
        ("RepetitionTime", known.repetition_time),
        ("EchoTime", known.echo_time),
        ("InversionTime", known.inversion_time),
        ("FlipAngle", known.flip_angle),
        ("MagneticFieldStrength", known.field_strength),
    ):
        if value is not None:
            setattr(series, name, _decimal(value))
        elif name in ("RepetitionTime", "EchoTime"):
            setattr(series, name, None)


def _pixels(series: Dataset, result: Reconstruction) -> None:
    peak = float(result.volume.max())
    slope, offset = (peak / LARGEST if peak > 0 else 1.0), 0.0
    bright = float(np.percentile(result.volume.numpy(), 99.5))
    window = (bright / 2, max(bright, slope))
    series.RescaleType = "US"
    if result.quantity == "phase":
        slope, offset, window = 2 * math.pi / LARGEST, -math.pi, (0.0, 2 * math.pi)
        series.RescaleType = "rad"
    series.SamplesPerPixel, series.PhotometricInterpretation = 1, "MONOCHROME2"
    series.Rows, series.Columns = result.volume.shape[-2:]
    series.BitsAllocated, series.BitsStored, series.HighBit = 16, 16, 15
    series.PixelRepresentation = 0
    series.RescaleSlope, series.RescaleIntercept = _decimal(slope), _decimal(offset)
    series.WindowCenter, series.WindowWidth = map(_decimal, window)
    dy, dx, dz = result.header.voxel or (1.0, 1.0, 1.0)
    series.PixelSpacing = [_decimal(dy), _decimal(dx)]
    series.SliceThickness = _decimal(dz)


def _slice(common: Dataset, result: Reconstruction, frame: int, index: int) -> Dataset:
    image = Dataset()
    image.update(common)
    frames, slices = result.volume.shape[:2]
    if frames > 1:
        image.TemporalPositionIdentifier, image.NumberOfTemporalPositions = frame + 1, frames
    image.AcquisitionNumber = frame + 1
    place = slice_place(result.header, index)
    directions = (place.along_x, place.along_y)
    image.ImageOrientationPatient = [_decimal(v) for d in directions for v in d]
    image.ImagePositionPatient = [_decimal(v) for v in place.corner]
    image.SliceLocation = _decimal(float(place.corner @ np.cross(*directions)))
    spacing = slice_spacing(result.header)
    if spacing is not None:
        image.SpacingBetweenSlices = _decimal(spacing)
    image.InstanceNumber = frame * slices + index + 1
    image.SOPInstanceUID = generate_uid(
        entropy_srcs=[str(common.SeriesInstanceUID), str(image.InstanceNumber)]
    )
    values = result.volume[frame, index].numpy() - float(common.RescaleIntercept)
    stored = np.clip(np.rint(values / float(common.RescaleSlope)), 0, LARGEST).astype("<u2")
    image.PixelData = stored.tobytes()
    image["PixelData"].VR = "OW"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = MRImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = UID(image.SOPInstanceUID)
    image.file_meta.ImplementationClassUID = IMPLEMENTATION
    image.file_meta.ImplementationVersionName = f"MRIRECON_{__version__}"[:16]
    image.file_meta.PrivateInformationCreatorUID = IMPLEMENTATION
    image.file_meta.PrivateInformation = mark(Kind.DICOM).encode()
    return image


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters, as DICOM wants it."""
    if not math.isfinite(value):
        raise OutputError(f"DICOM cannot hold {value}")
    return pydicom.valuerep.format_number_as_ds(float(value))
