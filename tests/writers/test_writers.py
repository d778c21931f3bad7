import json
from dataclasses import replace

import h5py
import nibabel
import numpy as np
import pytest
import torch
from matplotlib.image import imread

from mrirecon.errors import OutputError
from mrirecon.files import Kind, atomic, atomic_folder
from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.scan import Frame, SequenceParameters
from mrirecon.writers import WRITERS, write_dicom, write_hdf5, write_nifti, write_png
from tests import scenes


@pytest.fixture
def result():
    header = scenes.scan(slices=3).header
    generator = torch.Generator().manual_seed(0)
    return Reconstruction(
        torch.rand(1, 3, 40, 36, generator=generator),
        header,
        Provenance("a.h5", "CgSense", "mrirecon x"),
    )


def test_nifti_shows_every_voxel_where_it_was(result, tmp_path):
    """The voxel (y, x) of slice s lies at position + (y - y//2) row + (x - x//2) column, in RAS."""
    write_nifti(tmp_path / "a.nii.gz", result)
    image = nibabel.load(tmp_path / "a.nii.gz")
    g, (dy, dx, _) = result.header.geometry, result.header.voxel
    for s, y, x in ((0, 0, 0), (2, 39, 5), (1, 20, 18)):
        lps = (
            np.array(g.positions[s])
            + (y - 20) * dy * np.array(g.row_direction)
            + (x - 18) * dx * np.array(g.column_direction)
        )
        np.testing.assert_allclose(
            image.affine @ [x, y, s, 1], [*(lps * [-1, -1, 1]), 1], atol=1e-3
        )
        assert image.get_fdata()[x, y, s] == pytest.approx(result.volume[0, s, y, x].item())
    assert image.get_data_dtype() == np.float32
    assert image.header.get_xyzt_units()[0] == "mm"


def test_nifti_without_geometry_says_so(result, tmp_path):
    write_nifti(
        tmp_path / "a.nii.gz", replace(result, header=replace(result.header, geometry=None))
    )
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert image.header["qform_code"] == image.header["sform_code"] == 0
    np.testing.assert_allclose(image.header.get_zooms()[:2], result.header.voxel[1::-1], rtol=1e-5)


def test_hdf5_holds_facts_and_provenance(result, tmp_path):
    write_hdf5(tmp_path / "a.h5", result)
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["reconstruction"][()], result.volume[0].numpy())
        assert file.attrs["patient_id"] == "subject0000" and file.attrs["has_geometry"]
        assert file.attrs["max"] == pytest.approx(result.volume.max().item())
        np.testing.assert_allclose(file.attrs["affine_ras_mm"], result.header.affine())
        assert file["provenance"].attrs["command"] == "mrirecon x"


@pytest.mark.parametrize("interval", [None, 12.5])
def test_frames_are_the_fourth_dimension(result, tmp_path, interval):
    """Their distance is the time between volumes, never TR, and 0 when it is unknown."""
    volume = torch.rand(4, 3, 40, 36, generator=torch.Generator().manual_seed(1))
    sequence = replace(result.header.sequence, frame_interval=interval)
    frames = tuple(Frame(repetition=i) for i in range(4))
    header = replace(result.header, frames=frames, sequence=sequence)
    result = replace(result, volume=volume, header=header)
    write_nifti(tmp_path / "a.nii.gz", result)
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(image.get_fdata(), volume.numpy().transpose(3, 2, 1, 0))
    assert image.header.get_zooms()[3] == (interval or 0)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    sidecar = json.loads((tmp_path / "a.json").read_text())
    assert sidecar["mrirecon"]["Frames"][3].endswith("repetition 3")
    assert sidecar.get("RepetitionTime") == interval
    assert sidecar["RepetitionTimeExcitation"] == sequence.repetition_time / 1000


def test_sidecar_tells_what_is_known_in_the_units_of_bids(result, tmp_path):
    sequence = SequenceParameters(2300.0, 2.9, 900.0, 9.0, 2.89, 5.0, 123.2, 7, 3.0)
    header = replace(
        result.header, sequence=sequence, vendor="SIEMENS", model="Prisma", patient_position="FFS",
        acquisition="t1_mprage", notes=("One note.",),
    )  # fmt: skip
    made = Provenance("a.h5", "CgSense", "mrirecon x", "a: 1", acceleration=2.5,
                      versions=("mrirecon 0.1.0", "commit abc"))  # fmt: skip
    write_nifti(tmp_path / "a.nii.gz", replace(result, header=header, provenance=made))
    told = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    own = told.pop("mrirecon")
    assert told["RepetitionTime"] == pytest.approx(2.3)
    assert told["EchoTime"] == pytest.approx(0.0029) and told["InversionTime"] == 0.9
    assert told["FlipAngle"] == 9 and told["MagneticFieldStrength"] == 2.89
    assert told["Manufacturer"] == "SIEMENS" and told["ManufacturersModelName"] == "Prisma"
    assert told["ProtocolName"] == "t1_mprage" and told["PatientPosition"] == "FFS"
    assert told["ImageType"][:3] == ["DERIVED", "PRIMARY", "M"]
    assert told["MRAcquisitionType"] == "2D" and told["SpacingBetweenSlices"] == 6
    assert told["ParallelReductionFactorInPlane"] == 3 and told["EchoTrainLength"] == 7
    assert told["DwellTime"] == pytest.approx(5e-6) and told["ImagingFrequency"] == 123.2
    assert (
        own["SourceFile"] == "a.h5" and own["Command"] == "mrirecon x" and own["Config"] == "a: 1"
    )
    assert own["Commit"] == "abc" and own["GeometryKnown"] is True and own["Notes"] == ["One note."]
    assert own["AchievedAcceleration"] == 2.5


def test_sidecar_leaves_out_what_is_unknown(result, tmp_path):
    header = replace(
        result.header, sequence=SequenceParameters(), vendor="", geometry=None, voxel=None
    )
    write_nifti(tmp_path / "a.nii.gz", replace(result, header=header))
    told = json.loads((tmp_path / "a.json").read_text())
    assert not {"EchoTime", "RepetitionTime", "Manufacturer", "SliceThickness"} & told.keys()
    assert told["mrirecon"]["GeometryKnown"] is False


def test_png_is_a_picture(result, tmp_path):
    write_png(tmp_path / "a.png", result)
    picture = imread(tmp_path / "a.png")
    assert min(picture.shape[:2]) > 200 and picture[..., :3].std() > 0.05


EVERY_FILE = [(name, suffix) for name, form in WRITERS.items() for suffix in form.outputs]


@pytest.mark.parametrize(("name", "suffix"), EVERY_FILE)
def test_nothing_is_overwritten_unasked(name, suffix, result, tmp_path):
    """Neither the path that a writer is given nor what it writes beside it."""
    suffixes, write = list(WRITERS[name].outputs), WRITERS[name].write
    path = tmp_path / f"a{suffix}"
    path.write_text("precious")
    for overwrite, reason in ((False, "exists already"), (True, "is not replaced, whatever")):
        with pytest.raises(OutputError, match=reason):
            write(tmp_path / f"a{suffixes[0]}", result, overwrite=overwrite)
        assert path.read_text() == "precious" and list(tmp_path.iterdir()) == [path]
    path.unlink()
    write(tmp_path / f"a{suffixes[0]}", result)
    before = path.stat().st_ino
    with pytest.raises(OutputError, match="exists already"):
        write(tmp_path / f"a{suffixes[0]}", result)
    write(tmp_path / f"a{suffixes[0]}", result, overwrite=True)
    assert path.stat().st_ino != before
    assert {f.name for f in tmp_path.iterdir()} == {f"a{end}" for end in suffixes}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_in_the_way_of_the_folder_is_explained(name, result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        WRITERS[name].write(tmp_path / "file" / f"a{WRITERS[name].suffix}", result)


def test_an_old_folder_stays_until_the_new_one_is_complete(result, tmp_path):
    write_dicom(tmp_path / "a", result)
    old = sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*"))
    again = atomic_folder(tmp_path / "a", Kind.DICOM, overwrite=True)
    with pytest.raises(RuntimeError), again as part:
        (part / "half").write_text("")
        raise RuntimeError
    assert sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*")) == old
    with atomic_folder(tmp_path / "a", Kind.DICOM, overwrite=True) as part:
        (part / "new").write_text("")
    assert [str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*")] == ["a", "a/new"]


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError), atomic(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="cannot be written"),
        atomic(tmp_path / "file" / "a.txt") as part,
    ):
        part.write_text("x")
