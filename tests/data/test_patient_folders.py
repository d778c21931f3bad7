"""Data sets that keep a folder per patient, with equal file names in each."""

import json
import os
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch

from mrirecon import cli
from mrirecon.commands.outputs import Outputs
from mrirecon.data import index
from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.folder import Folder
from mrirecon.data.raw_files import raw_files
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.errors import ConfigError, OutputError, RawDataError
from mrirecon.evaluation.scores.volumes import volume_files
from mrirecon.files import Existing
from mrirecon.pseudonyms import patient_pseudonym
from mrirecon.read_options import ReadOptions
from mrirecon.sampling import RandomLines, scan_rng
from mrirecon.simulation.raw_files import write_fastmri
from tests import scenes
from tests.readers import array_files

SCRIPTS = Path(__file__).parents[2] / "data_scripts"
PATTERN = "P*/cine_lax.mat"
NAMES = ["P001/cine_lax.mat", "P002/cine_lax.mat", "P003/cine_lax.mat"]
LINES = RandomLines(4, acs=4)
MASKED = Compose([Undersample(LINES, seed="scan"), Normalize()])


@pytest.fixture
def cine(tmp_path):
    """Three patients as CMRxRecon has them: the files tell nobody's name; one time for all."""
    folder = tmp_path / "FullSample"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True)
        kspace = scenes.scan(number, slices=1, coils=3)[0].kspace[None, None].numpy()
        array_files.cmrxrecon(folder / name, "kspace_full", kspace)
        os.utime(folder / name, (1, 1))
    return folder


def script(monkeypatch, name, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(SCRIPTS / name), run_name="__main__")


def mrirecon(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["mrirecon", *map(str, arguments)])
    cli.main()


def masks(scans):
    dataset = SliceDataset(scans, MASKED)
    return {dataset[i].key[0]: dataset[i].mask for i in range(len(dataset))}


def below(folder):
    return {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}


def test_names_and_patients_come_from_the_folders_below(cine):
    (cine / ".old" / "P001").mkdir(parents=True)
    (cine / ".old" / "P001" / "cine_lax.mat").write_text("hidden")
    write_fastmri(cine / "P001" / "more" / "told.h5", scenes.scan(7))
    for pattern in (PATTERN, "**/*.mat"):
        scans = Folder(cine, pattern)
        assert [scan.header.name for scan in scans] == NAMES
        assert [scan[0].key for scan in scans] == [(name, 0) for name in NAMES]
        assert [scan.header.subject for scan in scans] == ["P001", "P002", "P003"]
        assert "tells no patient" in scans[0].header.notes[-1]
    (told,) = Folder(cine, "**/*.h5")
    assert told.header.subject == "subject0007"  # the file's own word counts
    assert told.header.name == "P001/more/told.h5"
    assert not any("tells no patient" in note for note in told.header.notes)


def test_only_a_pattern_with_a_slash_looks_below(cine):
    with pytest.raises(RawDataError, match=r"holds no file.*'\*\*/\*' finds those"):
        Folder(cine)
    (scan,) = Folder(cine / "P002")
    assert scan.header.name == "cine_lax.mat" and scan.header.subject is None
    (same,) = Folder(cine / "P002", "**/*.mat")
    assert same.header == scan.header
    for pattern in ("P*/*.h5", "../FullSample/P001/*.mat", "P001/../../*/P002/*.mat"):
        with pytest.raises(RawDataError, match="no file matches"):
            raw_files(cine, pattern)
    for pattern in ("/etc/*", "**.mat/x", ""):
        with pytest.raises(RawDataError, match="cannot be used"):
            raw_files(cine, pattern)


def test_patients_get_masks_of_their_own_and_published_ones_stay(cine):
    found = masks(Folder(cine, PATTERN))
    for name in NAMES:
        assert found[name].equal(LINES((40, 36), scan_rng(name)).mask)
    assert not found[NAMES[0]].equal(found[NAMES[1]])
    (alone,) = masks(Folder(cine / "P001")).values()
    assert alone.equal(LINES((40, 36), scan_rng("cine_lax.mat")).mask)


def test_the_index_tells_patients_apart(cine, monkeypatch):
    """Their files have one name, one size and one time."""
    first = Folder(cine, PATTERN)
    place = index.index_path(cine, ReadOptions())
    assert list(json.loads(place.read_text())) == NAMES
    monkeypatch.setattr(index, "_describe", lambda *_: pytest.fail("read again"))
    again = Folder(cine, PATTERN)
    assert [scan.header for scan in again] == [scan.header for scan in first]
    for number, scan in enumerate(again):
        truth = scenes.scan(number, slices=1, coils=3)[0].kspace
        torch.testing.assert_close(scan[0].kspace, truth)


def test_a_pair_of_bart_files_is_one_scan_in_every_folder(tmp_path, monkeypatch):
    for patient in ("a", "b"):
        (tmp_path / "raw" / patient).mkdir(parents=True)
        array_files.bart(tmp_path / "raw" / patient, array_files.random(20, 16, 1, 2))
    assert [s.header.name for s in Folder(tmp_path / "raw", "**/*")] == [
        "a/kspace.hdr", "b/kspace.hdr",
    ]  # fmt: skip
    script(monkeypatch, "split_folder.py", tmp_path / "raw", tmp_path / "out", "--pattern", "*/*",
           "--fractions", "0.5", "0.5", "0")  # fmt: skip
    (one,), (other,) = (Folder(tmp_path / "out" / name, "**/*") for name in ("train", "val"))
    assert {one.header.name, other.header.name} == {"a/kspace.hdr", "b/kspace.hdr"}
    assert one[0].kspace.any()


def test_splits_share_no_patient_and_keep_names(cine, tmp_path, monkeypatch, capsys):
    for name in NAMES:  # a second scan of each
        kspace = array_files.random(1, 1, 3, 40, 36)
        array_files.cmrxrecon(cine / name.replace("lax", "sax"), "kspace_full", kspace)
    out = tmp_path / "splits"
    script(monkeypatch, "split_folder.py", cine, out, "--pattern", "**/*.mat",
           "--fractions", "0.67", "0.33", "0")  # fmt: skip
    text = capsys.readouterr().out
    assert "2 patients, 4 files" in text and "1 patients, 2 files" in text
    train, val = (SliceDataset(Folder(out / name, "**/*.mat"), MASKED) for name in ("train", "val"))
    assert len(train.subjects) == 2 and train.subjects | val.subjects == {"P001", "P002", "P003"}
    DataModule(train, val)
    assert below(out / "train") | below(out / "val") == below(cine)
    with pytest.raises(SystemExit, match="0"):
        script(monkeypatch, "check_folder.py", out, "--pattern", "*/P*/*.mat")
    assert "train: 4 volumes, 4 slices, 2 patients" in capsys.readouterr().out
    (leaked,) = val.subjects
    (out / "train" / leaked).mkdir()
    (out / "train" / leaked / "new.mat").symlink_to(cine / leaked / "cine_lax.mat")
    with pytest.raises(SystemExit, match="1"):
        script(monkeypatch, "check_folder.py", out, "--pattern", "*/P*/*.mat")
    assert f"share 1 patients, for instance {leaked}" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=f"share the subjects {leaked}"):
        DataModule(SliceDataset(Folder(out / "train", "**/*.mat"), MASKED), val)


def test_packed_scans_keep_names_patients_and_masks(cine, tmp_path, monkeypatch, capsys):
    out = tmp_path / "packed"
    script(monkeypatch, "pack_dataset.py", cine, out, "--pattern", PATTERN)
    assert "3 scans packed" in capsys.readouterr().out
    assert below(out) == {f"{name}.h5" for name in NAMES}
    source, packed = Folder(cine, PATTERN), Folder(out, "**/*.h5")
    assert [scan.header for scan in packed] == [
        replace(scan.header, subject=patient_pseudonym(scan.header.subject)) for scan in source
    ]
    expected = masks(source)
    assert all(mask.equal(expected[name]) for name, mask in masks(packed).items())
    assert all(a[0].kspace.equal(b[0].kspace) for a, b in zip(packed, source, strict=True))
    # one patient packed alone, into a folder of the same name: as if all had been packed
    script(monkeypatch, "pack_dataset.py", cine / "P001", tmp_path / "more" / "P001")
    (alone,) = Folder(tmp_path / "more", "**/*.h5")
    assert alone.header.name == NAMES[0] and alone.header.subject == "P001"


def test_reconstructions_lie_in_equal_folders_and_are_compared(cine, tmp_path, monkeypatch, capsys):
    full, fast, scores = (tmp_path / name for name in ("full", "fast", "scores"))
    given = "reconstruct", f"input={cine}", "pattern=P00[12]/*.mat", "model=zero_filled"
    mrirecon(monkeypatch, *given, f"output={full}", "formats=[hdf5]")
    assert below(full) == {"P001/cine_lax.h5", "P002/cine_lax.h5"}
    assert f"wrote P001/cine_lax.h5 to {full}" in capsys.readouterr().out
    sampling = "sampling=random", "sampling.acceleration=4", "sampling.acs=4"
    mrirecon(monkeypatch, *given, *sampling, f"output={fast}", "formats=[hdf5,qc]",
             "provenance=full")  # fmt: skip
    assert below(fast) == below(full) | {"P001/cine_lax_qc.html", "P002/cine_lax_qc.html"}
    assert "<h1>P002/cine_lax.mat</h1>" in (fast / "P002" / "cine_lax_qc.html").read_text()
    with h5py.File(fast / "P002" / "cine_lax.h5") as file:
        assert file.attrs["name"] == NAMES[1] and file.attrs["patient_id"] == "P002"
    with h5py.File(full / "P002" / "cine_lax.h5") as file:  # by default no folder is told
        assert file.attrs["name"] == "cine_lax.mat"
        assert file.attrs["patient_id"].startswith("anonymous-")
        assert "P002" not in " ".join(map(str, file.attrs.values()))
    mrirecon(monkeypatch, "evaluate", f"reference={full}", f"reconstruction={fast}",
             f"output={scores}", "pictures=2")  # fmt: skip
    rows = (scores / "scores.csv").read_text()
    assert "P001/cine_lax," in rows and "P002/cine_lax," in rows
    assert (scores / "P002" / "comparison_cine_lax.png").is_file()
    (full / "note.h5").touch()
    assert list(volume_files(fast)) == ["P001/cine_lax", "P002/cine_lax"]
    assert list(volume_files(full)) == ["note"]  # and not something else than before
    assert "left out 2 files" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="no file matches"):
        mrirecon(monkeypatch, "reconstruct", f"input={cine}", "pattern=Q*/*", f"output={full}")


def test_maps_and_reports_of_every_patient(cine, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="0"):
        mrirecon(monkeypatch, "inspect", cine, "--pattern", PATTERN, "--json")
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [report["path"] for report in reports] == [str(cine / name) for name in NAMES]
    mrirecon(monkeypatch, "maps", f"input={cine}", "pattern=P00[12]/*", f"output={tmp_path / 'm'}",
             "sensitivity=low_resolution")  # fmt: skip
    expected = {f"P00{n}/cine_lax_maps.{end}" for n in (1, 2) for end in ("h5", "png")}
    assert below(tmp_path / "m") == expected


def test_no_folder_of_raw_files_is_replaced(tmp_path):
    """A DICOM output is a folder, and takes the place of an older one as a whole."""
    raw = [tmp_path / "a.mat", tmp_path / "a_dicom" / "b.mat"]
    with pytest.raises(OutputError, match="would replace an input"):
        Outputs(tmp_path, ["dicom"], raw, Existing.OVERWRITE, source=tmp_path)
    Outputs(tmp_path / "out", ["dicom"], raw, Existing.OVERWRITE, source=tmp_path)
    twins = [tmp_path / "P1" / "a.mat", tmp_path / "P1" / "a.h5", tmp_path / "P2" / "a.h5"]
    with pytest.raises(ConfigError, match="called P1/a up to their ending"):
        Outputs(tmp_path / "out", ["png"], twins, source=tmp_path)


def test_an_empty_folder_and_a_dead_link_are_told_as_what_they_are(tmp_path):
    with pytest.raises(RawDataError, match="the folder holds no file") as caught:
        raw_files(tmp_path)
    assert "cannot be used" not in str(caught.value)
    (tmp_path / "scan.h5").symlink_to("gone.h5")
    with pytest.raises(RawDataError, match=r"scan.h5: is a link to gone.h5, which is not there"):
        raw_files(tmp_path / "scan.h5")
