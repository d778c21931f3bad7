import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch

from mrirecon.errors import OutputError
from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.scan import Frame
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol
from mrirecon.writers import write_nifti
from mrirecon.writers.dicom import write_dicom

DCM2NIIX = shutil.which("dcm2niix", path=str(Path(sys.executable).parent))
STACKS = [
    Prescription((24, 21), (240.0, 180.0), 3),
    Prescription((24, 21), (240.0, 180.0), 3, tilt=(10, 20)),
    Prescription(
        (25, 20), (200.0, 160.0), 3, thickness=3, gap=4.5, orientation="coronal", tilt=(5, 7)
    ),
    Prescription((25, 21), (200.0, 210.0), 4, gap=0, orientation="sagittal"),
    Prescription((20, 25), (200.0, 200.0), 3, orientation="sagittal", tilt=(30, -25)),
]


def result(prescription=STACKS[0], frames=1):
    header = SimulatedScan(1, SimulationProtocol(prescription=prescription)).header
    shape = (frames, header.slices, *header.matrix)
    volume = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    frame_list = tuple(Frame(repetition=i) for i in range(frames))
    header = replace(header, frames=frame_list, patient_position="FFS", vendor="mrirecon")
    return Reconstruction(volume, header, Provenance("a.h5", "CgSense", "mrirecon x"))


@pytest.mark.parametrize("prescription", STACKS)
def test_every_pixel_lies_where_nifti_says(prescription, tmp_path):
    """DICOM part 3, C.7.6.2.1.1: position + column step * column index + row step * row index."""
    made = result(prescription)
    write_dicom(tmp_path / "a", made)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ made.header.affine()
    for index, file in enumerate(sorted((tmp_path / "a").iterdir())):
        image = pydicom.dcmread(file)
        along_columns, along_rows = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
        row_spacing, column_spacing = map(float, image.PixelSpacing)
        for y, x in ((0, 0), (19, 5)):
            place = (
                np.array(image.ImagePositionPatient, float)
                + along_columns * column_spacing * x
                + along_rows * row_spacing * y
            )
            np.testing.assert_allclose(place, (affine @ [x, y, index, 1])[:3], atol=1e-3)
        stored = image.pixel_array * float(image.RescaleSlope)
        np.testing.assert_allclose(stored, made.volume[0, index], atol=1e-4)
        assert image.SliceThickness == prescription.thickness
        assert image.SpacingBetweenSlices == pytest.approx(
            prescription.thickness + prescription.gap
        )


@pytest.mark.skipif(DCM2NIIX is None, reason="dcm2niix is not installed")
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("prescription", STACKS)
def test_dcm2niix_finds_our_affine(prescription, frames, tmp_path):
    made = result(prescription, frames)
    write_dicom(tmp_path / "a", made)
    write_nifti(tmp_path / "ours.nii.gz", made)
    subprocess.run(
        [DCM2NIIX, "-z", "n", "-f", "theirs", "-o", tmp_path, tmp_path / "a"],
        check=True, capture_output=True,
    )  # fmt: skip
    ours, theirs = (
        nibabel.as_closest_canonical(nibabel.load(tmp_path / name))
        for name in ("ours.nii.gz", "theirs.nii")
    )
    np.testing.assert_allclose(theirs.affine, ours.affine, atol=1e-3)
    np.testing.assert_allclose(theirs.get_fdata(), ours.get_fdata(), atol=1e-4)
    zooms = [image.header.get_zooms()[:3] for image in (theirs, ours)]
    np.testing.assert_allclose(*zooms, atol=1e-4)
    theirs, ours = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("theirs", "ours"))
    if frames > 1:  # dcm2niix calls TR what BIDS means as the time between excitations
        ours["RepetitionTime"] = ours.pop("RepetitionTimeExcitation")
    for name in ("EchoTime", "RepetitionTime", "FlipAngle", "MagneticFieldStrength",
                 "ProtocolName", "PatientPosition",
                 "MRAcquisitionType", "SliceThickness", "SpacingBetweenSlices"):  # fmt: skip
        assert theirs[name] == (
            pytest.approx(ours[name]) if isinstance(ours[name], float) else ours[name]
        ), name


def test_one_series_of_one_derived_study(tmp_path):
    write_dicom(tmp_path / "a", result())
    images = [pydicom.dcmread(file) for file in sorted((tmp_path / "a").iterdir())]
    for name in ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "RescaleSlope"):
        assert len({str(image[name].value) for image in images}) == 1, name
    assert len({image.SOPInstanceUID for image in images}) == 3
    assert [image.InstanceNumber for image in images] == [1, 2, 3]
    first = images[0]
    assert first.ImageType[0] == "DERIVED" and "not for diagnostic use" in first.ImageComments
    assert first.PatientID == "subject0001" and first.EchoTime == 95


def test_patient_and_study_come_from_a_template(tmp_path):
    write_dicom(tmp_path / "a", result())
    template = tmp_path / "a" / "0001.dcm"
    source = pydicom.dcmread(template)
    source.PatientName, source.StudyDescription = "Doe^Jane", "Knee"
    source.save_as(template)
    write_dicom(tmp_path / "b", result(), template=template)
    image = pydicom.dcmread(tmp_path / "b" / "0002.dcm")
    assert image.PatientName == "Doe^Jane" and image.StudyDescription == "Knee"
    assert image.StudyInstanceUID == source.StudyInstanceUID
    assert image.SeriesInstanceUID != source.SeriesInstanceUID
    with pytest.raises(OutputError, match="is not a file, expected one DICOM file"):
        write_dicom(tmp_path / "c", result(), template=tmp_path / "none.dcm")
    assert not (tmp_path / "c").exists()


def test_series_of_one_scan_share_study_and_frame_of_reference_only(tmp_path):
    made = Provenance("a.h5", "CgSense", fingerprint="scan one")
    first = replace(result(), provenance=made, suffix="_echo-1")
    second = replace(first, volume=first.volume / 2, suffix="_echo-2", number=2, volumetric=True)
    sequence = replace(first.header.sequence, echo_time=7.5)
    second = replace(second, header=replace(
        first.header, sequence=sequence, frames=(Frame(contrast=1),), patient_position="FFP",
        vendor="Vendör",
    ))  # fmt: skip
    other = replace(first, provenance=replace(made, fingerprint="scan two"))
    images = []
    for name, series in (("a", first), ("b", second), ("c", other), ("d", first)):
        write_dicom(tmp_path / name, series)
        images.append(pydicom.dcmread(tmp_path / name / "0002.dcm"))
    a, b, c, again = images
    for name in ("StudyInstanceUID", "FrameOfReferenceUID"):
        assert a[name].value == b[name].value != c[name].value
    for name in ("SeriesInstanceUID", "SOPInstanceUID"):
        assert len({image[name].value for image in (a, b, c)}) == 3, name
        assert a[name].value == again[name].value, name  # the same pixels are the same image
    assert b.SeriesDescription == "AXT2 mrirecon echo-2"
    assert a.SeriesNumber == 1 and b.SeriesNumber == 2
    assert a.EchoTime == 95 and b.EchoTime == 7.5 and (a.EchoNumbers, b.EchoNumbers) == (1, 2)
    assert a.MRAcquisitionType == "2D" and b.MRAcquisitionType == "3D"
    assert a.PatientPosition == "FFS" and b.PatientPosition == "FFP"
    assert b.Manufacturer == "Vendör" and "not for diagnostic use" in b.DerivationDescription


def test_frames_are_temporal_positions_with_one_scaling(tmp_path):
    made = result(frames=3)
    made.volume[1] *= 100
    write_dicom(tmp_path / "a", made)
    images = [pydicom.dcmread(file) for file in sorted((tmp_path / "a").iterdir())]
    assert [i.TemporalPositionIdentifier for i in images] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert {i.NumberOfTemporalPositions for i in images} == {3}
    assert len({i.RescaleSlope for i in images}) == 1
    assert len({i.SOPInstanceUID for i in images}) == 9
    assert images[0].ImagePositionPatient == images[3].ImagePositionPatient


def test_nothing_is_overwritten_unasked_and_missing_geometry_is_said(tmp_path):
    made = result()
    made = replace(made, header=replace(made.header, geometry=None))
    write_dicom(tmp_path / "a", made)
    with pytest.raises(OutputError, match="exists already"):
        write_dicom(tmp_path / "a", made)
    write_dicom(tmp_path / "a", made, overwrite=True)
    image = pydicom.dcmread(tmp_path / "a" / "0001.dcm")
    assert "unknown" in image.ImageComments and len(list((tmp_path / "a").iterdir())) == 3
