"""Plain arrays in other orders, with other centres, and what is no k-space at all."""

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from mrirecon.errors import ConfigError, RawDataError
from mrirecon.fourier import fft, ifft
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from tests.readers.array_files import bart, random, write_hdf5, xml
from tests.readers.mrd_files import MrdFile
from tests.scenes import scan

ORDERS = {
    "slice coil h w": (0, 1, 2, 3),
    "coil slice h w": (1, 0, 2, 3),
    "slice h w coil": (0, 2, 3, 1),
    "h w slice coil": (2, 3, 0, 1),
    "h w coil slice": (2, 3, 1, 0),
    "coil h w slice": (1, 2, 3, 0),
    "h coil w slice": (2, 1, 3, 0),
}
STACKS: dict = {}


def stack(matrix, acceleration=1, slices=3, coils=4):
    """k-space (slice, coil, h, w) of a head, undersampled outside its 24 central lines."""
    key = (matrix, slices, coils)
    if key not in STACKS:
        simulated = scan(matrix=matrix, slices=slices, coils=coils)
        STACKS[key] = np.stack([sample.kspace.numpy() for sample in simulated])
    w = matrix[1]
    kept = np.arange(w) % acceleration == 0
    kept[w // 2 - 12 : w // 2 + 12] = True
    return STACKS[key] * kept


def saved(path, kspace):
    np.save(path, np.ascontiguousarray(kspace))
    return path


def noted(opened, words):
    return any(words in note for note in opened.header.notes)


def refused(path, words, **reading):
    with pytest.raises(RawDataError, match=words) as error:
        open_scan(path, ReadOptions(**reading))
    assert str(error.value).startswith(str(path))
    return str(error.value)


def right(opened, kspace):
    return all(np.array_equal(opened[i].kspace.numpy(), kspace[i]) for i in range(len(kspace)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("matrix", "acceleration"), [((64, 56), 1), ((63, 57), 3)])
@pytest.mark.parametrize("corner", [(), (-2, -1), (-1,)])
def test_the_order_that_fits_the_signal_is_taken_or_named(
    tmp_path, order, matrix, acceleration, corner
):
    kspace = stack(matrix, acceleration)
    stored = np.fft.ifftshift(kspace, corner).transpose(ORDERS[order])
    path = saved(tmp_path / "a.npy", stored)
    if order == "slice coil h w":
        opened = open_scan(path)
        assert right(opened, kspace) and noted(opened, f"as ({', '.join(order.split())})")
        assert noted(opened, "centre in the corner") == bool(corner)
    else:
        assert f"reading.axes='{order}' fits the signal" in refused(path, "reading.axes=")
    assert right(open_scan(path, ReadOptions(axes=order)), kspace)


def test_what_was_assumed_can_be_kept(tmp_path):
    path = saved(tmp_path / "a.npy", stack((64, 56)).transpose(0, 2, 3, 1))
    opened = open_scan(path, ReadOptions(axes="slice coil h w"))
    assert (opened.header.coils, opened.header.grid) == (64, (56, 4))


@pytest.mark.parametrize("acceleration", [1, 3])
def test_three_axes_are_slices_unless_they_are_coils(tmp_path, acceleration):
    kspace = stack((64, 56), acceleration, slices=6)
    opened = open_scan(saved(tmp_path / "slices.npy", kspace[:, 1]))
    assert right(opened, kspace[:, 1:2]) and noted(opened, "reading.axes='coil h w'")
    path = saved(tmp_path / "coils.npy", kspace[3])
    assert "reading.axes='coil h w' fits" in refused(path, "looks like coils")
    assert right(open_scan(path, ReadOptions(axes="coil h w")), kspace[3:4])


@pytest.mark.parametrize("suffix", [".npy", ".h5", ".cfl"])
@pytest.mark.parametrize(("h", "w"), [(48, 40), (47, 41)])
@pytest.mark.parametrize(
    ("corner", "centered"), [((-2, -1), False), ((-1,), "h"), ((-2,), "w"), ((), True)]
)
def test_a_centre_in_the_corner_is_shifted(tmp_path, suffix, h, w, corner, centered):
    kspace = stack((h, w), slices=1)
    stored = np.fft.ifftshift(kspace, corner)
    if suffix == ".cfl":
        path = bart(tmp_path, stored[0].transpose(1, 2, 0)[:, :, None])
    elif suffix == ".h5":
        path = write_hdf5(tmp_path / "a.h5", kspace=stored)
    else:
        path = saved(tmp_path / "a.npy", stored)
    opened = open_scan(path)
    assert right(opened, kspace) and noted(opened, "in the corner") == bool(corner)
    assert right(open_scan(path, ReadOptions(centered=centered)), kspace)
    if corner:
        assert noted(opened, f"reading.centered={str(centered).lower()} says so")
        assert right(open_scan(path, ReadOptions(centered=True)), stored)


def test_a_mask_is_shifted_with_its_kspace(tmp_path):
    kspace = stack((48, 41), 3, slices=1)
    mask = (kspace != 0).any((0, 1, 2))
    stored = np.fft.ifftshift(kspace, (-2, -1))
    path = write_hdf5(tmp_path / "a.h5", kspace=stored, mask=np.fft.ifftshift(mask))
    assert open_scan(path)[0].mask.tolist() == [mask.tolist()]
    path = write_hdf5(tmp_path / "b.h5", kspace=stored)
    assert open_scan(path)[0].mask.tolist() == [mask.tolist()]


@pytest.mark.parametrize(("h", "w"), [(48, 40), (47, 41)])
def test_kspace_of_a_plain_transform_gives_the_image_where_it_was(tmp_path, h, w):
    kspace = torch.from_numpy(stack((h, w), slices=1))
    images = ifft(kspace).numpy()
    plain = np.fft.fft2(images, norm="ortho").astype(np.complex64)
    path = saved(tmp_path / "plain.npy", plain)
    opened = open_scan(path)
    torch.testing.assert_close(opened[0].kspace, kspace[0], rtol=1e-4, atol=1e-5)
    assert noted(opened, "its origin was moved from the first pixel")
    path = saved(tmp_path / "shifted.npy", np.fft.fftshift(plain, (-2, -1)))
    assert noted(open_scan(path), "reading.image_centered=false moves it into the middle")
    told = open_scan(path, ReadOptions(image_centered=False))
    torch.testing.assert_close(told[0].kspace, kspace[0], rtol=1e-4, atol=1e-5)
    assert not noted(open_scan(path, ReadOptions(image_centered=True)), "object")


@pytest.mark.parametrize(("h", "w", "lines"), [(48, 40, 8), (47, 41, 12), (48, 41, 0)])
def test_the_origin_of_undersampled_kspace_is_found_in_its_complete_centre(tmp_path, h, w, lines):
    kspace = stack((h, w), slices=1)
    kept = np.arange(w) % 2 == w // 2 % 2
    kept[w // 2 - lines // 2 : w // 2 + lines // 2] = True
    plain = np.fft.fft2(ifft(torch.from_numpy(kspace)).numpy(), norm="ortho").astype(np.complex64)
    path = saved(tmp_path / "plain.npy", plain * np.fft.ifftshift(kept))
    opened = open_scan(path)
    expected = torch.from_numpy(kspace[0] * kept)
    torch.testing.assert_close(opened[0].kspace, expected, rtol=1e-4, atol=1e-5)
    assert noted(opened, "along h and w: its origin was moved from the first pixel")


@pytest.mark.parametrize("corner", [False, True])
@pytest.mark.parametrize("slices", [13, 16])
def test_kspace_along_three_axes_is_no_stack_of_slices(tmp_path, corner, slices):
    planes = torch.from_numpy(stack((48, 40), slices=slices, coils=2))
    volume = fft(planes, (0,)).numpy()
    path = saved(tmp_path / "a.npy", np.fft.ifftshift(volume, 0) if corner else volume)
    refused(path, r"along axis 0 \(slice, .*\), too: this looks like 3-D k-space")
    assert open_scan(path, ReadOptions(axes="slice coil h w")).header.slices == slices
    opened = open_scan(saved(tmp_path / "stack.npy", planes.numpy()))
    assert right(opened, planes.numpy())


@pytest.mark.parametrize("corner", [(), (0, 1, 2)])
@pytest.mark.parametrize("partitions", [3, 8])
def test_few_partitions_are_told_from_coils_and_slices(tmp_path, partitions, corner):
    planes = torch.from_numpy(stack((48, 40), slices=partitions, coils=2))  # z, coil, x, y
    volume = fft(planes, (0,)).numpy().transpose(2, 3, 0, 1)
    opened = open_scan(bart(tmp_path, np.fft.ifftshift(volume, corner)))
    expected = ifft(torch.from_numpy(volume), (0,))[24].permute(2, 0, 1)
    torch.testing.assert_close(opened[24].kspace, expected, rtol=1e-4, atol=1e-5)
    stored = np.fft.ifftshift(planes.numpy().transpose(2, 3, 0, 1), corner[:2])
    path = bart(tmp_path, stored)
    refused(path, f"no peak along PHS2 .{partitions}.*dimension 13")
    assert open_scan(path, ReadOptions(centered=True)).header.slices == 48


def test_coils_around_the_object_of_which_neighbours_are_alike_are_coils(tmp_path):
    h, w, coils = 64, 56, 12
    image = ifft(torch.from_numpy(stack((h, w), slices=1, coils=1)[0, 0])).numpy()
    y, x = np.meshgrid(np.arange(h) / h - 0.5, np.arange(w) / w - 0.5, indexing="ij")
    angles = 2 * np.pi * np.arange(coils)[:, None, None] / coils
    distance = (y - 0.6 * np.sin(angles)) ** 2 + (x - 0.6 * np.cos(angles)) ** 2
    maps = np.exp(-distance / 0.4 + 1j * (angles + y * np.cos(angles)))
    kspace = fft(torch.from_numpy((maps * image).astype(np.complex64))).numpy()
    refused(saved(tmp_path / "coils.npy", kspace), "looks like coils.*reading.axes='coil h w'")


def test_one_slice_of_a_mat_file(tmp_path):
    kspace = stack((64, 56), 3, slices=1)
    savemat(tmp_path / "a.mat", {"kspace": kspace[0].transpose(1, 2, 0)})
    assert right(open_scan(tmp_path / "a.mat"), kspace)


@pytest.mark.parametrize("value", [np.nan, -1, np.inf])
@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
def test_a_mask_that_may_mean_either_is_refused(tmp_path, suffix, value):
    kspace, kept = stack((48, 41), slices=1), np.arange(41) % 2 == 0
    path, mask = tmp_path / f"a{suffix}", np.where(kept, 1.0, value)
    if suffix == ".h5":
        write_hdf5(path, kspace=kspace, mask=mask)
    elif suffix == ".npz":
        np.savez(path, kspace=kspace, mask=mask)
    else:
        savemat(path, {"kspace": kspace.transpose(2, 3, 1, 0), "mask": mask[:, None].T})
    refused(path, f"'mask' holds {value}.* in 20 of 41 places, expected 0")


def test_a_mask_that_is_stored_otherwise_than_its_kspace_is_refused(tmp_path):
    kspace = stack((48, 48), slices=1)
    kept = np.arange(48) % 3 == 0
    kept[18:30] = True
    path = write_hdf5(tmp_path / "a.h5", kspace=kspace * kept[:, None], mask=kept)
    refused(path, "fits exactly transposed")
    mask = np.repeat(kept[:, None], 48, 1)
    path = write_hdf5(tmp_path / "b.h5", kspace=kspace * kept[:, None], mask=mask)
    assert np.array_equal(open_scan(path)[0].mask.numpy(), mask)
    path = write_hdf5(tmp_path / "c.h5", kspace=kspace * kept, mask=np.fft.ifftshift(kept))
    refused(path, "fits exactly after fftshift")
    path = write_hdf5(tmp_path / "d.h5", kspace=kspace, mask=kept)
    assert open_scan(path)[0].mask.tolist() == [kept.tolist()]


def test_values_beyond_single_precision_are_told(tmp_path):
    kspace = stack((48, 40), slices=1).astype(np.complex128)
    path = saved(tmp_path / "large.npy", kspace * 1e45)
    with pytest.raises(RawDataError, match="larger than single precision holds"):
        open_scan(path)[0]
    refused(saved(tmp_path / "small.npy", kspace * 1e-60), "smaller than single precision holds")


def test_a_known_layout_is_never_turned_around(tmp_path):
    stored = np.fft.ifftshift(stack((48, 40), slices=1), -1)
    header = xml(full=48, w=40, maximum=39, center=20).encode()
    path = write_hdf5(tmp_path / "a.h5", kspace=stored, ismrmrd_header=header)
    assert "reading.centered=h" in refused(path, "centre is in the corner")
    opened = open_scan(path, ReadOptions(centered=True))
    assert right(opened, stored) and noted(opened, "centre in the corner")


@pytest.mark.parametrize(
    ("changes", "voxel", "words"),
    [
        ({}, (2.0, 2.0, 5.0), ""),
        ({"view_x": 0.032, "view_y": 0.032}, (2.0, 2.0, 5.0), "taken as metres"),
        ({"view_x": 32e5, "view_y": 32e5}, None, "impossible and were ignored"),
    ],
)
def test_an_impossible_field_of_view_is_noted(tmp_path, changes, voxel, words):
    header = xml(full=48, w=40, maximum=39, center=20, **changes).encode()
    path = write_hdf5(tmp_path / "a.h5", kspace=stack((48, 40)), ismrmrd_header=header)
    opened = open_scan(path)
    assert opened.header.voxel == (None if voxel is None else pytest.approx(voxel))
    told = [note for note in opened.header.notes if "voxels of" in note]
    assert [words in note for note in told] == [True] * bool(words)


def test_partial_fourier_without_its_zeros_is_noted(tmp_path):
    opened = open_scan(saved(tmp_path / "a.npy", stack((48, 64))[..., 20:]))
    assert noted(opened, "of 44 along w (phase encoding), 11 off the centre")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda k: ifft(k), "looks like an image"),
        (lambda k: ifft(k, axes=(-2,)), r"in image space along h \(hybrid"),
        (lambda k: ifft(k, axes=(-1,)), r"in image space along w \(hybrid"),
        (lambda k: k[..., 20:21].expand(*k.shape[:-1], 29), "radial spokes"),
        (lambda k: k[..., 20:21], "planes of 48 x 1 samples: this looks like lines without"),
        (lambda k: ifft(k).abs() + 0j, "imaginary part .* exactly zero|looks like an image"),
        (
            lambda _: torch.from_numpy(random(1, 4, 256, 1)),
            "256 x 1 samples: .* noise",
        ),
        (
            lambda _: torch.from_numpy(random(1, 4, 4, 256)),
            "4 x 256 samples: .* noise",
        ),
    ],
)
def test_what_is_no_kspace_is_refused_by_name(tmp_path, change, words):
    kspace = change(torch.from_numpy(stack((48, 40), slices=1))).numpy()
    for path in (
        saved(tmp_path / "a.npy", kspace),
        bart(tmp_path, kspace[0].transpose(1, 2, 0)[:, :, None]),
    ):
        refused(path, words)
        assert np.array_equal(open_scan(path, ReadOptions(centered=True))[0].kspace, kspace[0])


def test_noise_is_noted(tmp_path):
    assert noted(open_scan(saved(tmp_path / "a.npy", random(2, 3, 40, 30))), "has no peak")


def test_dead_coils_and_empty_slices_are_named(tmp_path):
    kspace = stack((48, 40)).copy()
    kspace[:, 2] = 0
    kspace[0] = 0
    opened = open_scan(write_hdf5(tmp_path / "a.h5", kspace=kspace))
    assert noted(opened, "Coil 2 (counted from 0) is exactly zero in all 2 planes")
    assert noted(opened, "Exactly zero: slice 1 (counted from 1, of 3 slices)")
    opened = open_scan(
        saved(tmp_path / "b.npy", np.stack([stack((48, 40)), kspace])),
        ReadOptions(axes="repetition slice coil h w"),
    )
    assert noted(opened, "Exactly zero: slice 1 of frame 2 (")


def test_bart_trajectories_and_simultaneous_slices(tmp_path):
    path = bart(tmp_path, np.random.default_rng(0).random((3, 32, 9)) + 0j, "traj")
    refused(path, "3 real numbers along READ and no coils: this is a trajectory")
    kspace = stack((48, 40)).copy()
    for i in range(3):
        kspace[i][..., np.arange(40) % 3 != i] = 0
    dimensions = kspace.transpose(2, 3, 1, 0)[:, :, None, :, *[None] * 9, :]
    refused(bart(tmp_path, dimensions, "sms"), "only one of the 3 along SLICE: slices excited")
    kspace = stack((48, 40)) * np.array([40, 1, 1], np.float32)[:, None, None, None]
    dimensions = kspace.transpose(2, 3, 1, 0)[:, :, None, :, *[None] * 9, :]
    assert noted(open_scan(bart(tmp_path, dimensions, "sum")), "along SLICE has ")


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".mat"])
def test_one_of_several_variables(tmp_path, suffix):
    kspace = stack((48, 40))
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez(path, rawdata=kspace, other=kspace[:1])
    elif suffix == ".h5":
        write_hdf5(path, other=kspace[:1], **{"scan/rawdata": kspace})
    else:
        savemat(path, {"rawdata": kspace.swapaxes(-1, -2).T, "text": "a", "other": [1.0]})
    name = "scan/rawdata" if suffix == ".h5" else "rawdata"
    assert name in refused(path, "reading.variable=NAME")
    assert right(open_scan(path, ReadOptions(variable=name)), kspace)
    assert name in refused(path, "'?nothing'?", variable="nothing")


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float64, "fields"])
def test_integers_and_other_names_of_the_parts(tmp_path, kind):
    kspace = np.round(1000 * stack((48, 40)) / np.abs(stack((48, 40))).max())
    if kind == "fields":
        stored = np.zeros(kspace.shape, [("re", "<i2"), ("im", "<i2")])
        stored["re"], stored["im"] = kspace.real, kspace.imag
    else:
        stored = np.stack([kspace.real, kspace.imag], -1).astype(kind)
    assert right(open_scan(write_hdf5(tmp_path / "a.h5", kspace=stored)), kspace)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (np.ones((3, 4, 20, 30), np.float32), "the phase of k-space is lost"),
        (np.ones((2, 4, 20, 30), np.float32), "if axis 0 holds real and imaginary part, move it"),
        (np.ones((3, 4, 20, 30), bool), "save one complex array"),
        (np.ones((3, 0, 20, 30), np.complex64), "it is empty"),
        (np.ones((3, 4, 20, 30, 5), np.complex64), "say with reading.axes"),
    ],
)
def test_the_advice_fits_what_was_found(tmp_path, stored, words):
    message = refused(write_hdf5(tmp_path / "a.h5", kspace=stored), words)
    assert ("reading.axes" in message) == ("reading.axes" in words)


def test_acquisitions_in_nested_groups_and_xml_as_bytes(tmp_path):
    plain = MrdFile().lines().write(tmp_path / "plain.h5")
    expected = open_scan(plain)[0].kspace
    with h5py.File(plain) as source, h5py.File(tmp_path / "nested.h5", "w") as target:
        source.copy("dataset", target.create_group("exam/series"), name="dataset")
        xml_text = source["dataset/xml"][0]
    nested = open_scan(tmp_path / "nested.h5", ReadOptions(measurement="exam/series/dataset"))
    assert torch.equal(nested[0].kspace, expected)
    assert torch.equal(open_scan(tmp_path / "nested.h5")[0].kspace, expected)
    with h5py.File(plain, "r+") as file:
        del file["dataset/xml"]
        file["dataset/xml"] = np.frombuffer(xml_text, np.uint8)
    assert torch.equal(open_scan(plain)[0].kspace, expected)


def test_centered_takes_no_other_word():
    with pytest.raises(ConfigError, match="expected true, false, h or w"):
        ReadOptions(centered="middle")


def test_three_dimensional_bart_kspace_in_the_corner(tmp_path):
    planes = torch.from_numpy(stack((48, 40), slices=16, coils=2))  # x, coil, h, w
    kspace = fft(planes, axes=(0,)).numpy().transpose(0, 2, 3, 1)
    stored = np.fft.ifftshift(kspace, (0, 1, 2))
    opened = open_scan(bart(tmp_path, stored))
    assert opened.header.volumetric and noted(opened, "in the corner")
    for index in (0, 7, 15):
        torch.testing.assert_close(opened[index].kspace, planes[index], rtol=1e-4, atol=1e-4)
