"""What tells how uncertain an image is lies beside it in every format, at the same place."""

import json
from dataclasses import replace

import h5py
import ismrmrd
import nibabel
import numpy as np
import pydicom
import pytest
import torch

from mrirecon.errors import OutputError
from mrirecon.image_series import ImageSeries
from mrirecon.reconstruction import Companion, Provenance
from mrirecon.scan import Frame
from mrirecon.writers import WRITERS
from mrirecon.writers.qc import page
from mrirecon.writers.quantities import NAMINGS
from tests import scenes

SPREAD, PROMISE = "8 pseudo-replicas of the noise, measured (seed 0)", "90 % of the voxels"
VOLUMES = {name: 1.0 + number for number, name in enumerate(("mean", "std", "lower", "upper"))}


@pytest.fixture(params=[1, 2])
def images(request):
    header = scenes.scan(slices=3).header
    frames = tuple(Frame(repetition=i) for i in range(request.param))
    generator = torch.Generator().manual_seed(0)
    shape = (request.param, 3, 40, 36)
    companions = tuple(
        Companion(name, size * torch.rand(shape, generator=generator))
        for name, size in VOLUMES.items()
    )
    return ImageSeries(
        torch.rand(shape, generator=generator),
        replace(header, frames=frames),
        Provenance("a.h5", "CgSense", "mrirecon x", spread=SPREAD, calibration=PROMISE),
        companions=companions,
    )


def volume(images, name):
    return next(one.volume for one in images.companions if one.quantity == name).numpy()


def test_nifti_has_a_file_for_each_at_the_same_place(images, tmp_path):
    images.save(tmp_path / "a.nii.gz")
    image = nibabel.load(tmp_path / "a.nii.gz")
    for name in VOLUMES:
        beside = nibabel.load(tmp_path / f"a_{name}.nii.gz")
        np.testing.assert_array_equal(beside.affine, image.affine)
        assert beside.header["sform_code"] == 1
        found = beside.get_fdata()[..., None] if beside.ndim == 3 else beside.get_fdata()
        np.testing.assert_array_equal(found.T[: len(images.volume)], volume(images, name))
        assert beside.header["intent_name"].item().decode() == NAMINGS[name].words[:15]
        told = json.loads((tmp_path / f"a_{name}.json").read_text())
        assert told["mrirecon"]["Quantity"] == NAMINGS[name].words
        assert told["mrirecon"]["Meaning"] == (SPREAD if name in ("mean", "std") else PROMISE)
    assert "Quantity" not in json.loads((tmp_path / "a.json").read_text())["mrirecon"]


def test_dicom_has_a_series_for_each_at_the_same_place(images, tmp_path):
    images.save(tmp_path, formats=("dicom",))
    (first,) = (one for one in tmp_path.iterdir() if one.name == "subject0000_t2_dicom")
    seen = set()
    for name in VOLUMES:
        files = sorted((tmp_path / f"subject0000_t2_{name}_dicom").iterdir())
        for number, (one, image) in enumerate(zip(files, sorted(first.iterdir()), strict=True)):
            found, plain = pydicom.dcmread(one), pydicom.dcmread(image)
            for tag in ("StudyInstanceUID", "FrameOfReferenceUID", "ImagePositionPatient",
                        "ImageOrientationPatient", "PixelSpacing"):  # fmt: skip
                assert found[tag].value == plain[tag].value, tag
            frame, index = divmod(number, 3)
            stored = found.pixel_array * float(found.RescaleSlope)
            np.testing.assert_allclose(
                stored, volume(images, name)[frame, index], atol=float(found.RescaleSlope)
            )
        assert found.SeriesInstanceUID != plain.SeriesInstanceUID
        assert found.SeriesNumber != plain.SeriesNumber and found.ImageType[0] == "DERIVED"
        assert NAMINGS[name].words in found.SeriesDescription
        assert (SPREAD if name in ("mean", "std") else PROMISE) in found.DerivationDescription
        seen |= {(found.SeriesInstanceUID, found.SeriesNumber, tuple(found.ImageType))}
    assert len(seen) == 4


def test_hdf5_and_mrd_hold_them_in_the_same_file(images, tmp_path):
    images.save(tmp_path, formats=("hdf5", "mrd"))
    with h5py.File(tmp_path / "subject0000_t2.h5") as file:
        for name in VOLUMES:
            stored = file[NAMINGS[name].dataset]
            np.testing.assert_array_equal(np.reshape(stored, images.volume.shape),
                                          volume(images, name))  # fmt: skip
            assert stored.shape == file["reconstruction"].shape
        assert file["standard_deviation"].attrs["meaning"] == SPREAD
    with ismrmrd.Dataset(
        str(tmp_path / "subject0000_t2_images.h5"), create_if_needed=False
    ) as data:
        numbers = set()
        for series, name in enumerate(VOLUMES, start=1):
            image, plain = data.read_image(f"image_{series}", 2), data.read_image("image_0", 2)
            np.testing.assert_array_equal(image.data[0, 0].T, volume(images, name)[0, 2])
            assert tuple(image.position) == tuple(plain.position)
            assert NAMINGS[name].words in image.attribute_string
            numbers.add(image.image_series_index)
        assert len(numbers | {plain.image_series_index}) == 5


def test_images_tell_them_in_python(images):
    np.testing.assert_array_equal(images.std, volume(images, "std").squeeze())
    np.testing.assert_array_equal(images.mean, volume(images, "mean").squeeze())
    np.testing.assert_array_equal(images.bounds[1], volume(images, "upper").squeeze())
    alone = replace(images, companions=())
    assert alone.std is None and alone.mean is None and alone.bounds is None


def test_the_phase_stands_beside_them(images, tmp_path):
    phased = replace(images, complex_volume=torch.polar(images.volume, images.volume))
    phased.save(tmp_path, formats=("nifti", "dicom"))
    names = {one.name.removeprefix("subject0000_t2_") for one in tmp_path.iterdir()}
    assert {"part-mag.nii.gz", "part-phase.json", "std.nii.gz", "std.json", "upper_dicom",
            "phase_dicom", "dicom"} < names  # fmt: skip
    assert not any("part-mag_std" in name for name in names)


def test_the_quality_page_shows_them(images):
    told = replace(images.provenance, readouts=("volume: 3 ml (2 to 4 ml)",))
    shown = page(replace(images, provenance=told))
    assert f"Standard deviation: {SPREAD}." in shown and f"Upper bound: {PROMISE}." in shown
    assert "<li>volume: 3 ml (2 to 4 ml)</li>" in shown
    assert "Uncertainty" not in page(replace(images, companions=()))


@pytest.mark.parametrize("name", ["nifti", "dicom", "png"])
def test_nothing_that_stands_beside_is_overwritten_unasked(name, images, tmp_path):
    """Before the image itself is written."""
    for suffix in WRITERS[name].files(False, ["std"]).keys() - WRITERS[name].outputs.keys():
        path = tmp_path / f"a{suffix}"
        path.write_text("precious")
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=r"exists already|is not replaced, whatever"):
                WRITERS[name].write(tmp_path / f"a{WRITERS[name].suffix}", images,
                                    overwrite=overwrite)  # fmt: skip
            assert path.read_text() == "precious" and list(tmp_path.iterdir()) == [path]
        path.unlink()
