"""DICOM: one MR image per slice, as every archive and viewer takes it."""

import datetime
import math
import shutil
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from mrirecon import __version__
from mrirecon.errors import OutputError
from mrirecon.files import refuse_existing
from mrirecon.reconstruction import Reconstruction
from mrirecon.scan import ScanHeader

LARGEST = 32767  # fits signed and unsigned 16-bit readers alike
NOTICE = "Research reconstruction, not for diagnostic use"
PATIENT_TAGS = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight",
    "PatientPosition", "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription",
    "AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID", "InstitutionName",
)  # fmt: skip


def write_dicom(
    path: Path, result: Reconstruction, *, overwrite: bool = False, template: Path | None = None
) -> None:
    """Write a folder with one file per slice: MR Image Storage, derived, with UIDs of its own.

    Signal is scaled by one factor for the whole series (``RescaleSlope`` undoes it). The patient's
    coordinates are DICOM's own, LPS mm; without geometry in the raw file the slices stand in an
    arbitrary axial stack and the image comment says so.

    Args:
        path: The folder.
        result: What to write.
        overwrite: Replace an existing folder.
        template: A DICOM file of the same study; patient and study tags are copied from it.

    Raises:
        OutputError: When the folder exists, cannot be written, or the template cannot be read.
    """
    refuse_existing(path, overwrite)
    common = _series(result, template)
    part = path.with_name(f".{path.name}.partial")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        frames, slices = result.volume.shape[:2]
        for number in range(frames * slices):
            frame, index = divmod(number, slices)
            image = _slice(common, result, frame, index)
            image.save_as(part / f"{number + 1:04d}.dcm", enforce_file_format=True)
        if path.exists():
            shutil.rmtree(path)
        part.rename(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _series(result: Reconstruction, template: Path | None) -> Dataset:
    """Everything that the slices share."""
    header, now = result.header, datetime.datetime.now()
    series = Dataset()
    series.SOPClassUID = MRImageStorage
    series.Modality = "MR"
    series.ImageType = ["DERIVED", "PRIMARY", "M", "NONE"]
    series.PatientID = series.PatientName = header.subject or "unknown"
    series.PatientPosition = "HFS"
    series.StudyInstanceUID = generate_uid()
    series.FrameOfReferenceUID = generate_uid()
    series.StudyDate = series.SeriesDate = series.ContentDate = now.strftime("%Y%m%d")
    series.StudyTime = series.SeriesTime = series.ContentTime = now.strftime("%H%M%S")
    for name in ("PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName",
                 "StudyID", "PositionReferenceIndicator", "Manufacturer"):  # fmt: skip
        setattr(series, name, "")
    if template is not None:
        _copy_patient(series, template)
    series.SeriesInstanceUID = generate_uid()
    series.SeriesNumber = 1
    series.SeriesDescription = f"{header.acquisition} mrirecon".strip()[:64]
    series.ProtocolName = header.acquisition[:64]
    series.SoftwareVersions = f"mrirecon {__version__}"
    series.DerivationDescription = f"{NOTICE}. {result.provenance.command}"[:1024]
    series.ImageComments = NOTICE + (
        "" if header.geometry else ". Position and orientation are unknown"
    )
    series.BurnedInAnnotation = "NO"
    _sequence(series, header)
    _pixels(series, result)
    return series


def _copy_patient(series: Dataset, template: Path) -> None:
    try:
        source = pydicom.dcmread(template, stop_before_pixels=True)
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise OutputError(f"DICOM template {template} cannot be read: {error}") from error
    for name in PATIENT_TAGS:
        if name in source:
            setattr(series, name, source[name].value)


def _sequence(series: Dataset, header: ScanHeader) -> None:
    known = header.sequence
    series.ScanningSequence, series.SequenceVariant, series.ScanOptions = "RM", "NONE", ""
    series.MRAcquisitionType = "2D"
    series.EchoTrainLength = None
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
    slope = peak / LARGEST if peak > 0 else 1.0
    series.SamplesPerPixel, series.PhotometricInterpretation = 1, "MONOCHROME2"
    series.Rows, series.Columns = result.volume.shape[-2:]
    series.BitsAllocated, series.BitsStored, series.HighBit = 16, 16, 15
    series.PixelRepresentation = 0
    series.RescaleSlope, series.RescaleIntercept, series.RescaleType = _decimal(slope), 0, "US"
    bright = float(np.percentile(result.volume.numpy(), 99.5))
    series.WindowCenter, series.WindowWidth = _decimal(bright / 2), _decimal(max(bright, slope))
    dy, dx, dz = result.header.voxel or (1.0, 1.0, 1.0)
    series.PixelSpacing = [_decimal(dy), _decimal(dx)]
    series.SliceThickness = _decimal(dz)


def _slice(common: Dataset, result: Reconstruction, frame: int, index: int) -> Dataset:
    image = Dataset()
    image.update(common)
    frames, slices = result.volume.shape[:2]
    if frames > 1:
        image.TemporalPositionIdentifier, image.NumberOfTemporalPositions = frame + 1, frames
    # The columns of the LPS affine are the steps along x, y and slice.
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ result.header.affine()
    along_x, along_y, step = (affine[:3, axis] for axis in range(3))
    position = affine[:3, 3] + index * step
    if result.header.geometry is not None:  # each slice where it is, also when spacing varies
        y, x = result.header.matrix
        center = np.asarray(result.header.geometry.positions[index])
        position = center - along_x * (x // 2) - along_y * (y // 2)
    directions = [v / np.linalg.norm(v) for v in (along_x, along_y)]
    image.ImageOrientationPatient = [_decimal(v) for d in directions for v in d]
    image.ImagePositionPatient = [_decimal(v) for v in position]
    image.SliceLocation = _decimal(float(position @ np.cross(*directions)))
    image.SpacingBetweenSlices = _decimal(float(np.linalg.norm(step)))
    image.InstanceNumber = frame * slices + index + 1
    image.SOPInstanceUID = generate_uid()
    slope = float(common.RescaleSlope)
    stored = np.clip(np.rint(result.volume[frame, index].numpy() / slope), 0, LARGEST).astype("<u2")
    image.PixelData = stored.tobytes()
    image["PixelData"].VR = "OW"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = MRImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = UID(image.SOPInstanceUID)
    return image


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters, as DICOM wants it."""
    if not math.isfinite(value):
        raise OutputError(f"DICOM cannot hold {value}")
    return pydicom.valuerep.format_number_as_ds(float(value))
