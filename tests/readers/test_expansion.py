"""Small files that would fill the memory are refused by what they tell, before it is read."""

import struct
import zlib
from zipfile import ZIP_DEFLATED, ZipFile

import h5py
import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError, RawDataError
from mrirecon.raw.header import LARGEST_XML, parse_header
from mrirecon.raw.memory import memory
from mrirecon.readers import expansion, open_scan
from mrirecon.readers.expansion import refuse_expansion
from mrirecon.training.checkpoint import read_state
from tests.readers.array_files import old_mat, random, write_hdf5
from tests.readers.mrd_files import MrdFile

KSPACE = random(2, 2, 8, 6)
ZEROS = np.zeros((2, 2, 300, 300), np.complex64)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """What is large here: 1 MB."""
    monkeypatch.setattr(expansion, "LARGE", 2**20)


def npz(path):
    np.savez_compressed(path, kspace=ZEROS)


def mat(path):
    old_mat(path, "kspace", ZEROS, do_compression=True)


def hdf5(path, values=ZEROS, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=values, compression="gzip", **options)


def one_chunk(path):
    hdf5(path, chunks=ZEROS.shape)


def reference(path):
    write_hdf5(path, kspace=KSPACE)
    with h5py.File(path, "r+") as file:
        image = np.zeros((2, 2000, 2000), np.float32)
        file.create_dataset("reconstruction_rss", data=image, compression="gzip")


def mask(path):
    write_hdf5(path, kspace=KSPACE)
    with h5py.File(path, "r+") as file:
        file.create_dataset("mask", data=np.zeros((2000, 2000)), compression="gzip")


def rows(path):
    MrdFile().lines().write(path)
    with h5py.File(path, "r+") as file:
        kept = file["dataset/data"][:1]
        del file["dataset/data"]
        options = {"chunks": (2000,), "compression": "gzip"}
        file["dataset"].create_dataset("data", (20000,), kept.dtype, **options)
        for first in range(0, 20000, 2000):
            file["dataset/data"][first : first + 2000] = kept.repeat(2000)


@pytest.mark.parametrize("write", [npz, mat, one_chunk, reference, mask])
def test_zeros_beyond_all_measure_are_refused(tmp_path, write):
    path = tmp_path / ("a.npz" if write is npz else "a.mat" if write is mat else "a.h5")
    write(path)
    with pytest.raises(RawDataError, match=rf"{path}: .* in memory, of .* the limit .* 100 times"):
        scan = open_scan(path)
        scan[0]


def test_more_rows_than_fit_into_the_memory_are_refused(tmp_path, monkeypatch):
    rows(tmp_path / "a.h5")
    monkeypatch.setattr(expansion, "memory", lambda: 2**20)
    with pytest.raises(RawDataError, match=r"'/dataset/data' takes 6\.. MB in memory.*512\.0 kB"):
        open_scan(tmp_path / "a.h5")


def test_what_noise_compresses_to_is_read(tmp_path):
    values = random(2, 2, 300, 300)
    values[..., ::4] = 0
    np.savez_compressed(tmp_path / "a.npz", kspace=values, mask=np.ones(300))
    hdf5(tmp_path / "slices.h5", ZEROS[:, :1], chunks=(1, 1, 300, 300))  # each is small
    assert np.array_equal(open_scan(tmp_path / "a.npz")[1].kspace, values[1])
    assert not open_scan(tmp_path / "slices.h5")[0].kspace.any()


def test_half_of_the_memory_is_the_limit():
    refuse_expansion("x", memory() // 2, memory() // 2)
    with pytest.raises(RawDataError, match=r"x takes .*GB.*half of this machine's memory"):
        refuse_expansion("x", memory(), memory() // 2 + 1)


def test_a_mat_file_that_tells_less_than_it_holds_is_not_expanded_further(tmp_path):
    path = tmp_path / "a.mat"
    old_mat(path, "kspace", KSPACE)
    whole = path.read_bytes()
    element = struct.pack("<II", 14, 64) + bytes(2**24)  # tells 64 bytes, holds 16 MB
    content = zlib.compress(element)
    path.write_bytes(whole[:128] + struct.pack("<II", 15, len(content)) + content)
    with pytest.raises(RawDataError, match=r"a\.mat"):
        open_scan(path)


@pytest.mark.parametrize("chunks", [None, (1,)])
def test_rows_beyond_the_file_are_refused(tmp_path, chunks):
    MrdFile().lines().write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        kept = file["dataset/data"][:1]
        del file["dataset/data"]
        file["dataset"].create_dataset("data", (10**12,), kept.dtype, chunks=chunks)
        if chunks:
            file["dataset/data"][:1] = kept
    with pytest.raises(RawDataError, match=r"a\.h5.*data'"):
        open_scan(tmp_path / "a.h5")


def test_a_header_of_any_size_is_refused():
    with pytest.raises(RawDataError, match=rf"expected at most {LARGEST_XML}"):
        parse_header("<a/>" * (LARGEST_XML // 4) + " ")


def test_a_compressed_checkpoint_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(9)}, tmp_path / "a.pt")
    assert read_state(tmp_path / "a.pt")["weight"].shape == (9,)
    with (
        ZipFile(tmp_path / "a.pt") as whole,
        ZipFile(tmp_path / "b.pt", "w", ZIP_DEFLATED) as packed,
    ):
        for one in whole.infolist():
            packed.writestr(one.filename, whole.read(one))
    with pytest.raises(ConfigError, match="compressed archive"):
        read_state(tmp_path / "b.pt")
