"""``mrirecon reconstruct -``: a raw file on standard input, MRD images on standard output."""

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
import time

import ismrmrd
import numpy as np
import pytest

from mrirecon.readers import open_scan
from mrirecon.terminal import draws_bars
from tests.commands import run
from tests.readers.mrd_files import MrdFile
from tests.readers.test_mrd_stream import serialized

ZERO_FILLED = ("model=zero_filled",)


def pipe(content, *arguments, folder):
    return run("reconstruct", *arguments, folder=folder, given=content)


@pytest.mark.parametrize(
    ("term", "columns", "drawn"), [("xterm", 80, True), ("dumb", 80, False), ("xterm", 0, False)]
)
def test_bars_are_drawn_where_a_line_can_be_drawn_anew(term, columns, drawn, monkeypatch, tmp_path):
    monkeypatch.setenv("TERM", term)
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with (
        os.fdopen(main),
        os.fdopen(other, "w") as terminal,
        tmp_path.joinpath("log").open("w") as file,
    ):
        assert draws_bars(terminal) is drawn
        assert not draws_bars(terminal, file) and not draws_bars(io.StringIO())


def raw():
    return MrdFile(shape=(2, 2, 16, 12)).lines(slice_=0).lines(slice_=1)


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_raw_in_images_out(kind, tmp_path):
    path = raw().write(tmp_path / "a.h5")
    content = serialized(raw()) if kind == "stream" else path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "mrirecon.cli", "reconstruct", "-", *ZERO_FILLED],
        input=content, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert b"stdin: " in done.stderr and b"sent 2 images" in done.stderr
    images = list(ismrmrd.ProtocolDeserializer(io.BytesIO(done.stdout)).deserialize())
    header = open_scan(path).header
    for number, image in enumerate(images):
        truth = np.linalg.norm(raw().image[number].numpy(), axis=0)
        np.testing.assert_allclose(image.data[0, 0], truth.T, rtol=1e-4)
        np.testing.assert_allclose(list(image.position), header.geometry.positions[number])
        assert image.image_index == number + 1
    assert len(images) == 2


def test_standard_input_into_a_folder(tmp_path):
    done = pipe(
        serialized(raw()), "input=-", "output=out", "formats=[nifti]", *ZERO_FILLED,
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and (tmp_path / "out" / "stdin.nii.gz").exists(), done.stderr


def test_a_file_to_standard_output(tmp_path):
    path = raw().write(tmp_path / "a.h5")
    done = pipe(b"", f"input={path}", "output=-", *ZERO_FILLED, folder=tmp_path)
    assert done.returncode == 0 and done.output.endswith(b"\x04\x00")


@pytest.mark.parametrize(
    ("content", "words"), [(b"garbage", "is a text that"), (b"", "the file is empty")]
)
def test_bad_input_sends_nothing(content, words, tmp_path):
    done = pipe(content, "-", folder=tmp_path)
    assert done.returncode and not done.output
    assert words in done.stderr and "Traceback" not in done.stderr


def test_several_files_do_not_fit_one_stream(tmp_path):
    for name in ("a.h5", "b.h5"):
        raw().write(tmp_path / name)
    done = pipe(b"", f"input={tmp_path}", "output=-", folder=tmp_path)
    assert done.returncode and "takes one raw file" in done.stderr and not done.output


def test_a_terminated_run_leaves_no_copy_of_the_raw_data(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "mrirecon.cli", "reconstruct", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as process:  # fmt: skip
        process.stdin.write(b"some of the raw data")
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("stdin")) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert list(tmp_path.rglob("stdin")), "standard input was not copied"
        process.terminate()
        assert process.wait(30) != 0
    assert not list(tmp_path.rglob("stdin"))
