import dataclasses
import pickle
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mrirecon.commands import check
from mrirecon.data.collate import collate
from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.folder import Folder
from mrirecon.data.packing import Packing, pack
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.errors import ConfigError, OutputError, RawDataError
from mrirecon.fourier import ifft
from mrirecon.image import center_crop
from mrirecon.pseudonyms import patient_pseudonym, patients
from mrirecon.readers import open_scan
from mrirecon.readers.packed import PackedScan
from mrirecon.sensitivity import Espirit
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd
from tests import scenes, trajectories
from tests.readers.mrd_files import MrdFile


@pytest.fixture
def source(tmp_path):
    write_fastmri(tmp_path / "raw" / "a.h5", scenes.scan(slices=3))
    return open_scan(tmp_path / "raw" / "a.h5")


@pytest.fixture
def packed(source, tmp_path):
    pack(source, tmp_path / "a.h5")
    return tmp_path / "a.h5"


def same(found, expected):
    assert found.key == expected.key
    assert found.tensors().keys() == expected.tensors().keys()
    for name, value in expected.tensors().items():
        assert torch.allclose(getattr(found, name), value, rtol=0, atol=0, equal_nan=True), name
        assert getattr(found, name).dtype == value.dtype, name


def as_packed(header):
    subject = patient_pseudonym(header.subject) if header.subject else None
    return dataclasses.replace(header, subject=subject)


def everything_set(scan):
    """A scan whose Samples have every field that a file may bring."""

    class Full(type(scan)):
        def _read(self, index):
            sample = super()._read(index)
            rows, w = sample.kspace.shape[-2:]
            return sample.replace(
                weights=torch.rand(1, w), maps=torch.randn(sample.kspace.shape) + 0j,
                calibration=sample.kspace[:, 4:-3, 5:-2], peak=torch.tensor(2.0 + index),
                scale=torch.tensor(3.0), noise=torch.tensor(0.1 * index),
                protocol=torch.tensor([3.0, float("nan"), 1.0, 2.0, 3.0]).nan_to_num(7.0),
                target=torch.rand(rows, w), acs=torch.tensor([rows, index]),
                region=torch.tensor([rows - 2, w - index]),
                trajectory=torch.randn(rows, w, 2), image_grid=(rows, w),
            )  # fmt: skip

    scan.__class__ = Full
    return scan


def test_every_field_of_every_slice_comes_back(source, packed, tmp_path):
    scan = open_scan(packed)
    assert isinstance(scan, PackedScan) and scan.header == as_packed(source.header)
    for index in range(3):
        same(scan[index], source[index])
    same(pickle.loads(pickle.dumps(scan))[2], source[2])
    simulated = everything_set(scenes.scan(slices=2))
    torch.manual_seed(0)
    header = pack(simulated, tmp_path / "full.h5")
    torch.manual_seed(0)
    full = open_scan(tmp_path / "full.h5")
    unset = {"key", "frame", "seed", "neighbors", "image_grid", "areas"}
    fields = {field.name for field in dataclasses.fields(full[0])} - unset
    assert full[0].tensors().keys() == fields and full.header == header
    assert full[0].image_grid == header.grid
    for index in range(2):
        same(full[index], simulated[index])
    full.verify()


@pytest.mark.parametrize("kind", ["frames", "oversampled raw"])
def test_other_formats_are_packed_too(kind, tmp_path):
    path = tmp_path / "raw.h5"
    if kind == "frames":
        MrdFile().lines(contrast=0).lines(contrast=1).write(path)
    else:
        write_ismrmrd(path, scenes.scan(), AcquisitionOptions(sampling=scenes.PATTERN))
    scan = open_scan(path)
    pack(scan, tmp_path / "packed.h5")
    found = open_scan(tmp_path / "packed.h5")
    assert found.header == as_packed(scan.header) and len(found) == len(scan)
    for index in range(len(scan)):
        same(found[index], scan[index])


def test_a_slice_is_a_view_that_nobody_else_sees_changed(packed):
    scan = open_scan(packed)
    first, again = scan[1], scan[1]
    assert first.kspace.data_ptr() == again.kspace.data_ptr()
    before = packed.read_bytes()
    kept = first.kspace.clone()
    first.kspace.zero_()  # a mistake, which must not reach the file
    assert packed.read_bytes() == before
    assert open_scan(packed)[1].kspace.equal(kept)


@pytest.mark.usefixtures("source")
def test_a_folder_of_packed_scans_trains_like_the_source(packed, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    packed.rename(store / "a.h5")
    for _ in range(2):  # also with headers from the index
        one, other = (
            SliceDataset(Folder(folder, "*.h5"), Compose([]))
            for folder in (store, tmp_path / "raw")
        )
        for index in range(3):
            same(one[index], other[index])
        assert one.subjects == {patient_pseudonym("subject0000")}
        assert other.subjects == {"subject0000"}
    with pytest.raises(ConfigError, match="share the subjects subject0000"):
        DataModule(one, other)


def test_the_patients_id_is_not_packed(tmp_path, monkeypatch, capsys):
    for folder, patient, name in (("a", "Muster^Max 4711", "x"), ("b", "Other^One 4712", "y")):
        write_fastmri(tmp_path / folder / f"{name}.h5", scenes.scan())
        with h5py.File(tmp_path / folder / f"{name}.h5", "a") as file:
            file.attrs["patient_id"] = patient
    pack(open_scan(tmp_path / "a" / "x.h5"), tmp_path / "b" / "packed.h5")
    again = pack(open_scan(tmp_path / "b" / "packed.h5"), tmp_path / "b" / "again.h5")
    assert again.subject == patient_pseudonym("Muster^Max 4711")
    for name in ("packed.h5", "again.h5"):
        stored = (tmp_path / "b" / name).read_bytes()
        assert b"Muster" not in stored and b"4711" not in stored
    first, second = (SliceDataset(Folder(tmp_path / name, "*.h5"), Compose([])) for name in "ab")
    for one, other in ((first, second), (second, first)):
        with pytest.raises(ConfigError, match=r"share the subjects Muster\^Max 4711:"):
            DataModule(one, other)
    for folder, split in (("a", "multicoil_train"), ("b", "multicoil_val")):
        (tmp_path / folder).rename(tmp_path / split)
    monkeypatch.setattr("sys.argv", ["check", str(tmp_path), "--pattern", "*/*.h5"])
    with pytest.raises(SystemExit, match="1"):
        check.main()
    assert "2 patients" in (told := capsys.readouterr().out) and "share 1 patients" in told


def test_packed_files_that_hold_the_id_are_known_again(source, tmp_path, monkeypatch):
    monkeypatch.setattr("mrirecon.data.packing.patient_pseudonym", str)  # as files of before
    pack(source, tmp_path / "old.h5")
    opened = open_scan(tmp_path / "old.h5")
    assert opened.header.subject == "subject0000"
    assert patients([opened.header.subject, patient_pseudonym("subject0000")]) == {
        patient_pseudonym("subject0000"): "subject0000"
    }


def test_cropping_the_readout_keeps_the_image(source, tmp_path):
    header = pack(source, tmp_path / "c.h5", Packing(crop_readout=True))
    (h, w), y = source.header.grid, source.header.matrix[0]
    assert (
        h > y and header.grid == (y, w) == header.canvas and header.matrix == source.header.matrix
    )
    assert "oversampling was removed" in header.notes[-1]
    found, expected = open_scan(tmp_path / "c.h5")[1], source[1]
    image = center_crop(ifft(expected.kspace), (y, w))
    torch.testing.assert_close(ifft(found.kspace), image, rtol=1e-4, atol=1e-5 * image.abs().max())
    assert found.mask.equal(expected.mask) and found.target.equal(expected.target)
    assert found.acs.tolist() == [y, int(expected.acs[1])]
    points = source[0].replace(mask=torch.ones(h, w, dtype=torch.bool))
    with pytest.raises(ConfigError, match="pack without crop_readout"):
        Packing(crop_readout=True)(points, source.header)


def test_stored_maps_are_those_of_the_estimator(source, tmp_path):
    estimator = Espirit(calibration=12)
    pack(source, tmp_path / "m.h5", Packing(sensitivity=estimator))
    sample = source[2]
    expected = estimator(sample.map(lambda tensor: tensor[None]))[0]
    found = open_scan(tmp_path / "m.h5")[2]
    torch.testing.assert_close(found.maps, expected)
    assert found.kspace.equal(sample.kspace)


def test_half_precision_is_half_the_size_and_widened_on_the_device(source, packed, tmp_path):
    pack(source, tmp_path / "half.h5", Packing(half=True))
    scan, exact = open_scan(tmp_path / "half.h5"), open_scan(packed)
    assert "half precision" in scan.header.notes[-1]
    sizes = [one._fields["kspace"].end - one._fields["kspace"].offset for one in (scan, exact)]
    assert sizes[0] * 2 == sizes[1]
    scan.verify()
    for index in range(3):
        found, expected = scan[index], source[index]
        assert scan.stored(index).kspace.dtype == torch.complex32
        error = (found.kspace - expected.kspace).norm() / expected.kspace.norm()
        assert 1e-6 < error < 2.0**-11
        same(found.replace(kspace=expected.kspace), expected)
    steps = Compose([Undersample(scenes.PATTERN), Normalize()])
    late = SliceDataset([scan], Compose([]), batch_transform=steps)
    early = SliceDataset([scan], steps)
    batch = collate([late[1], late[2]])
    assert batch.kspace.dtype == torch.complex32
    batch, expected = late.finish(batch), collate([early[1], early[2]])
    for name in ("kspace", "target", "peak", "scale"):
        assert getattr(batch, name).equal(getattr(expected, name)), name
    stay = SliceDataset([scan], Normalize(), batch_transform=Compose([]))
    assert stay[0].kspace.dtype == torch.complex64  # something is computed before
    changed(tmp_path / "half.h5", lambda file: file["sample"].pop("scale"))
    with pytest.raises(RawDataError, match="half precision, but 'scale' is missing"):
        open_scan(tmp_path / "half.h5")


def test_the_noise_of_whitened_scans_is_told_in_the_unit_of_the_slice(tmp_path):
    write_ismrmrd(tmp_path / "raw.h5", scenes.scan(), AcquisitionOptions())
    scan = open_scan(tmp_path / "raw.h5")
    assert scan.header.whitened
    pack(scan, tmp_path / "half.h5", Packing(half=True))
    half = open_scan(tmp_path / "half.h5")
    stored = SliceDataset([half], Compose([]), batch_transform=Compose([]))[0]
    assert stored.noise * stored.scale == 1 and stored.scale != 1
    assert SliceDataset([half], Compose([]))[0].noise == 1


def test_nothing_is_overwritten_unasked_and_nothing_half_written(source, packed, monkeypatch):
    before = packed.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        pack(source, packed)
    read = type(source).__getitem__

    def breaks(self, index):
        if index == 2:
            raise RawDataError("broken here")
        return read(self, index)

    monkeypatch.setattr(type(source), "__getitem__", breaks)
    with pytest.raises(RawDataError, match="broken here"):
        pack(source, packed, overwrite=True)
    assert packed.read_bytes() == before
    assert [file.name for file in packed.parent.iterdir() if file.is_file()] == ["a.h5"]


def test_slices_that_differ_are_refused(source, tmp_path, monkeypatch):
    read = type(source).__getitem__
    monkeypatch.setattr(
        type(source), "__getitem__",
        lambda self, index: read(self, index).replace(**({"target": None} if index else {})),
    )  # fmt: skip
    with pytest.raises(ConfigError, match="only be packed when its slices are alike"):
        pack(source, tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()


def changed(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


DAMAGES = {
    "version": (lambda f: f.attrs.modify("packed", 9), "expected 2: pack the source again"),
    "older version": (lambda f: f.attrs.modify("packed", 1), "expected 2: pack the source again"),
    "header": (lambda f: f.attrs.__setitem__("header", "{}"), "checksum of the header is not"),
    "no checksum": (lambda f: f.attrs.__delitem__("header_checksum"), "checksum of the header is"),
    "other header": (
        lambda f: (
            f.attrs.__setitem__("header", "{}"),
            f.attrs.__setitem__("header_checksum", zlib.crc32(b"{}")),
        ),
        "the header cannot be read",
    ),
    "no mask": (lambda f: f["sample"].__delitem__("mask"), "the fields are"),
    "strange field": (
        lambda f: f["sample"].create_dataset("x", data=np.ones((3, 1))),
        "the fields are",
    ),
    "no checksums": (lambda f: f.__delitem__("checksums"), "no checksum"),
    "type": (
        lambda f: (f["sample"].pop("acs"), f["sample"].create_dataset("acs", data=np.ones((3, 2)))),
        "expected a contiguous, aligned array",
    ),
    "compressed": (
        lambda f: (
            f["sample"].pop("mask"),
            f["sample"].create_dataset("mask", data=np.ones((3, 1, 36), bool), chunks=(1, 1, 36)),
        ),
        "expected a contiguous, aligned array",
    ),
    "half a target": (
        lambda f: (
            f["sample"].pop("target"),
            f["sample"].create_dataset("target", data=np.ones((3, 40, 36), np.float16)),
        ),
        "target are in half precision",
    ),
    "shape": (
        lambda f: (
            f["sample"].pop("kspace"),
            f["sample"].create_dataset("kspace", data=np.ones((3, 1, 4, 4), np.complex64)),
        ),
        "but the header tells",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_refused(packed, name):
    change, message = DAMAGES[name]
    changed(packed, change)
    with pytest.raises(RawDataError, match=message) as error:
        open_scan(packed)
    assert str(packed) in str(error.value)


def test_a_file_cut_short_is_refused_also_while_it_is_open(packed):
    scan = open_scan(packed)
    scan[0]
    with packed.open("r+b") as file:
        file.truncate(packed.stat().st_size // 2)
    with pytest.raises(RawDataError, match="was changed since it was opened: it was"):
        scan[2]
    with pytest.raises(RawDataError, match="truncated"):
        open_scan(packed)


def test_checksums_find_a_flipped_bit(packed):
    scan = open_scan(packed)
    scan.verify()
    place = scan._fields["kspace"].offset + 5
    with packed.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(RawDataError, match="the checksum of slice 0"):
        open_scan(packed).verify()


def test_a_flipped_bit_in_the_header_is_found_when_the_file_is_opened(packed):
    content = packed.read_bytes()
    place = content.index(b'"canvas"')
    place = content.index(b"[", place) + 1
    digit = content[place] ^ 1  # another number, and still JSON
    packed.write_bytes(content[:place] + bytes([digit]) + content[place + 1 :])
    assert chr(digit).isdigit()
    with pytest.raises(RawDataError, match="the checksum of the header is not that of its text"):
        open_scan(packed)


def test_batches_from_workers_hold_no_more_than_themselves(packed):
    """A view of the mapped file would take the whole file to shared memory, and keep it there."""
    scan = open_scan(packed)
    slices = SliceDataset([scan], lambda sample: sample)
    loader = torch.utils.data.DataLoader(
        slices, batch_size=1, num_workers=1, collate_fn=collate, multiprocessing_context="fork"
    )
    for batch in loader:
        assert batch.kspace.untyped_storage().nbytes() == batch.kspace.nbytes
        batch.kspace.zero_()
    for index, batch in enumerate(loader):  # the second epoch
        assert batch.kspace[0].equal(scan[index].kspace)


def test_open_scans_keep_no_file_open(packed):
    before = len(list(Path("/proc/self/fd").iterdir()))
    scans = [PackedScan(packed) for _ in range(5)]
    assert all(scan[0].kspace.any() for scan in scans)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_scan_that_tells_no_centre_is_packed_too(tmp_path):
    scan = scenes.scan()
    assert scan[0].acs is None
    path = tmp_path / "simulated.h5"
    pack(scan, path, Packing())
    assert open_scan(path)[0].acs is None and open_scan(path)[0].kspace.equal(scan[0].kspace)


def test_samples_along_a_trajectory_come_back(tmp_path):
    write_ismrmrd(tmp_path / "raw.h5", scenes.scan(slices=1))
    scan = open_scan(tmp_path / "raw.h5")
    one = trajectories.sampled(trajectories.spokes(9), (40, 36))

    class Along(type(scan)):
        def _read(self, index):
            return one.replace(target=None, maps=None, key=("one", index))

    scan.__class__ = Along
    pack(scan, tmp_path / "packed.h5", Packing(half=True))
    again = open_scan(tmp_path / "packed.h5")[0]
    assert again.trajectory.equal(one.trajectory) and again.image_grid == (40, 36)
    largest = float(one.kspace.abs().max())
    torch.testing.assert_close(again.kspace, one.kspace, rtol=2e-3, atol=largest / 1000)
