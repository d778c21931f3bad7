"""Contiguous arrays of HDF5 files are mapped; what they hold is what HDF5 would have read."""

import h5py
import numpy as np
import pytest

from mrirecon.errors import RawDataError
from mrirecon.readers import open_scan
from mrirecon.readers.arrays import array_scan
from mrirecon.readers.hdf5.mapped import StoredArray, locate, map_arrays
from mrirecon.readers.hdf5.opening import open_hdf5
from mrirecon.simulation.raw_files import write_fastmri
from tests import scenes


@pytest.fixture
def path(tmp_path):
    write_fastmri(tmp_path / "a.h5", scenes.scan(slices=3))
    return tmp_path / "a.h5"


def rewritten(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def chunked(file):
    values = np.asarray(file["kspace"])
    del file["kspace"]
    file.create_dataset("kspace", data=values, chunks=(1, *values.shape[1:]), compression="gzip")


def test_samples_are_those_that_hdf5_reads(path, monkeypatch):
    scan = open_scan(path)
    assert scan.located.keys() == {"kspace", "reconstruction_rss"}
    found = [scan[index] for index in range(3)]
    monkeypatch.setattr(array_scan, "locate", lambda _: None)
    read = open_scan(path)
    assert read.located is None
    for one, other in zip(found, (read[index] for index in range(3)), strict=True):
        assert one.tensors().keys() == other.tensors().keys()
        assert all(
            scenes.equal(value, getattr(other, name)) for name, value in one.tensors().items()
        )


def test_hdf5_is_opened_once_only(path, monkeypatch):
    scan = open_scan(path)

    def refuse(*_, **__):
        raise AssertionError("opened again")

    monkeypatch.setattr(h5py, "File", refuse)
    assert scan[2].kspace.any()


def test_a_mistaken_write_does_not_reach_the_file(path):
    scan, before = open_scan(path), path.read_bytes()
    kept = scan[1].kspace.clone()
    scan[1].kspace.zero_()
    assert path.read_bytes() == before and open_scan(path)[1].kspace.equal(kept)


def test_compressed_files_are_read_by_hdf5(path):
    expected = open_scan(path)[1].kspace.clone()
    rewritten(path, chunked)
    scan = open_scan(path)
    assert scan.located is None and scan[1].kspace.equal(expected)


@pytest.mark.parametrize("change", ["truncated", "deleted"])
def test_files_that_vanish_under_an_open_scan_are_refused(path, change):
    scan = open_scan(path)
    scan[0]
    if change == "deleted":
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
    with pytest.raises(RawDataError, match=str(path)):
        scan[1]


def test_only_plain_arrays_in_one_piece_are_located(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(2, 12)
    (tmp_path / "raw.bin").write_bytes(values.tobytes())
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["plain"] = values
        file["big"] = values.astype(">f4")
        file["text"] = "words"
        file.create_dataset("chunked", data=values, chunks=(1, 12))
        file.create_dataset("never written", (2, 12), np.float32)
        file.create_dataset("empty", data=h5py.Empty("f"))
        external = [(str(tmp_path / "raw.bin"), 0, values.nbytes)]
        file.create_dataset("external", values.shape, values.dtype, external=external)
        compound = np.dtype([("real", "f4"), ("imag", "f4")])
        file.create_dataset("fields", data=np.zeros(3, compound))
    with h5py.File(tmp_path / "x.h5") as plain, open_hdf5(tmp_path / "x.h5") as file:
        located = {name for name, item in plain.items() if StoredArray.of(item)}
        assert located == {"plain"} and locate(file) is None
        stored = StoredArray.of(file["plain"])
    assert np.array_equal(map_arrays(tmp_path / "x.h5", {"a": stored})["a"], values)


def test_text_beside_the_arrays_does_not_matter_but_a_user_block_does(tmp_path):
    for name, block in (("plain.h5", 0), ("matlab.h5", 512)):
        with h5py.File(tmp_path / name, "w", userblock_size=block) as file:
            file["kspace"], file["header"] = np.ones((2, 3), np.complex64), "words"
    with open_hdf5(tmp_path / "plain.h5") as file:
        assert locate(file).keys() == {"kspace"}
    with open_hdf5(tmp_path / "matlab.h5") as file:
        assert locate(file) is None
