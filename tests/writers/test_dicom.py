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
from mrirecon.simulation.protocol import Prescription, SimulationProtocol
from mrirecon.simulation.scan import SimulatedScan
from mrirecon.writers import write_nifti
from mrirecon.writers.dicom import write_dicom

DCM2NIIX = shutil.which("dcm2niix", path=str(Path(sys.executable).parent))
STACKS = [("axial", (0, 0)), ("axial", (10, 20)), ("coronal", (5, 7)), ("sagittal", (0, 0))]


def result(orientation="axial", tilt=(0.0, 0.0)):
    prescription = Prescription(
        matrix=(24, 21), fov=(240.0, 180.0), slices=3, orientation=orientation, tilt=tilt
    )
    header = SimulatedScan(1, SimulationProtocol(prescription=prescription)).header
    volume = torch.rand(1, 3, 24, 21, generator=torch.Generator().manual_seed(0))
    return Reconstruction(volume, header, Provenance("a.h5", "CgSense", "mrirecon x"))


@pytest.mark.parametrize(("orientation", "tilt"), STACKS)
def test_every_pixel_lies_where_nifti_says(orientation, tilt, tmp_path):
    """DICOM part 3, C.7.6.2.1.1: position + column step * column index + row step * row index."""
    made = result(orientation, tilt)
    write_dicom(tmp_path / "a", made)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ made.header.affine()
    for index, file in enumerate(sorted((tmp_path / "a").iterdir())):
        image = pydicom.dcmread(file)
        along_columns, along_rows = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
        row_spacing, column_spacing = map(float, image.PixelSpacing)
        for y, x in ((0, 0), (23, 5)):
            place = (
                np.array(image.ImagePositionPatient, float)
                + along_columns * column_spacing * x
                + along_rows * row_spacing * y
            )
            np.testing.assert_allclose(place, (affine @ [x, y, index, 1])[:3], atol=1e-3)
        stored = image.pixel_array * float(image.RescaleSlope)
        np.testing.assert_allclose(stored, made.volume[0, index], atol=1e-4)
        assert image.SpacingBetweenSlices == pytest.approx(6) and image.SliceThickness == 5


@pytest.mark.skipif(DCM2NIIX is None, reason="dcm2niix is not installed")
@pytest.mark.parametrize(("orientation", "tilt"), STACKS)
def test_dcm2niix_finds_our_affine(orientation, tilt, tmp_path):
    made = result(orientation, tilt)
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
    with pytest.raises(OutputError, match="cannot be read"):
        write_dicom(tmp_path / "c", result(), template=tmp_path / "none.dcm")
    assert not (tmp_path / "c").exists()


def test_nothing_is_overwritten_unasked_and_missing_geometry_is_said(tmp_path):
    made = result()
    made = replace(made, header=replace(made.header, geometry=None))
    write_dicom(tmp_path / "a", made)
    with pytest.raises(OutputError, match="exists already"):
        write_dicom(tmp_path / "a", made)
    write_dicom(tmp_path / "a", made, overwrite=True)
    image = pydicom.dcmread(tmp_path / "a" / "0001.dcm")
    assert "unknown" in image.ImageComments and len(list((tmp_path / "a").iterdir())) == 3
