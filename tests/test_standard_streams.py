"""Commands whose output nobody reads, or which have none."""

import os
import subprocess
import sys

import pytest

from mrirecon import interruption
from tests.readers.mrd_files import MrdFile


def unread(folder, *arguments, both=False, lines=0, closed=()):
    """Run a command into a pipe that is closed after some lines; returns status and complaints."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "mrirecon.cli", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT if both else subprocess.PIPE, text=True,
        cwd=folder, preexec_fn=lambda: [os.close(one) for one in closed],
    ) as process:  # fmt: skip
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        complaints = "" if both else process.stderr.read()
        return process.wait(120), complaints


@pytest.mark.parametrize(
    ("arguments", "both"),
    [
        (["--version"], False),
        (["models", "pretrained"], False),
        (["models", "--json"], True),
        (["train", "--help"], False),
        (["completion"], True),
        (["inspect", "a.h5"], False),
        (["reconstruct", "--cfg", "job"], True),
    ],
)
def test_what_only_prints_ends_quietly(arguments, both, tmp_path):
    MrdFile(shape=(1, 2, 16, 12)).lines().write(tmp_path / "a.h5")
    assert unread(tmp_path, *arguments, both=both) == (141, "")


def test_an_error_keeps_its_status_and_words(tmp_path):
    status, complaints = unread(tmp_path, "models", "nothing")
    assert status == 1 and complaints.startswith("mrirecon models: ")
    assert unread(tmp_path, "models", "nothing", both=True)[0] == 1


def test_files_are_whole_or_not_there(tmp_path):
    for name in "abc":
        MrdFile(shape=(2, 2, 16, 12)).lines().lines(slice_=1).write(tmp_path / f"{name}.h5")
    status, complaints = unread(
        tmp_path, "reconstruct", "input=.", "output=out", "model=zero_filled", "formats=[hdf5]"
    )
    assert (status, complaints) == (141, "")
    assert {path.name for path in tmp_path.glob("out/*")} <= {"a.h5", "b.h5", "c.h5"}
    assert len(list(tmp_path.glob("out/*"))) < 3


def test_a_training_would_save_itself():
    """What is deferred is noted, and what is written after it vanishes."""
    script = """
import os
from mrirecon import interruption
from mrirecon.standard_streams import heard

reading, writing = os.pipe()
kept = os.dup(2)
os.dup2(writing, 1), os.dup2(writing, 2), os.close(reading), os.close(writing)
with heard(), interruption.interruptible(), interruption.deferred(say="wait"):
    print("nobody reads this", flush=True)
    print("nor this", flush=True)
    os.write(kept, str(interruption.requested()).encode())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, str(interruption.PIPE))


def test_a_closed_output_is_an_empty_one(tmp_path):
    raw = MrdFile(shape=(1, 2, 16, 12)).lines().write(tmp_path / "a.h5")
    status, complaints = unread(
        tmp_path, "reconstruct", f"input={raw}", "output=out", "model=zero_filled",
        "formats=[hdf5,nifti]", closed=(0, 1),
    )  # fmt: skip
    assert (status, "Traceback" in complaints) == (0, False), complaints
    assert sorted(path.name for path in tmp_path.glob("out/*")) == ["a.h5", "a.json", "a.nii.gz"]
