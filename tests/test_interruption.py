"""Ctrl-C and SIGTERM: exit status, nothing half written, and a training that can go on."""

import os
import runpy
import shlex
import signal
import subprocess
import sys
import time

import pytest
import torch

from mrirecon import interruption
from mrirecon.files import atomic, partials
from mrirecon.interruption import Interrupted
from tests.commands import mrirecon, started
from tests.test_cli import PLAIN
from tests.test_data_scripts import SCRIPTS


def test_a_training_saves_itself_and_tells_how_to_go_on(tmp_path):
    """Sent to the group, as ``timeout`` and Slurm do: workers must not die first."""
    folder = tmp_path / "my run's"
    options = [o for o in PLAIN if o != "data.workers=0"] + ["data.workers=1"]
    words = ["train", *options, "trainer.max_epochs=1000", f"output={folder}"]
    with subprocess.Popen(
        [sys.executable, "-m", "mrirecon.cli", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, bufsize=1,
        start_new_session=True,
    ) as process:  # fmt: skip
        shown = []
        for line in process.stdout:
            shown.append(line)
            if line.startswith("epoch 2 of 1000: train/loss "):
                break
        os.killpg(process.pid, signal.SIGTERM)
        _, complaints = process.communicate(timeout=100)
    assert process.returncode == 143
    last = folder / "checkpoints" / "last.ckpt"
    assert f"mrirecon train: interrupted (SIGTERM); saved {last}" in complaints
    assert "Traceback" not in complaints and "it/s" not in "".join(shown) + complaints
    line = shlex.split(complaints.splitlines()[-1])
    assert line == ["mrirecon", *words, f"resume={last}"]
    state = torch.load(last, weights_only=True)
    assert state["global_step"] >= 4  # two epochs of two slices
    assert not [path for path in folder.rglob("*") if "partial" in path.name]
    resumed = [o.replace("=1000", f"={state['epoch'] + 1}") for o in line[1:]]
    mrirecon(*resumed, "data.workers=0", folder=tmp_path)
    assert (folder / "learning_curve.png").is_file()


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGUSR1, 138),
        (signal.SIGHUP, 129),
    ],
)
def test_other_commands_end_at_once_and_leave_nothing(number, status, tmp_path):
    with started(
        "simulate", "output=scans", "subjects=500", "simulation=demo",
        "simulation.prescription.matrix=[40,36]", "simulation.prescription.slices=1",
        folder=tmp_path,
    ) as (process, done):  # fmt: skip
        while len(list(tmp_path.glob("scans/reference/*.h5"))) < 2 and process.is_alive():
            time.sleep(0.01)
        os.kill(process.pid, number)
        ended = done()
    assert ended.returncode == status
    assert ended.stderr.strip() == f"mrirecon simulate: interrupted ({number.name})"
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left and all(path.name.startswith("subject") for path in left)


def test_the_first_signal_is_noted_and_the_second_stops(monkeypatch, capfd):
    told = []
    monkeypatch.setattr(interruption, "SAME", 0.05)
    before = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(Interrupted, match=r"interrupted \(SIGINT\)") as stop,
        interruption.interruptible(),
        interruption.deferred(told.append, "wait"),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # the same request: `timeout` sends two
        assert interruption.requested() == signal.SIGTERM and told == [signal.SIGTERM]
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second signal stops at once")
    assert stop.value.code == 130
    assert "SIGTERM: wait" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_lost_terminal_raises_no_error_and_nohup_is_respected():
    """What is written to a terminal that is gone would end the training before it is saved."""
    script = """
import os, pty, signal, time
from mrirecon import interruption
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
main, terminal = pty.openpty()
kept = os.dup(2)
os.dup2(terminal, 1), os.dup2(terminal, 2), os.close(terminal)
with interruption.interruptible(), interruption.deferred(say="wait"):
    os.close(main)
    os.kill(os.getpid(), signal.SIGHUP)
    os.write(2, b"nobody reads this"), print("nor this", flush=True)
    os.write(kept, str(int(interruption.requested())).encode())
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with interruption.interruptible():
    os.kill(os.getpid(), signal.SIGHUP)
    os.write(kept, b" and went on")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, f"{int(signal.SIGHUP)} and went on")


class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)  # where Python looks for signals


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_drops_stops_all_the_same(tmp_path):
    def ends():
        Dying()

    def writes():
        Dying()
        with atomic(tmp_path / "a.txt") as part:
            part.write_text("whole")
        pytest.fail("it went on")

    for program in (ends, writes):
        with pytest.raises(Interrupted) as stop:
            interruption.run("mrirecon", program)
        assert stop.value.code == 143
    assert not list(tmp_path.iterdir())


def test_a_signal_is_taken_back_from_a_library():
    with pytest.raises(Interrupted), interruption.interruptible():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(os.getpid(), signal.SIGTERM)
        interruption.watch_again()
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("nothing stopped this")


def test_the_demo_stops_where_a_step_was_interrupted(tmp_path, monkeypatch, capsys):
    demo = runpy.run_path(str(SCRIPTS / "demo.py"))
    names = demo["run"].__globals__
    monkeypatch.setattr(sys, "executable", "/bin/sh")
    for script, status in (("kill -TERM $$", 143), ("exit 130", 130), ("exit 1", 1)):
        monkeypatch.setitem(names, "PROGRAM", ("-c", script))
        with pytest.raises(SystemExit) as stop:
            demo["run"](tmp_path, "train")
        assert stop.value.code == status
    assert "demo: mrirecon train failed" in capsys.readouterr().err


def test_a_signal_during_the_cleaning_up_waits_for_its_end(tmp_path, monkeypatch):
    remove = partials._remove

    def interrupted(folder):
        os.kill(os.getpid(), signal.SIGTERM)
        remove(folder)

    monkeypatch.setattr(partials, "_remove", interrupted)
    with (
        pytest.raises(Interrupted),
        interruption.interruptible(),
        atomic(tmp_path / "a.txt") as part,
    ):
        part.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
