"""Another installed package brings a reader of its own."""

import numpy as np
import pytest
import torch

from mrirecon.data.folder import Folder
from mrirecon.errors import RawDataError
from mrirecon.readers import open_scan
from mrirecon.readers.installed import installed_readers

READER = """
import numpy as np
import torch

from mrirecon.readers.base import FileScan
from mrirecon.scan import ScanHeader
from mrirecon.types import Sample


class OurLabScan(FileScan):
    format, layout = "OurLab", "a text file that begins with OURLAB"

    @classmethod
    def detect(cls, path):
        return path.read_bytes()[:6] == b"OURLAB"

    def __init__(self, path, reading=None):
        super().__init__(path, reading)
        self.value = float(path.read_text().split()[1])
        self.header = ScanHeader(
            name=path.name, format=self.format, slices=2, coils=3, grid=(8, 6), canvas=(8, 6),
            matrix=(8, 6),
        )

    def __len__(self):
        return 2

    def _read(self, index):
        self.check(index)
        kspace = torch.full((3, 8, 6), self.value, dtype=torch.complex64)
        return Sample(kspace, torch.ones(1, 6, dtype=torch.bool), key=(self.header.name, index))


class Unfinished(FileScan):
    format = "unfinished"


class Doubtful(OurLabScan):
    format = "doubtful"

    @classmethod
    def detect(cls, path):
        return np.load(path) is not None
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package, as far as Python's metadata are concerned; returns what announces."""
    folder = tmp_path / "site"
    (folder / "ourlab-1.0.dist-info").mkdir(parents=True)
    (folder / "ourlab_reader.py").write_text(READER)
    (folder / "ourlab-1.0.dist-info" / "METADATA").write_text("Name: ourlab\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(folder)

    def announce(**readers):
        lines = "".join(f"{name} = {value}\n" for name, value in readers.items())
        (folder / "ourlab-1.0.dist-info" / "entry_points.txt").write_text(
            f"[mrirecon.readers]\n{lines}"
        )
        installed_readers.cache_clear()

    yield announce
    installed_readers.cache_clear()


def scan_file(folder, name="scan.lab", content="OURLAB 2.5"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    return folder / name


def test_its_files_are_read_wherever_scans_are(package, tmp_path):
    file = scan_file(tmp_path / "raw")
    with pytest.raises(RawDataError, match="starts with 'OURLAB"):
        open_scan(file)
    package(ourlab="ourlab_reader:OurLabScan")
    scan = open_scan(file)
    assert scan.header.format == "OurLab" and len(scan) == 2
    assert torch.equal(scan[1].kspace, torch.full((3, 8, 6), 2.5, dtype=torch.complex64))
    (folder_scan,) = Folder(tmp_path / "raw")
    assert torch.equal(folder_scan[0].kspace, scan[0].kspace)
    np.save(tmp_path / "raw" / "other.npy", np.full((2, 3, 16, 16), 1j, np.complex64))
    assert open_scan(tmp_path / "raw" / "other.npy").header.format != "OurLab"
    with pytest.raises(RawDataError, match="expected one of OurLab, "):
        open_scan(scan_file(tmp_path / "raw", "other", "\x01\x02"))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("ourlab_reader:NoSuch", r"cannot be loaded \(AttributeError"),
        ("no_such_module:Scan", r"cannot be loaded \(ModuleNotFoundError"),
        ("ourlab_reader:torch", r"is <module .*expected a subclass of .*FileScan"),
        ("ourlab_reader:Sample", r"is <class .*expected a subclass of .*FileScan"),
        ("ourlab_reader:Unfinished", r"lacks __init__, _read, detect, layout"),
    ],
)
def test_a_broken_reader_keeps_nobody_from_reading(package, tmp_path, value, words):
    package(broken=value, ourlab="ourlab_reader:OurLabScan")
    with pytest.warns(UserWarning, match=rf"reader broken .* of ourlab is left out: it {words}"):
        scan = open_scan(scan_file(tmp_path / "raw"))
    assert scan.header.format == "OurLab"


def test_a_reader_that_fails_at_other_files_says_no(package, tmp_path):
    package(a="ourlab_reader:Doubtful", ourlab="ourlab_reader:OurLabScan")
    with pytest.warns(UserWarning, match=r"Doubtful cannot tell .*scan|taken to say no"):
        assert open_scan(scan_file(tmp_path / "raw")).header.format == "OurLab"
