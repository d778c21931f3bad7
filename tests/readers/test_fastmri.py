import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.fourier import ifft
from mrirecon.image import center_crop, root_sum_of_squares
from mrirecon.readers import open_scan
from tests.readers.mrd_files import XML

MEASURED = Path(__file__).parents[3] / "shared" / "data"
HEADER = {
    "vendor": "x", "full": 32, "w": 20, "view_full": 64.0, "view_w": 40.0, "y": 16, "x": 16,
    "view_y": 32.0, "view_x": 32.0, "trajectory": "cartesian", "maximum": 19, "center": 10,
    "calibration": "other", "etl": 1,
}  # fmt: skip


def random(*shape, seed=0):
    x = np.random.default_rng(seed).standard_normal((2, *shape)).astype(np.float32)
    return x[0] + 1j * x[1]


@pytest.fixture
def write(tmp_path):
    def make(attrs=None, header=None, **datasets):
        path = tmp_path / "file1000001.h5"
        with h5py.File(path, "w") as file:
            for name, value in datasets.items():
                file[name] = value
            if header is not None:
                file["ismrmrd_header"] = XML.format(**(HEADER | header)).encode()
            file.attrs.update(attrs or {})
        return path

    return make


def test_training_file(write):
    kspace, target = random(3, 4, 32, 20), np.abs(random(3, 16, 16)).astype(np.float32)
    attrs = {"max": 7.5, "patient_id": "p1", "acquisition": "AXT2"}
    path = write(attrs, {}, kspace=kspace, reconstruction_rss=target)
    before = path.read_bytes()
    scan = open_scan(path)
    header = scan.header
    assert (header.format, header.slices, header.coils) == ("fastMRI", 3, 4)
    assert header.grid == header.canvas == (32, 20) and header.matrix == (16, 16)
    assert header.voxel == (2.0, 2.0, 5.0) and header.geometry is None
    assert (header.subject, header.acquisition, header.whitened) == ("p1", "AXT2", False)
    assert header.sequence.repetition_time == 3000.0
    sample = pickle.loads(pickle.dumps(scan))[2]
    assert np.array_equal(sample.kspace.numpy(), kspace[2])
    assert np.array_equal(sample.target.numpy(), target[2])
    assert sample.mask.shape == (1, 20) and sample.mask.all()
    assert sample.peak.item() == 7.5 and sample.acs.tolist() == [32, 20]
    assert sample.key == ("file1000001.h5", 2)
    assert path.read_bytes() == before


def test_single_coil_file_has_a_coil_axis_and_its_own_target(write):
    kspace = random(2, 32, 20)
    esc, rss = np.ones((2, 16, 16), np.float32), np.zeros((2, 16, 16), np.float32)
    sample = open_scan(
        write(header={}, kspace=kspace, reconstruction_esc=esc, reconstruction_rss=rss)
    )[1]
    assert np.array_equal(sample.kspace.numpy(), kspace[1:2])
    assert sample.target.min() == 1.0 and sample.peak.item() == 1.0


def test_test_file(write):
    mask = np.arange(20) % 4 == 0
    mask[8:13] = True
    kspace = random(2, 3, 32, 20) * mask
    scan = open_scan(write({"num_low_frequency": 4}, {}, kspace=kspace, mask=mask))
    sample = scan[0]
    assert sample.mask.tolist() == [mask.tolist()]
    assert sample.acs.tolist() == [32, 4]  # told; the mask alone would say 5
    assert sample.target is None and sample.peak is None
    assert np.array_equal(sample.kspace.numpy(), kspace[0])


@pytest.mark.parametrize("told", [None, 0, 9, 40])
def test_wrong_or_missing_calibration_size_is_found_in_the_mask(write, told):
    mask = np.arange(20) % 4 == 0
    mask[8:13] = True
    attrs = {} if told is None else {"num_low_frequency": told}
    sample = open_scan(write(attrs, {}, kspace=random(1, 3, 32, 20), mask=mask))[0]
    assert sample.acs.tolist() == [32, 5]


def test_padding_of_the_header_is_unmeasured(write):
    # fastMRI: left = encoded // 2 - center, right = left + maximum + 1
    sample = open_scan(write(header={"center": 8, "maximum": 14}, kspace=random(1, 2, 32, 20)))[0]
    assert sample.mask.tolist() == [[2 <= column < 17 for column in range(20)]]
    assert not sample.kspace[..., :2].any() and not sample.kspace[..., 17:].any()


def test_impossible_limits_are_told_and_ignored(write):
    scan = open_scan(write(header={"center": -90}, kspace=random(1, 2, 32, 20)))
    assert scan[0].mask.all() and any("impossible" in note for note in scan.header.notes)


def test_narrow_volumes_are_cropped_square(write):
    target = np.ones((1, 24, 24), np.float32)
    for datasets in ({}, {"reconstruction_rss": target}):
        scan = open_scan(write(header={"x": 24, "y": 24}, kspace=random(1, 2, 32, 20), **datasets))
        assert scan.header.matrix == (20, 20)
        assert any("as fastMRI does" in note for note in scan.header.notes)
        assert not datasets or scan[0].target.shape == (20, 20)


@pytest.mark.parametrize("shape", [(20,), (1, 20), (32, 20)])
def test_without_header_a_mask_means_prospective_undersampling(write, shape):
    mask = np.random.default_rng(1).random(shape) < 0.5
    kspace = random(2, 3, 32, 20)
    scan = open_scan(write(kspace=kspace, mask=mask.astype(np.uint8)))
    sample = scan[1]
    assert scan.header.format == "fastMRI without header" and scan.header.matrix == (32, 20)
    assert sample.mask.tolist() == mask.reshape(-1, 20).tolist()
    assert np.array_equal(sample.kspace.numpy(), kspace[1] * mask)


def test_without_header_the_target_tells_the_matrix_and_the_peak(write):
    target = np.abs(random(2, 12, 10)).astype(np.float64)
    scan = open_scan(write(kspace=random(2, 3, 32, 20), reconstruction=target))
    assert scan.header.matrix == (12, 10)
    assert scan[0].peak.item() == scan[1].peak.item() == pytest.approx(target.max())


def test_zero_lines_and_rows_are_unmeasured(write):
    kspace = random(3, 2, 32, 20)
    kspace[..., :3] = kspace[..., 17:] = 0
    scan = open_scan(write(kspace=kspace))
    assert scan[0].mask.tolist() == [[3 <= column < 17 for column in range(20)]]
    assert any("6 of 20 columns" in note and "edges" in note for note in scan.header.notes)
    kspace[..., :4, :] = 0
    mask = open_scan(write(kspace=kspace))[0].mask
    assert mask.shape == (32, 20) and not mask[:4].any() and mask[4:, 3:17].all()


def test_zeros_inside_are_prospective_undersampling(write):
    lines = np.arange(20) % 2 == 0
    scan = open_scan(write(kspace=random(2, 2, 32, 20) * lines))
    assert scan[0].mask.tolist() == [lines.tolist()]
    assert any("between measured ones" in note for note in scan.header.notes)
    points = np.random.default_rng(2).random((32, 20)) < 0.3
    scan = open_scan(write(kspace=random(2, 2, 32, 20) * points))
    assert scan[0].mask.tolist() == points.tolist()
    assert any("scattered" in note for note in scan.header.notes)


def test_slices_with_different_lines_have_masks_of_their_own(write):
    kspace = random(3, 2, 16, 12)
    for index in range(3):
        kspace[index, :, :, index::3] = 0  # together the slices cover every line
    scan = open_scan(write(kspace=kspace))
    for index in range(3):
        assert scan[index].mask.tolist() == [[column % 3 != index for column in range(12)]]
        assert np.array_equal(scan[index].kspace.numpy(), kspace[index])
    assert any("its own mask" in note for note in scan.header.notes)


def test_a_mask_explains_zeros_and_padding_is_found_within_it(write):
    mask = np.arange(20) % 2 == 0
    kspace = random(2, 2, 32, 20) * mask
    scan = open_scan(write(kspace=kspace, mask=mask))
    assert not any("exactly zero" in note for note in scan.header.notes)
    kspace[..., :5] = 0
    kspace[..., :6, :] = 0
    sample = open_scan(write(kspace=kspace, mask=mask))[0]
    expected = np.outer(np.arange(32) >= 6, mask & (np.arange(20) >= 5))
    assert sample.mask.tolist() == expected.tolist()


def test_an_empty_slice_or_a_few_zeros_do_not_change_the_mask(write):
    kspace = random(5, 2, 32, 20)
    kspace[2] = 0
    kspace[:, :, 3, 4] = 0
    assert open_scan(write(kspace=kspace))[2].mask.all()
    assert open_scan(write(kspace=np.zeros((1, 2, 8, 8), np.complex64)))[0].mask.all()


@pytest.mark.parametrize("kind", ["complex128", "pairs", "fields"])
def test_other_number_formats(write, kind):
    kspace = random(2, 3, 8, 6)
    if kind == "complex128":
        stored = kspace.astype(np.complex128)
    elif kind == "pairs":
        stored = np.stack([kspace.real, kspace.imag], axis=-1)
    else:
        stored = np.zeros(kspace.shape, [("real", "<f4"), ("imag", "<f4")])
        stored["real"], stored["imag"] = kspace.real, kspace.imag
    scan = open_scan(write(kspace=stored))
    assert np.array_equal(scan[1].kspace.numpy(), kspace[1])
    assert any("converted" in note for note in scan.header.notes)


@pytest.mark.parametrize(
    ("datasets", "words"),
    [
        ({"mask": np.ones(21, bool)}, r"'mask' is \(21,\) bool, but .* \(20,\) or \(32, 20\)"),
        ({"mask": np.zeros(20, bool)}, "leave only samples that are zero"),
        ({"kspace": random(2, 3, 4, 5, 6)}, r"\(2, 3, 4, 5, 6\) complex64, expected complex"),
        ({"kspace": np.ones((2, 3, 4, 26), np.float32)}, "float32, expected complex"),
        ({"kspace": random(32, 20)}, r"\(32, 20\)"),
        ({"kspace": random(0, 2, 32, 20)}, r"\(0, 2, 32, 20\)"),
        ({"trajectory": np.ones(3)}, "an axis of 2 coordinates"),
        ({"ismrmrd_header": b"<ismrmrdHeader>"}, "cannot be parsed"),
        ({"ismrmrd_header": b"<ismrmrdHeader></ismrmrdHeader>"}, "has no <encoding>"),
    ],
)
def test_what_does_not_fit_is_refused(write, datasets, words):
    path = write(**({"kspace": random(2, 3, 32, 20)} | datasets))
    with pytest.raises(RawDataError, match=words) as error:
        open_scan(path)
    assert str(error.value).startswith(str(path))


def test_values_that_are_not_finite_are_refused(write):
    kspace = random(9, 2, 8, 8)
    kspace[0, 0, 0, 0] = np.nan  # not among the slices that are looked at first
    scan = open_scan(write(kspace=kspace))
    with pytest.raises(RawDataError, match=r"slice 0 .* not finite"):
        scan[0]
    with pytest.raises(IndexError):
        scan[-1]


@pytest.mark.skipif(not MEASURED.is_dir(), reason="no measured data here")
@pytest.mark.parametrize(
    ("name", "acs"),
    [("brain_t2_4coil", (256, 256)), ("brain_poisson_8coil", (24, 24))],
)
def test_measured_files(name, acs):
    scan = open_scan(MEASURED / f"{name}.h5")
    sample = scan[0]
    assert tuple(sample.acs.tolist()) == acs
    image = center_crop(root_sum_of_squares(ifft(sample.kspace)), scan.header.matrix)
    torch.testing.assert_close(image, sample.target, rtol=1e-4, atol=1e-4 * sample.peak.item())
