import h5py
import nibabel
import numpy as np
import pytest
import torch
from matplotlib.image import imread

from mrirecon.errors import OutputError
from mrirecon.files import atomic
from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.writers import WRITERS, write_hdf5, write_nifti, write_png
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
    from dataclasses import replace

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


def test_png_is_a_picture(result, tmp_path):
    write_png(tmp_path / "a.png", result)
    picture = imread(tmp_path / "a.png")
    assert min(picture.shape[:2]) > 200 and picture[..., :3].std() > 0.05


@pytest.mark.parametrize("name", ["hdf5", "nifti", "png"])
def test_nothing_is_overwritten_unasked(name, result, tmp_path):
    suffix, write = WRITERS[name]
    path = tmp_path / f"a{suffix}"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        write(path, result)
    assert path.read_text() == "precious"
    write(path, result, overwrite=True)
    assert path.read_bytes()[:8] != b"precious" and [f.name for f in tmp_path.iterdir()] == [
        path.name
    ]


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
