import h5py
import numpy as np
import pytest

from mrirecon.errors import RawDataError
from mrirecon.readers import READERS, open_scan
from tests.readers.mrd_files import MrdFile


def refused(path, words):
    with pytest.raises(RawDataError, match=words) as error:
        open_scan(path)
    assert str(error.value).startswith(str(path))


def test_missing_file_folder_empty_file(tmp_path):
    refused(tmp_path / "nothing.h5", "no such file")
    (tmp_path / "a.h5").touch()
    refused(tmp_path / "a.h5", "is empty")
    refused(tmp_path, r"is a folder with 1 files \(a.h5\), expected one raw file")


def test_text_file_named_h5(tmp_path):
    path = tmp_path / "scan.h5"
    path.write_text("404 not found")
    refused(
        path, "is a text that starts with '404 not found', expected a raw file: it holds no k-space"
    )


def test_truncated_hdf5(tmp_path):
    path = MrdFile().lines().write(tmp_path / "scan.h5")
    path.write_bytes(path.read_bytes()[:-500])
    refused(path, "truncated; copy or download it again")


def test_damaged_hdf5(tmp_path):
    path = tmp_path / "scan.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\xff" * 500)
    refused(path, "damaged")


def test_unknown_layout_lists_what_is_there(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["images/T1w"] = np.zeros((4, 5), np.float32)
        file.create_group("nothing")
    refused(path, r"images/T1w \(4, 5\) float32, nothing/ \(empty\); expected one of ISMRMRD")


def test_unreadable_dataset(tmp_path):
    # a chunk whose compressed bytes are overwritten
    path = tmp_path / "scan.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        kspace = rng.standard_normal((1, 1, 64, 64)).astype(np.complex64)
        data = file.create_dataset("kspace", data=kspace, chunks=kspace.shape, compression="gzip")
        chunk = data.id.get_chunk_info(0)
    with path.open("r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\x00" * 200)
    refused(path, "dataset '/kspace' cannot be read")


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({"xml": b"<a/>", "data": np.zeros(3)}, "expected a list of acquisitions"),
        ({"xml": b"<a/>", "data": np.zeros(3, [("head", [("flags", "<u8")]), ("data", "<f4")])},
         "headers lack .*version"),
    ],
)  # fmt: skip
def test_ismrmrd_look_alikes(tmp_path, layout, words):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        for name, value in layout.items():
            file[f"dataset/{name}"] = value
    refused(path, words)


def test_the_suffix_does_not_matter(tmp_path):
    assert open_scan(str(MrdFile().lines().write(tmp_path / "scan.mrd"))).header.name == "scan.mrd"


def test_every_reader_is_listed(tmp_path):
    (tmp_path / "a").write_bytes(b"\1\2\3")
    with pytest.raises(RawDataError) as error:
        open_scan(tmp_path / "a")
    assert all(reader.format in str(error.value) for reader in READERS)


def test_a_file_that_another_program_holds_is_not_called_damaged(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    path = MrdFile((1, 1, 8, 6)).lines().write(tmp_path / "scan.h5")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # as the HDF5 library of a writer does
        with pytest.raises(RawDataError, match="another program holds it open for writing"):
            open_scan(path)
    assert len(open_scan(path)) == 1
