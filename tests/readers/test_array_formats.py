"""Every public format of k-space arrays, read from a twin whose k-space is known."""

import pickle

import h5py
import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_crop, interpolate, root_sum_of_squares
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.readers.hdf5.opening import read_whole_axes
from mrirecon.scan import Frame
from tests.readers.array_files import (
    bart,
    calgary_campinas,
    cmrxrecon,
    m4raw,
    old_mat,
    prostate,
    random,
    skm_tea,
    write_hdf5,
    xml,
)


def noted(scan, words):
    return any(words in note for note in scan.header.notes)


def refused(path, words, **reading):
    with pytest.raises(RawDataError, match=words) as error:
        open_scan(path, ReadOptions(**reading))
    assert str(error.value).startswith(str(path))


def same(sample, kspace):
    return np.array_equal(sample.kspace.numpy(), kspace)


def test_m4raw(tmp_path):
    kspace = random(3, 4, 16, 16)
    kspace[..., :3] = kspace[..., 14:] = 0
    scan = open_scan(m4raw(tmp_path / "2022061003_T201.h5", kspace))
    assert scan.header.format == "fastMRI" and scan.header.subject == "2022061003"
    assert same(scan[1], kspace[1]) and noted(scan, "M4Raw")
    assert scan[1].mask.tolist() == [[3 <= column < 14 for column in range(16)]]


def averages():
    kspace = random(1, 2, 3, 32, 21) + 0.1 * random(3, 2, 3, 32, 21, seed=1)
    kspace[[0, 2], ..., 1::2] = kspace[1, ..., ::2] = 0
    return kspace


def test_prostate_averages(tmp_path):
    stored = averages()
    calibration = random(2, 3, 32, 6)
    path = prostate(tmp_path / "file_prostate_AXT2_0001.h5", stored, calibration=calibration)
    scan = pickle.loads(pickle.dumps(open_scan(path)))
    header = scan.header
    assert (header.format, header.slices, header.coils) == ("fastMRI prostate", 2, 3)
    assert header.grid == (32, 21) and header.subject == "0001" and len(scan) == 2
    sample = scan[1]
    mean = (stored[0, 1] + stored[2, 1]) / 2 + stored[1, 1]
    torch.testing.assert_close(sample.kspace, torch.from_numpy(mean))
    assert sample.mask.shape == (1, 21) and sample.mask.all()
    assert sample.weights.tolist() == [[1.0 - 0.5 * (column % 2) for column in range(21)]]
    assert np.array_equal(sample.calibration.numpy(), calibration[1])
    assert noted(scan, "3 averages")


def test_prostate_reference_matches_the_interpolated_image(tmp_path):
    stored = averages()[:2]
    # as published: padded to the readout's size, transformed, flipped, cropped
    padded = torch.nn.functional.pad(torch.from_numpy(stored.sum(0)), (6, 5))
    published = center_crop(root_sum_of_squares(ifft(padded)).flip(-2), (16, 16))
    scan = open_scan(prostate(tmp_path / "a.h5", stored, target=published.numpy(), full=32))
    assert scan.header.canvas == (32, 32) and scan.header.matrix == (16, 16)
    sample = scan[1]
    assert sample.weights is None  # every line was measured once
    assert sample.peak.item() == pytest.approx(2.0 * (32 / 21) ** 0.5)
    image = root_sum_of_squares(interpolate(ifft(sample.kspace), (32, 32)))
    torch.testing.assert_close(center_crop(image, (16, 16)), sample.target)


def test_prostate_calibration_that_does_not_fit_is_left_out(tmp_path):
    path = prostate(tmp_path / "a.h5", averages(), calibration=random(2, 9, 32, 6))
    scan = open_scan(path)
    assert scan[0].calibration is None and noted(scan, "'calibration_data' (2, 9, 32, 6) was left")


def test_averages_with_an_empty_slice(tmp_path):
    stored = averages()
    stored[:, 0] = 0
    sample = open_scan(prostate(tmp_path / "a.h5", stored))[0]
    assert sample.mask.all() and not sample.kspace.any() and sample.weights.min() == 1.0


def test_echo_planar_and_radial_scans_of_fastmri_are_refused(tmp_path):
    path = prostate(tmp_path / "dwi.h5", random(50, 1, 2, 8, 6))
    refused(path, "diffusion .* echo-planar")
    stack = np.zeros((2, 1, 8, 6, 2))
    path = write_hdf5(tmp_path / "breast.h5", kspace=stack, temptv=np.zeros(3))
    refused(path, r"'kspace' \(2, 1, 8, 6, 2\) is a radial stack of stars \(fastMRI breast\)")
    refused(path, "radial stack", axes="slice coil h w")
    path = write_hdf5(tmp_path / "breast2.h5", kspace=np.zeros((1, 1, 640, 288, 2)))
    refused(path, "radial stack")


@pytest.mark.parametrize(("y", "z"), [(12, 20), (11, 20), (12, 13), (11, 13)])
def test_calgary_campinas(tmp_path, y, z):
    kept = int(np.ceil(0.85 * z))
    kspace = torch.from_numpy(random(3, 12, y, z))
    kspace[..., kept:] = 0
    images = ifft(kspace)
    path = calgary_campinas(tmp_path / "e14089s3_P53248.7.h5", images.numpy())
    with h5py.File(path) as file:
        raw = file["kspace"][1]
    published = np.fft.ifft2(raw[..., ::2] + 1j * raw[..., 1::2], axes=(0, 1))
    scan = open_scan(path)
    header = scan.header
    assert (header.format, header.slices, header.coils) == ("Calgary-Campinas", 3, 12)
    assert header.grid == (y, z) and header.volumetric
    sample = pickle.loads(pickle.dumps(scan))[1]
    torch.testing.assert_close(sample.kspace, kspace[1], rtol=1e-4, atol=1e-4)
    magnitude = torch.from_numpy(np.abs(np.moveaxis(published, -1, 0))).float()
    torch.testing.assert_close(ifft(sample.kspace).abs(), magnitude, rtol=1e-4, atol=1e-5)
    assert sample.mask.tolist() == [[column < kept for column in range(z)]]


def test_calgary_campinas_leaves_out_what_is_stored_beyond_the_measured_part(tmp_path):
    images = random(2, 12, 8, 20)
    sample = open_scan(calgary_campinas(tmp_path / "a.h5", images))[0]
    assert not sample.kspace[..., 17:].any() and sample.kspace[..., :17].all()


def skm_tea_arrays(seed=0):
    kspace = random(2, 4, 3, 8, 6, seed=seed)
    kspace[..., 0, :2] = 0
    maps, target = random(4, 3, 8, 6), np.abs(random(2, 4, 8, 6)) + 0j
    return kspace, maps, target.astype(np.complex64)


def test_skm_tea(tmp_path):
    kspace, maps, target = skm_tea_arrays()
    maps[:, :, 0, 0] = 0
    scan = open_scan(skm_tea(tmp_path / "MTR_001.h5", kspace, maps, target))
    header = scan.header
    assert (header.format, header.slices, header.coils, len(scan)) == ("SKM-TEA", 4, 3, 8)
    assert header.frames == (Frame(), Frame(contrast=1)) and header.volumetric
    sample = pickle.loads(pickle.dumps(scan))[4 + 2]  # the second echo
    assert same(sample, kspace[1, 2])
    assert np.array_equal(sample.target.numpy(), target[1, 2].real)
    assert sample.peak.item() == target[1].real.max()
    norm = torch.linalg.vector_norm(sample.maps, dim=0)
    assert norm[0, 0] == 0 and torch.allclose(norm.flatten()[1:], torch.ones(47))
    aligned = (sample.maps.numpy() * maps[2].conj()).sum(0)[1:]
    np.testing.assert_allclose(aligned.real, np.linalg.norm(maps[2], axis=0)[1:], rtol=1e-5)
    assert noted(scan, "unit root-sum-of-squares") and noted(scan, "ARC")
    assert noted(scan, "masks were not applied: poisson_6.0x, poisson_8.0x")


def test_skm_tea_arrays_must_fit_together(tmp_path):
    kspace, maps, target = skm_tea_arrays()
    refused(skm_tea(tmp_path / "a.h5", kspace, maps[:, :2], target), "'maps' is .* expected")
    scan = open_scan(skm_tea(tmp_path / "b.h5", kspace, maps, target[:1]))
    assert scan[0].target is None and noted(scan, "'target' (4, 8, 6, 1, 1) complex64 was left")


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
@pytest.mark.parametrize("name", ["kspace_full", "kspace_sub04", "kus", "kspace", "Recon_ks"])
def test_cmrxrecon(tmp_path, name, dtype):
    kspace = random(3, 2, 4, 8, 6)
    scan = open_scan(cmrxrecon(tmp_path / "cine_sax.mat", name, kspace, dtype))
    header = scan.header
    assert (header.format, header.slices, header.coils, header.grid) == ("CMRxRecon", 2, 4, (8, 6))
    assert header.frames == tuple(Frame(phase=t) for t in range(3)) and noted(scan, "converted")
    for index in range(len(scan)):
        assert same(scan[index], kspace.reshape(6, 4, 8, 6)[index])


def test_cmrxrecon_without_time_and_with_one_coil(tmp_path):
    kspace = random(2, 4, 8, 6)
    scan = open_scan(cmrxrecon(tmp_path / "a.mat", "kspace_full", kspace))
    assert len(scan) == 2 and same(scan[1], kspace[1]) and noted(scan, "(slice, coil, w, h)")
    scan = open_scan(cmrxrecon(tmp_path / "b.mat", "kspace_single_full", kspace))
    assert len(scan) == 8 and scan.header.coils == 1 and same(scan[5], kspace[1, 1][None])
    reading = ReadOptions(axes="phase coil w h")
    scan = open_scan(tmp_path / "a.mat", reading)
    assert len(scan.header.frames) == 2 and same(scan[1], kspace[1])


def test_cmrxrecon_lines_that_differ_between_frames(tmp_path):
    kspace = random(4, 2, 3, 10, 12)
    for t in range(4):
        kspace[t, ..., np.arange(12) % 4 != t] = 0
    scan = open_scan(cmrxrecon(tmp_path / "a.mat", "kus", kspace))
    for index in range(8):
        assert scan[index].mask.tolist() == [[i % 4 == index // 2 for i in range(12)]]
        assert same(scan[index], kspace[index // 2, index % 2])
    assert noted(scan, "its own mask")


def test_cmrxrecon_masks_in_the_same_file(tmp_path):
    kspace = random(2, 2, 3, 10, 12)
    masks = np.random.default_rng(0).random((2, 12, 10)) < 0.5  # as HDF5 shows (time, ky, kx)
    kspace *= masks.swapaxes(1, 2)[:, None, None]
    path = cmrxrecon(tmp_path / "a.mat", "kus", kspace, mask=masks.astype(np.uint8))
    scan = open_scan(path)
    assert scan[2].mask.tolist() == masks[1].T.tolist()
    lines = np.arange(12) % 3 == 0
    path = cmrxrecon(tmp_path / "b.mat", "kspace_full", random(2, 2, 3, 10, 12),
                     mask04=np.broadcast_to(lines[:, None], (12, 10)).astype(float))  # fmt: skip
    assert open_scan(path)[3].mask.numpy().all(0).tolist() == lines.tolist()
    path = cmrxrecon(tmp_path / "c.mat", "kus", kspace, mask=np.ones((5, 12, 10)))
    refused(path, r"'mask' is \(5, 12, 10\) .* expected a mask of shape \(12,\) or \(12, 10\)")


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", ["kspace_full", "kspace_single_sub04"])
def test_old_mat_files_read_like_new_ones(tmp_path, name, dtype, compressed):
    kspace = random(3, 2, 4, 8, 6) if name == "kspace_full" else random(3, 2, 8, 6)
    path = tmp_path / "T1map.mat"
    old_mat(path, name, kspace.astype(dtype), do_compression=compressed)
    scan = pickle.loads(pickle.dumps(open_scan(path)))
    assert scan.header.frames == tuple(Frame(phase=t) for t in range(3))
    assert same(scan[5], kspace[2, 1].reshape(-1, 8, 6))


@pytest.mark.parametrize("suffix", [".cfl", ".hdr"])
def test_bart_slices_and_frames(tmp_path, suffix):
    kspace = random(2, 3, 4, 8, 6)  # echo, slice, coil, h, w
    dimensions = np.zeros((8, 6, 1, 4, 1, 2, 1, 1, 1, 1, 1, 1, 1, 3, 1, 1), np.complex64)
    dimensions[:, :, 0, :, 0, :, 0, 0, 0, 0, 0, 0, 0, :, 0, 0] = kspace.transpose(3, 4, 2, 0, 1)
    path = bart(tmp_path, dimensions).with_suffix(suffix)
    scan = open_scan(path)
    header = scan.header
    assert (header.format, header.slices, header.coils, header.grid) == ("BART", 3, 4, (8, 6))
    assert header.frames == (Frame(), Frame(contrast=1)) and header.name == path.name
    for index in range(6):
        assert same(scan[index], kspace[index // 3, index % 3])
    assert not header.volumetric


@pytest.mark.parametrize("read", [5, 6, 34])
def test_bart_volumes_are_split_along_the_readout(tmp_path, read):
    planes = torch.from_numpy(random(2, read, 3, 8, 7))  # time, x, coil, h, w
    planes[..., 0, :3] = 0
    kspace = fft(planes, axes=(1,)).numpy()
    dimensions = kspace.transpose(1, 3, 4, 2, 0)[:, :, :, :, *[None] * 6, :]
    scan = open_scan(bart(tmp_path, dimensions))
    assert scan.header.volumetric and scan.header.slices == read
    assert scan.header.frames == (Frame(), Frame(phase=1))
    for index in (0, 4, read, 2 * read - 1):
        expected = planes[index // read, index % read]
        sample = pickle.loads(pickle.dumps(scan))[index]
        torch.testing.assert_close(sample.kspace, expected, rtol=1e-5, atol=1e-5)
        assert sample.mask.numpy().tolist() == (expected[0] != 0).tolist()


def test_bart_plane_of_two_phase_encodings(tmp_path):
    kspace = random(4, 8, 6)
    scan = open_scan(bart(tmp_path, kspace.transpose(1, 2, 0)[None]))
    assert same(scan[0], kspace) and noted(scan, "READ is one") and not scan.header.volumetric


def test_bart_averages(tmp_path):
    kspace = random(2, 4, 8, 6)
    dimensions = kspace.transpose(2, 3, 1, 0)[:, :, None, :, *[None] * 10, :]
    sample = open_scan(bart(tmp_path, dimensions))[0]
    torch.testing.assert_close(sample.kspace, torch.from_numpy(kspace.mean(0)))
    assert sample.weights is None


def test_bart_files_that_do_not_belong_together(tmp_path):
    path = bart(tmp_path, random(8, 6, 1, 4))
    header = path.with_suffix(".hdr")
    path.write_bytes(path.read_bytes()[:-8])
    refused(path, r"has 1528 bytes, expected 1536 for the dimensions \(8, 6, 1, 4,")
    path.unlink()
    refused(header, "kspace.cfl is missing beside it")
    header.write_text("# Dimensions\n8 six 1\n")
    refused(header, "kspace.hdr says .* expected '# Dimensions'")
    lone = tmp_path / "lone.cfl"
    lone.write_bytes(b"1234")
    refused(lone, "expected .*BART")
    refused(bart(tmp_path, random(8, 6, 1, 4, 2), "maps"), "there are 2 along MAPS")
    slabs = random(2, 2, 2, 4).reshape(2, 2, 2, 2, *[1] * 9, 2)
    refused(bart(tmp_path, slabs, "slabs"), "2 slabs of 2 partitions")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
@pytest.mark.parametrize(
    ("axes", "order"),
    [
        (None, (0, 1, 2, 3)),
        ("h w coil slice", (2, 3, 1, 0)),
        ("coil, slice, w, h", (1, 0, 3, 2)),
        ("w slice h coil", (3, 0, 2, 1)),
    ],
)
def test_stated_axes(tmp_path, suffix, axes, order):
    kspace = random(2, 3, 8, 6)
    path = tmp_path / f"scan{suffix}"
    stored = np.ascontiguousarray(kspace.transpose(order))
    if suffix == ".h5":
        write_hdf5(path, kspace=stored)
    elif suffix == ".npy":
        np.save(path, stored)
    else:
        np.savez_compressed(path, kspace=stored)
    scan = pickle.loads(pickle.dumps(open_scan(path, ReadOptions(axes=axes))))
    assert (scan.header.slices, scan.header.coils, scan.header.grid) == (2, 3, (8, 6))
    for index in range(2):
        assert same(scan[index], kspace[index])
    assert scan[1].key == (path.name, 1)


def test_every_word_of_the_axes(tmp_path):
    kspace = random(2, 1, 3, 2, 2, 2, 4, 8, 6)
    path = tmp_path / "scan.npy"
    np.save(path, kspace)
    axes = "contrast set phase repetition average slice coil h w"
    scan = open_scan(path, ReadOptions(axes=axes))
    frames = [Frame(c, 0, p, r) for c in range(2) for p in range(3) for r in range(2)]
    assert scan.header.frames == tuple(frames) and len(scan) == 24
    expected = kspace.mean(axis=4).reshape(24, 4, 8, 6)
    torch.testing.assert_close(scan[17].kspace, torch.from_numpy(expected[17]))


def test_pairs_with_stated_axes(tmp_path):
    kspace = random(2, 3, 8, 6)
    path = tmp_path / "scan.npy"
    np.save(path, np.stack([kspace.real, kspace.imag], -1).astype(np.float64))
    assert same(open_scan(path, ReadOptions(axes="slice coil h w"))[1], kspace[1])
    assert same(open_scan(path)[1], kspace[1])


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ("slice coil h", "'w' is missing"),
        ("slice coil h x", "'x' is not known"),
        ("slice h h w", "'h' is there twice"),
        ("h w", "there are 2 words"),
        ("coil h w", r"expected complex \(coil, h, w\)"),
    ],
)
def test_wrong_axes_are_refused_with_shape_and_words(tmp_path, axes, words):
    path = tmp_path / "scan.npy"
    np.save(path, random(2, 3, 8, 6))
    refused(path, words, axes=axes)
    with pytest.raises(RawDataError, match=r"\(2, 3, 8, 6\) .*slice, coil, h, w, contrast, set"):
        open_scan(path, ReadOptions(axes=axes))


def test_numpy_mask_and_what_is_no_kspace(tmp_path):
    kspace, mask = random(2, 3, 8, 6), np.arange(6) % 2 == 0
    path = tmp_path / "scan.npz"
    np.savez(path, kspace=kspace, mask=mask)
    assert open_scan(path)[0].mask.tolist() == [mask.tolist()]
    np.savez(path, image=kspace)
    refused(path, "found image.npy, expected an array 'kspace'")
    np.savez(path, kspace=np.array([{}], dtype=object))
    refused(path, "Python objects")
    np.save(tmp_path / "a.npy", np.ones((2, 3, 4), np.int16))
    refused(tmp_path / "a.npy", r"\(2, 3, 4\) int16, expected complex")
    kspace[1, 0, 0, 0] = np.inf
    np.save(tmp_path / "b.npy", kspace)
    refused(tmp_path / "b.npy", "not finite")


@pytest.mark.parametrize("told", [{}, {"trajectory": "golden"}])
def test_an_empty_dataset_is_refused(tmp_path, told):
    refused(write_hdf5(tmp_path / "a.h5", kspace=h5py.Empty("c8")), "empty dataset", **told)


def test_prospective_header_is_still_read_with_axes(tmp_path):
    kspace = random(2, 3, 32, 20)
    path = write_hdf5(
        tmp_path / "a.h5", kspace=kspace.transpose(2, 3, 1, 0), ismrmrd_header=xml().encode()
    )
    scan = open_scan(path, ReadOptions(axes="h w coil slice"))
    assert scan.header.matrix == (16, 16) and same(scan[1], kspace[1])


def test_slices_that_were_never_written_are_zero(tmp_path):
    """HDF5 would leave the memory as it is, which is that of another slice."""
    path = tmp_path / "holes.h5"
    make = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    make.set_chunk((1, 2, 512, 512))
    make.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with h5py.File(path, "w") as file:
        kind = h5py.h5t.py_create(np.dtype(np.complex64))
        space = h5py.h5s.create_simple((3, 2, 512, 512))
        data = h5py.Dataset(h5py.h5d.create(file.id, b"kspace", kind, space, make))
        data[0], data[2] = 7, 9
    with h5py.File(path) as file:
        values = [read_whole_axes(file["kspace"], (i, *[slice(None)] * 3)).max() for i in range(3)]
    assert values == [7, 0, 9]
