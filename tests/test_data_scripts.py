"""The scripts beside the package, run as a user runs them."""

import errno
import runpy
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from mrirecon import cli
from mrirecon.commands import check as check_command, split as split_command
from mrirecon.readers import open_scan
from mrirecon.simulation.raw_files import write_fastmri
from tests import scenes
from tests.commands import run

NAMES = ("train", "val", "test")
SCRIPTS = Path(__file__).parents[1] / "data_scripts"


def check(folder, *options):
    done = run(SCRIPTS / "check_folder.py", folder, *options, folder=Path.cwd())
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def test_check_folder_reports_damage_and_leaks(tmp_path):
    for split, subject in (
        ("multicoil_train", 0),
        ("multicoil_val", 1),
        ("singlecoil_train", 0),
    ):
        write_fastmri(tmp_path / split / f"file{subject}.h5", scenes.scan(subject))
    code, report = check(tmp_path)
    assert code == 0 and "3 readable files, 0 damaged, 0 leaks" in report
    assert "multicoil_train: 1 volumes, 2 slices, 1 patients" in report and "AXT2 1" in report
    assert "not looked at" not in report
    (tmp_path / "multicoil_val" / "twix.dat").write_bytes(b"another format")
    write_fastmri(tmp_path / "multicoil_val" / "again.h5", scenes.scan(0))
    (tmp_path / "multicoil_val" / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n cut")
    code, report = check(tmp_path)
    assert code == 1 and report.count("DAMAGED") == 1 and "cut.h5" in report
    assert "share 1 patients, for instance subject0000" in report
    assert 'not looked at, of other names: 1 .dat; --pattern "*"' in report


def split(*arguments):
    return run(SCRIPTS / "split_folder.py", *arguments, folder=Path.cwd())


def test_patients_are_split_as_a_whole(tmp_path):
    for subject in range(5):
        for contrast in ("a", "b"):
            write_fastmri(tmp_path / "raw" / f"{subject}{contrast}.h5", scenes.scan(subject))
    done = split(tmp_path / "raw", tmp_path / "out", "--fractions", "0.6", "0.2", "0.2")
    assert done.returncode == 0 and not done.stderr, done.stderr
    few = split(tmp_path / "raw", tmp_path / "few")  # a tenth of five patients is none
    assert few.returncode == 0 and "is empty: 5 patients are too few" in few.stderr
    files = {n: sorted(p.name for p in (tmp_path / "out" / n).iterdir()) for n in NAMES}
    assert [len(files[name]) for name in NAMES] == [6, 2, 2]
    assert all({f"{name[0]}a.h5", f"{name[0]}b.h5"} <= set(m) for m in files.values() for name in m)
    again = split(tmp_path / "raw", tmp_path / "out")
    assert again.returncode and "exists already" in again.stderr
    other = split(tmp_path / "raw", tmp_path / "o2", "--fractions", "0.6", "0.2", "0.2", "--seed=1")
    assert other.returncode == 0
    moved = {n: sorted(p.name for p in (tmp_path / "o2" / n).iterdir()) for n in NAMES}
    assert moved != files


def test_a_split_appears_complete_or_not_at_all(tmp_path, monkeypatch):
    write_fastmri(tmp_path / "raw" / "a.h5", scenes.scan(0))
    (tmp_path / "file").write_text("precious")
    link, full = Path.symlink_to, OSError(errno.ENOSPC, "No space left on device")

    def run(output, *options):
        words = ["mrirecon split", str(tmp_path / "raw"), str(tmp_path / output), *options]
        monkeypatch.setattr(sys, "argv", words)
        split_command.main()

    monkeypatch.setattr(Path, "symlink_to", lambda *_: (_ for _ in ()).throw(full))
    with pytest.raises(SystemExit, match=r"out cannot be written: .*No space left"):
        run("out")
    monkeypatch.setattr(Path, "symlink_to", link)
    with pytest.raises(SystemExit, match="file is a file, expected a folder"):
        run("file/out")
    with pytest.raises(SystemExit, match="three that sum to 1"):
        run("out", "--fractions", "nan", "0", "0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "raw"]
    run("out")
    assert (tmp_path / "out" / "train" / "a.h5").resolve() == tmp_path / "raw" / "a.h5"
    with pytest.raises(SystemExit, match="exists already; choose another folder"):
        run("out")


def test_one_file_that_fails_otherwise_is_damaged_too(tmp_path, monkeypatch, capsys):
    for name in ("a", "b"):
        write_fastmri(tmp_path / f"{name}.h5", scenes.scan(0))
    opened = check_command.open_scan

    def fails(file, **options):
        if file.name == "a.h5":
            raise MemoryError("too large")
        return opened(file, **options)

    monkeypatch.setattr(check_command, "open_scan", fails)
    monkeypatch.setattr(sys, "argv", ["mrirecon check", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        check_command.main()
    told = capsys.readouterr().out
    assert stop.value.code == 1 and "a.h5: MemoryError: too large" in told
    assert "1 readable files, 1 damaged" in told


def test_a_damaged_raw_file_is_none_of_its_reference(tmp_path):
    write_fastmri(tmp_path / "a.h5", scenes.scan(0))
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["kspace"][0, 0, 0, 0] = np.nan
    code, report = check(tmp_path)
    assert code == 1 and "0 readable files, 1 damaged, 0 leaks\n" in report


def test_the_demo_clears_nothing_but_its_own(tmp_path):
    (tmp_path / "precious.txt").write_text("keep")
    done = subprocess.run(
        [sys.executable, SCRIPTS / "demo.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0 and "holds files that no demo made" in done.stderr
    assert (tmp_path / "precious.txt").exists()


def test_a_folder_is_packed_and_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    for subject in range(2):
        write_fastmri(tmp_path / "raw" / f"{subject}.h5", scenes.scan(subject))

    def run(script, *arguments):  # in this process, which has imported everything already
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        return capsys.readouterr().out

    def refused(*arguments):
        monkeypatch.setattr(sys, "argv", ["pack", *map(str, arguments)])
        with pytest.raises(SystemExit) as error:
            runpy.run_path(str(SCRIPTS / "pack_dataset.py"), run_name="__main__")
        return str(error.value)

    paths = tmp_path / "raw", tmp_path / "out"
    assert "2 scans packed, 4 slices" in run("pack_dataset.py", *paths, "--crop-readout")
    assert "--existing skip keeps it" in refused(*paths)
    (tmp_path / "out" / "1.h5").unlink()
    assert "1 scans packed, 2 slices; 1 were there" in run(
        "pack_dataset.py", *paths, "--existing", "skip"
    )
    for path in (tmp_path / "out").iterdir():
        open_scan(path).verify()
    wrong = refused(*paths, "--maps", "espritt", "--existing", "replace")
    assert "--maps: there is no espritt; choose one of" in wrong


def test_references_are_no_damaged_raw_files(tmp_path):
    write_fastmri(tmp_path / "raw" / "a.h5", scenes.scan(0, slices=1))
    (tmp_path / "reference").mkdir()
    with h5py.File(tmp_path / "reference" / "a.h5", "w") as file:
        file["reconstruction_rss"] = np.ones((1, 8, 8), np.float32)
    code, report = check(tmp_path)
    assert code == 0
    assert "1 readable files, 0 damaged, 0 leaks, 1 without k-space that hold images" in report


@pytest.mark.parametrize("name", ["check", "split", "pack", "convert", "compare", "inspect"])
def test_plain_commands_have_help_and_scripts_of_the_same_kind(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mrirecon", name, "--help"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0 and f"usage: mrirecon {name}" in capsys.readouterr().out


def test_comparing_says_what_is_wrong(tmp_path, monkeypatch):
    write_fastmri(tmp_path / "a.h5", scenes.scan(0, slices=1, matrix=(64, 64)))
    for arguments, message in (
        ([tmp_path / "b.h5"], "no such file"),
        ([tmp_path / "a.h5", "--slice", "3"], "has slices 0 to 0, not 3"),
    ):
        monkeypatch.setattr(sys, "argv", ["mrirecon", "compare", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert message in str(end.value.code)
