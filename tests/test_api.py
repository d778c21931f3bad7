"""``import mrirecon as mr``: from files and arrays to images in a few lines."""

import re
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

import mrirecon as mr
from mrirecon.errors import ConfigError, OutputError, ShapeError
from mrirecon.fourier import fft
from mrirecon.inference import reconstruct_scan
from mrirecon.memory_scan import as_kspace
from mrirecon.privacy import identified
from mrirecon.scan import Frame
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.types import check_fits
from tests import scenes
from tests.test_names import OLD

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def scan():
    return scenes.scan()


@pytest.fixture(scope="module")
def raw(tmp_path_factory, scan):
    path = tmp_path_factory.mktemp("raw") / scan.header.name
    write_ismrmrd(path, scan, AcquisitionOptions(sampling=scenes.PATTERN))
    return path


def test_everything_that_is_offered_is_there():
    assert sorted(mr.__all__) == sorted(set(mr.__all__))
    assert all(callable(getattr(mr, name)) for name in mr.__all__)


def test_the_readme_uses_what_is_offered():
    used = set(re.findall(r"\bmr\.(\w+)", README))
    assert used and used <= set(mr.__all__)


def test_a_raw_file_becomes_images_as_the_layers_below_make_them(raw):
    method = mr.CgSense(mr.Espirit(), regularization=1e-3)
    series = mr.reconstruct(raw, method)
    opened = mr.open_scan(raw)
    expected = reconstruct_scan(opened, method, mr.Compose([mr.Normalize()]))
    assert np.array_equal(series.array, expected.numpy())
    assert np.array_equal(series.affine, opened.header.affine())
    assert series.header.geometry == opened.header.geometry
    assert 1.3 < series.provenance.acceleration < 2
    assert np.array_equal(np.asarray(series), series.array)
    assert np.asarray(series, dtype=np.float64).dtype == np.float64
    patient = opened.header.subject
    assert patient and patient not in series.header.subject  # a pseudonym
    assert "CgSense" in repr(series)


def test_methods_are_known_by_name_and_by_checkpoint(raw):
    assert mr.reconstruct(raw).provenance.method == "CgSense"
    assert mr.reconstruct(raw, "zero_filled").provenance.method == "ZeroFilled"
    method = mr.load(OLD / "last.ckpt")
    assert mr.reconstruct(raw, method).provenance.checkpoint.startswith("last.ckpt (SHA-256 ")
    with pytest.raises(ConfigError, match="learned method; load a checkpoint"):
        mr.load("varnet")
    with pytest.raises(ConfigError, match=r"nor a shipped method; found .*cg_sense"):
        mr.load("cg_sens")


def test_images_tell_the_weights_that_made_them(raw, tmp_path):
    """Not those that lie there by now, if any do."""
    file = tmp_path / "last.ckpt"
    file.write_bytes((OLD / "last.ckpt").read_bytes())
    expected = identified(file).rpartition("/")[2]
    method = mr.load(file)
    file.write_bytes(b"other weights")
    assert mr.reconstruct(raw, method).provenance.checkpoint == expected
    file.unlink()
    assert mr.reconstruct(raw, method).provenance.checkpoint == expected


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, lambda x: np.asarray(x)[None]])
def test_an_array_is_a_scan(scan, kind):
    sample = scan[0]
    kspace = kind(sample.kspace)
    images = mr.reconstruct(kspace, mr.ZeroFilled()).array
    expected = mr.reconstruct(sample, mr.ZeroFilled()).array
    assert images.shape == (1, 40, 36) and np.allclose(images, expected, rtol=1e-5, atol=1e-7)


def test_the_mask_of_an_array_is_where_it_is_not_zero():
    kspace = torch.randn(2, 3, 8, 6, dtype=torch.complex64)
    kspace[0, ..., 1::2] = 0
    kspace[1, :, 2, 3] = 0
    first, second = mr.MemoryScan(kspace)
    assert first.mask.tolist() == [[True, False] * 3]
    (_, empty) = mr.MemoryScan(torch.cat([kspace[:1], 0 * kspace[:1]]))
    assert empty.mask.equal(first.mask)
    assert second.mask.shape == (8, 6) and second.mask.logical_not().nonzero().tolist() == [[2, 3]]


def test_undersampling_selection_and_phase(scan):
    series = mr.reconstruct(
        scan, sampling=mr.EquispacedLines(2, acs=12), selection=mr.Selection(slices=1), phase=True
    )
    assert series.array.shape == (1, 40, 36) and series.array.dtype == np.complex64
    assert np.abs(series.array.imag).max() > 0
    score = mr.evaluate(series, scan[1].target)
    assert score.nmse < 0.2
    assert not any("keeps" in note for note in series.header.notes)
    few = mr.reconstruct(scan, sampling=mr.EquispacedFractionLines(4, acs=9))
    told = " ".join(few.header.notes)
    assert "keeps the 9 central lines of 36 and none outside" in told
    assert "ESPIRiT takes a kernel of 5 instead of 6" in told


def test_scores_of_arrays_are_those_of_the_metrics():
    reference = np.random.default_rng(0).random((2, 16, 16), np.float32)
    score = mr.evaluate(1.1 * reference, reference)
    assert score.nmse == pytest.approx(0.01, rel=1e-4)
    assert mr.evaluate(reference[0], reference[0]).ssim == pytest.approx(1)
    with pytest.raises(ShapeError, match=r"images: expected an array \(slice, y, x\)"):
        mr.evaluate(reference[None], reference)


def test_maps_of_an_array_are_those_of_the_coils():
    y, x = np.mgrid[-16:16, -16:16] / 16.0
    coils = np.stack([np.exp(1j * a * x - (y - b) ** 2) for a, b in ((1, 0), (0, 1), (2, -1))])
    image = (y**2 + x**2 < 0.6).astype(float)
    kspace = fft(torch.from_numpy((image * coils).astype(np.complex64)))
    maps = mr.espirit(kspace.numpy(), mr.Espirit(crop=0.0))
    assert maps.shape == coils.shape and maps.dtype == np.complex64
    exact = coils / np.linalg.norm(coils, axis=0)
    agreement = np.abs((maps * exact.conj()).sum(0))[image > 0]
    assert agreement.min() > 0.99


@pytest.mark.parametrize("name", ["one.nii.gz", "one.h5", "one.png"])
def test_a_series_is_saved_by_its_ending_and_never_over_what_is_not_ours(scan, tmp_path, name):
    series = mr.reconstruct(scan, mr.ZeroFilled())
    path = series.save(tmp_path / "new" / name)
    assert path.is_file()
    if name.endswith(".nii.gz"):
        stored = nibabel.load(path)
        assert np.allclose(stored.affine, series.affine)
        assert np.allclose(stored.get_fdata(), series.array.transpose(2, 1, 0), rtol=1e-6)
    with pytest.raises(OutputError):
        series.save(path)
    series.save(path, overwrite=True)
    foreign = tmp_path / name
    foreign.write_bytes(b"mine")
    with pytest.raises(OutputError):
        series.save(foreign, overwrite=True)
    assert foreign.read_bytes() == b"mine"


def test_a_series_is_saved_into_a_folder(scan, tmp_path):
    series = mr.reconstruct(scan, mr.ZeroFilled(), phase=False)
    series.save(tmp_path / "out", formats=("nifti", "png", "dicom"))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"subject0000_t2{e}" for e in (".json", ".nii.gz", ".png", "_dicom")]
    (tmp_path / "out" / "subject0000_t2.h5").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"subject0000_t2\.h5"):
        series.save(tmp_path / "out", formats=("mrd", "hdf5"), overwrite=True)
    assert not (tmp_path / "out" / "subject0000_t2_images.h5").exists()  # all or nothing
    with pytest.raises(ConfigError, match="tells no format"):
        series.save(tmp_path / "image.tiff")
    with pytest.raises(ConfigError, match="formats: expected some of hdf5"):
        series.save(tmp_path / "out", formats=("tiff",))


def test_a_notebook_shows_a_picture(scan):
    series = mr.reconstruct(scan, mr.ZeroFilled())
    assert series._repr_png_() == series.show()._repr_png_()
    assert series._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (np.zeros((3, 4)), r"got \(3, 4\) float64"),
        (np.zeros((2, 4, 4)), r"got \(2, 4, 4\) float64"),
        (np.zeros((1, 1, 2, 4, 4), np.complex64), r"got \(1, 1, 2, 4, 4\) complex64"),
        (np.array(["a"]), r"got \(1,\) <U1"),
        ([1, 2], "got list"),
    ],
)
def test_what_is_no_kspace_is_refused(source, found):
    with pytest.raises(ShapeError, match=found):
        as_kspace(source)


def test_a_scan_of_several_series_is_not_mixed_up():
    class Echoes(mr.Scan):
        def __init__(self):
            one = mr.MemoryScan(torch.ones(2, 8, 6, dtype=torch.complex64))
            self.header = replace(one.header, frames=(Frame(0), Frame(1)))

        def _read(self, index):
            kspace = torch.full((2, 8, 6), 1.0 + index, dtype=torch.complex64)
            return mr.Sample(kspace, torch.ones(1, 6, dtype=torch.bool))

    with pytest.raises(ConfigError, match=r"2 series \(echo-1, echo-2\).*reconstruct_series"):
        mr.reconstruct(Echoes(), mr.ZeroFilled())
    first, second = mr.reconstruct_series(Echoes(), mr.ZeroFilled())
    assert np.allclose(second.array, 2 * first.array, rtol=1e-6)
    assert (first.suffix, second.suffix) == ("_echo-1", "_echo-2")


@pytest.mark.parametrize(
    ("kspace", "mask", "words"),
    [
        (np.zeros((2, 4, 4), np.complex64), torch.ones(1, 4, dtype=torch.bool), "MemoryScan"),
        (torch.zeros(2, 4, 4), torch.ones(1, 4, dtype=torch.bool), "complex tensor, got torch"),
        (torch.zeros(2, 4, 4) + 0j, torch.ones(1, 4), "bool tensor, got torch.float32"),
        (torch.zeros(2, 4, 4) + 0j, torch.ones(1, 5, dtype=torch.bool), r"4\) and \(1, 5\)"),
        (torch.zeros(4, 4) + 0j, torch.ones(1, 4, dtype=torch.bool), r"\(4, 4\) and \(1, 4\)"),
    ],
)  # fmt: skip
def test_a_sample_refuses_what_does_not_fit(kspace, mask, words):
    with pytest.raises(ShapeError, match=words):
        check_fits(kspace, mask)
