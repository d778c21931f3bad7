import json
import os
import pickle

import h5py
import pytest
import torch

from mrirecon.data import index
from mrirecon.data.folder import Folder
from mrirecon.errors import RawDataError
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd
from tests import scenes
from tests.readers.mrd_files import MrdFile


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    write_ismrmrd(folder / "a.h5", scenes.scan(slices=2))
    write_fastmri(folder / "b.h5", scenes.scan())
    MrdFile().lines(contrast=0).lines(contrast=1).write(folder / "c.h5")
    return folder


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that were opened for their headers."""
    names = []

    def spy(path, reading=None, folder=None):
        names.append(path.name)
        return open_scan(path, reading, folder)

    monkeypatch.setattr(index, "open_scan", spy)
    return names


def test_headers_are_read_once_and_come_back_as_they_were(folder, opened):
    first = [scan.header for scan in Folder(folder)]
    assert opened == ["a.h5", "b.h5", "c.h5"]
    opened.clear()
    second = Folder(folder)
    assert [scan.header for scan in second] == first and opened == []
    for scan in second:
        direct = open_scan(folder / scan.header.name)
        assert scan.header == direct.header
        assert len(scan) == len(direct)
        torch.testing.assert_close(scan[0].kspace, direct[0].kspace)
    again = pickle.loads(pickle.dumps(second))
    assert again[0].header == first[0]


def test_only_changed_and_new_files_are_read_again(folder, opened):
    Folder(folder)
    opened.clear()
    MrdFile(seed=9).lines().write(folder / "d.h5")
    os.utime(folder / "b.h5", (1, 1))
    Folder(folder)
    assert sorted(opened) == ["b.h5", "d.h5"]
    opened.clear()
    Folder(folder, reading=ReadOptions(fourier_sign=-1), pattern="[acd].h5")
    assert opened == ["a.h5", "c.h5", "d.h5"]  # read in another way


def test_the_index_is_json_and_a_damaged_one_is_made_anew(folder, opened):
    Folder(folder)
    place = index.index_path(folder, ReadOptions())
    entries = json.loads(place.read_text())
    assert list(entries) == ["a.h5", "b.h5", "c.h5"]
    assert entries["a.h5"]["header"]["slices"] == 2
    for damage in ("", "[]", place.read_text()[:50], json.dumps({"a.h5": {"size": 1}})):
        place.write_text(damage)
        opened.clear()
        assert len(Folder(folder)) == 3 and len(opened) == 3
        Folder(folder)
        assert len(opened) == 3


def test_another_content_version_reads_anew(folder, opened, monkeypatch):
    Folder(folder)
    monkeypatch.setattr(index, "CONTENT", 99)
    opened.clear()
    Folder(folder)
    assert len(opened) == 3


def test_bad_files_are_remembered_with_their_reasons(folder, opened, capsys):
    (folder / "bad.h5").write_text("text")
    for expected in (4, 0):
        assert len(Folder(folder, skip_unreadable=True)) == 3
        assert len(opened) == expected
        opened.clear()
        assert "bad.h5: is a text that" in capsys.readouterr().err


def test_an_index_that_cannot_be_kept_is_told(folder, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(Folder(folder)) == 3
    assert "could not be kept" in capsys.readouterr().err


def test_small_scans_stay_open_and_changed_files_are_opened_again(folder, opened, monkeypatch):
    scans = Folder(folder)
    monkeypatch.setattr(index, "_open", index._open.__wrapped__)  # as when too many are open
    opened.clear()
    for _ in range(3):
        for scan in scans:
            scan[0]
    assert sorted(opened) == ["a.h5"] * 3 + ["b.h5"] + ["c.h5"] * 3  # b is of the fastMRI layout
    assert pickle.loads(pickle.dumps(scans))[1][0].key == ("b.h5", 0)
    with h5py.File(folder / "b.h5", "r+") as file:
        file["kspace"][...] *= 2
    os.utime(folder / "b.h5", (1, 1))
    assert scans[1][0].kspace.equal(open_scan(folder / "b.h5")[0].kspace)
    (folder / "b.h5").unlink()
    write_fastmri(folder / "b.h5", scenes.scan(subject=5))
    with pytest.raises(RawDataError, match=r"subject was .*, is "):
        scans[1][0]
