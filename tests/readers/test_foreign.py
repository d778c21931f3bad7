import gzip
import io
import json
import pickle
import zipfile

import h5py
import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.readers import open_scan


@pytest.mark.parametrize("name", ["fid", "ser", "rawdata.job0"])
def test_bruker_is_named_for_the_folder_and_its_data(tmp_path, name):
    for other in (name, "acqp", "method"):
        (tmp_path / other).write_bytes(b"\x01" * 64)
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(RawDataError, match=r"Bruker ParaVision .* brukerapi"):
            open_scan(path)


@pytest.mark.parametrize("names", [("A.RAW", "A.LAB", "A.SIN"), ("a.data", "a.list")])
def test_philips_is_named(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(b"\x01" * 64)
    with pytest.raises(RawDataError, match=r"Philips raw data .* philips_to_ismrmrd"):
        open_scan(tmp_path / names[0])


def test_philips_list_files_by_their_first_line(tmp_path):
    path = tmp_path / "scan.txt"
    path.write_bytes(b"# === DATA DESCRIPTION FILE =====================\n#\n")
    with pytest.raises(RawDataError, match="Philips"):
        open_scan(path)


def test_other_unknown_files_and_folders_are_described_as_before(tmp_path):
    (tmp_path / "lonely.raw").write_bytes(b"\x01" * 64)
    with pytest.raises(RawDataError, match="no HDF5 file, it starts with"):
        open_scan(tmp_path / "lonely.raw")
    with pytest.raises(RawDataError, match="is a folder with 1 files"):
        open_scan(tmp_path)


def zipped(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"1")
    return content.getvalue()


def saved(**options):
    content = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, content, **options)
    return content.getvalue()


def safetensors(size=1):
    named = {f"w{n}": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in range(size)}
    head = json.dumps(named).encode()
    return len(head).to_bytes(8, "little") + head + bytes(4)


NIFTI = bytes(344) + b"n+1\0" + bytes(80)
IMAGES, WEIGHTS, UNPACK = "images, not k-space", "give it as checkpoint=FILE", "unpack it"
NO_RAW_DATA = {
    "a NIfTI file,": (NIFTI, IMAGES),
    "a NIfTI file, compressed": (gzip.compress(NIFTI), IMAGES),
    "a NIfTI-2 file": (b"\x1c\x02\0\0n+2\0\r\n\x1a\n" + bytes(500), IMAGES),
    "a DICOM file": (bytes(128) + b"DICM" + bytes(90), IMAGES),
    "a PNG picture": (b"\x89PNG\r\n\x1a\n" + bytes(40), IMAGES),
    "a JPEG picture": (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(40), IMAGES),
    "an NRRD file": (b"NRRD0004\ntype: float\n", IMAGES),
    "a zip archive": (zipped("scan.h5"), UNPACK),
    "a damaged zip archive": (zipped("scan.h5")[:30], "download it again"),
    "a gzip archive": (gzip.compress(b"\x89HDF\r\n\x1a\n" + bytes(40)), UNPACK),
    "a tar archive": (b"scan.h5".ljust(257, b"\0") + b"ustar\0" + bytes(250), UNPACK),
    "a PyTorch checkpoint,": (saved(), WEIGHTS),
    "a PyTorch checkpoint, ": (saved(_use_new_zipfile_serialization=False), WEIGHTS),
    "a safetensors file,": (safetensors(), WEIGHTS),
    "a safetensors file, ": (safetensors(200), WEIGHTS),
    "a Python pickle": (pickle.dumps({"a": 1}), "not opened"),
    "an Office document": (zipped("[Content_Types].xml", "word/document.xml"), "no k-space"),
    "a PDF document": (b"%PDF-1.7\n%\xe2\xe3", "no k-space"),
    "a web page": (b"\n <!DOCTYPE html><html>", "download the raw file again"),
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    "a JSON text": (b'{"a": 1}', "no k-space"),
    "a text that starts with 'grüße'": ("grüße".encode("utf-16"), "no k-space"),
    "a file that starts with zeros only": (bytes(9000), "repeat it"),
}


@pytest.mark.parametrize("name", NO_RAW_DATA)
def test_what_is_no_raw_data_is_named_with_what_to_do(name, tmp_path):
    content, words = NO_RAW_DATA[name]
    path = tmp_path / "scan.h5"  # whatever it is called
    path.write_bytes(content)
    with pytest.raises(RawDataError) as error:
        open_scan(path)
    text = str(error.value)
    assert f"is {name.strip()}" in text and words in text and "\n" not in text
    assert "starts with b" not in text


def test_a_folder_of_images_is_named(tmp_path):
    for name in ("IM0001", "IM0002"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" + bytes(90))
    with pytest.raises(RawDataError, match=r"folder of images \(a DICOM file\): it holds images"):
        open_scan(tmp_path)


HDF5_IMAGES = {
    "image": (np.float32, "real numbers are images"),
    "T1w/volume": (np.uint16, "real numbers are images"),
    "reconstruction": (np.float32, "'reconstruction' was made of k-space"),
    "reconstruction_rss": (np.float32, "'reconstruction_rss' was made of k-space"),
    "reconstruction_complex": (np.complex64, "'reconstruction_complex' was made of k-space"),
    "dataset/image_0/data": (np.float32, "'dataset/image_0/data' was made of k-space"),
    "maps": (np.complex64, "'maps' was made of k-space"),
}


@pytest.mark.parametrize("name", HDF5_IMAGES)
@pytest.mark.parametrize("shape", [(3, 8, 7), (3, 8, 6), (3, 8, 2)])
def test_images_in_hdf5_are_told(name, shape, tmp_path):
    kind, words = HDF5_IMAGES[name]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = np.ones(shape, kind)
    with pytest.raises(RawDataError, match=r"mrirecon evaluate|reading\.variable=NAME") as error:
        open_scan(tmp_path / "a.h5")
    pairs = shape[-1] == 2 and "made" not in words  # which may be k-space
    text = str(error.value)
    assert (words in text) != pairs and ("reading.variable" in text) == pairs


def test_magnitudes_are_not_advised_to_be_pairs_only(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = np.ones((8, 8, 2), np.float32)
    with pytest.raises(RawDataError, match=r"if the last axis holds .* if these are magnitudes"):
        open_scan(tmp_path / "a.h5")
