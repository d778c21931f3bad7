"""Threads give way: what others use is looked up, and so many threads fewer compute."""

import os
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from mrirecon import cli, inference, sharing
from mrirecon.commands.trainer import build_trainer
from mrirecon.data.transforms import Compose
from mrirecon.inference import reconstruct_scan
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.sharing import EVERY, Sharing, give_way
from mrirecon.threads import THREADS
from mrirecon.training.callbacks import give_way as callback
from tests import scenes
from tests.test_config import composed

TICK = 100


class Machine:
    """Processors whose times are told as Linux tells them; ours work for this process, too."""

    def __init__(self, folder, monkeypatch, cpus, machine=None):
        self.root, self.now, self.own = folder, 100.0, 5.0
        self.times = {cpu: [0] * 10 for cpu in range(machine or cpus)}
        self.write()
        clock = SimpleNamespace(monotonic=lambda: self.now, process_time=lambda: self.own)
        system = SimpleNamespace(
            sched_getaffinity=lambda _: set(range(cpus)),
            sysconf=lambda _: TICK,
            environ={},
            getpid=lambda: 1,
        )
        monkeypatch.setattr(sharing, "time", clock)
        monkeypatch.setattr(sharing, "os", system)

    def write(self):
        lines = [f"cpu{n} {' '.join(map(str, times))}" for n, times in self.times.items()]
        (self.root / "proc").mkdir(exist_ok=True)
        (self.root / "proc/stat").write_text("\n".join(["cpu  9 9 9 9", *lines, "intr 4 5", ""]))

    def work(self, seconds, others, own=0.0, kind=0, cpu=None):
        """Let others use so many processors, and this process its own, for so long."""
        self.now, self.own = self.now + seconds, self.own + own * seconds
        share = others + (own if kind == 0 else 0)
        for place in [cpu] if cpu is not None else self.times:
            spread = 1 if cpu is not None else len(self.times)
            self.times[place][kind] += round(TICK * seconds * share / spread)
        self.write()


@pytest.mark.parametrize(
    ("cpus", "others", "own", "most", "expected"),
    [
        (2, 0, 1, 2, 2),
        (2, 0.4, 1.5, 2, 2),
        (2, 0.67, 1.33, 2, 1),
        (2, 1.6, 0.4, 2, 1),
        (64, 16, 48, 64, 48),
        (64, 60, 4, 64, 16),  # the others would give way as well
        (16, 8, 8, 8, 8),  # two threads of a core
        (16, 12, 4, 8, 4),
    ],
)
def test_threads_have_a_processor_each(tmp_path, monkeypatch, cpus, others, own, most, expected):
    machine = Machine(tmp_path, monkeypatch, cpus)
    share = Sharing(print, tmp_path)
    machine.work(3.0, others, own)
    assert share.threads(most) == expected
    machine.work(3.0, 0, own)
    assert share.threads(most) == most


def test_only_work_on_the_own_processors_counts(tmp_path, monkeypatch):
    machine = Machine(tmp_path, monkeypatch, 2, machine=4)
    share = Sharing(print, tmp_path)
    machine.work(2.0, 1.0, cpu=3)
    for idle in (3, 4, 8, 9):  # nothing to do, a disk, and guests, who are in the first number
        machine.work(2.0, 2.0, kind=idle, cpu=1)
    assert share.threads(2) == 2
    machine.work(2.0, 1.0, kind=7, cpu=0)  # stolen by the host of a virtual machine
    assert share.threads(2) == 1


def test_it_is_not_looked_too_often_nor_where_nothing_tells(tmp_path, monkeypatch):
    machine = Machine(tmp_path, monkeypatch, 2)
    share = Sharing(print, tmp_path)
    machine.work(EVERY / 2, 2)
    assert share.threads(2) is None
    machine.work(EVERY / 2, 2)
    assert share.threads(2) == 1
    assert Sharing(print, tmp_path / "nowhere").threads(2) is None


@pytest.fixture
def chosen(monkeypatch):
    """Return the numbers of threads that torch is told, the first the number at the beginning."""
    numbers = [2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: numbers[-1])
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    monkeypatch.setattr(sharing, "_SHARING", None)
    return numbers


def test_a_command_gives_way_and_comes_back(tmp_path, monkeypatch, chosen, capsys):
    machine = Machine(tmp_path, monkeypatch, 2)
    monkeypatch.setattr(sharing, "_SHARING", Sharing(print, tmp_path))
    for others in (0, 2, 2, 0, 2, 0, 0, 2):  # not for a moment in which nobody else computes
        machine.work(2.0, others)
        give_way("cpu")
    assert chosen == [2, 1, 2, 1]
    assert capsys.readouterr().out == (
        "note: 1 of 2 threads, for other processes compute, too; OMP_NUM_THREADS=2 keeps them all\n"
    )


def test_a_fork_of_a_command_keeps_its_threads(tmp_path, monkeypatch, chosen):
    machine = Machine(tmp_path, monkeypatch, 2)
    monkeypatch.setattr(sharing, "_SHARING", Sharing(print, tmp_path))
    sharing.os.getpid = lambda: 2
    machine.work(2.0, 2)
    give_way("cpu")
    assert chosen == [2]


@pytest.mark.parametrize(
    ("command", "environment", "looks"),
    [("check", {}, True), ("check", {THREADS: "2"}, False), ("serve", {}, False)],
)
def test_commands_give_way_unless_told_how_many(monkeypatch, chosen, command, environment, looks):
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(sys, "argv", ["mrirecon", command, "--help"])
    with suppress(SystemExit):
        cli.main()
    assert (sharing._SHARING is not None) == looks
    assert chosen == [2]


def test_nothing_happens_in_python_or_on_other_devices(tmp_path, monkeypatch, chosen):
    give_way("cpu")
    machine = Machine(tmp_path, monkeypatch, 2)
    monkeypatch.setattr(sharing, "_SHARING", Sharing(print, tmp_path))
    machine.work(2.0, 2)
    give_way("cuda")
    assert chosen == [2]


def test_every_batch_of_a_reconstruction_may_give_way(monkeypatch):
    calls = []
    monkeypatch.setattr(inference, "give_way", calls.append)
    scan = scenes.scan()
    reconstruct_scan(scan, ZeroFilled(), Compose([]))
    assert calls == ["cpu"] * len(scan) and len(scan) > 1


def test_every_batch_of_a_training_may_give_way(monkeypatch):
    calls = []
    monkeypatch.setattr(callback, "give_way", calls.append)
    trainer, module = pl.Trainer(accelerator="cpu", logger=False), pl.LightningModule()
    callback.GiveWay().on_train_batch_start(trainer, module, None, 0)
    callback.GiveWay().on_validation_batch_start(trainer, module, None, 0)
    assert calls == ["cpu", "cpu"]


@pytest.mark.parametrize(
    ("words", "gives"),
    [
        ([], True),
        (["trainer=deterministic"], False),
        (["callbacks=compiled"], False),
    ],
)
def test_trainings_of_a_fixed_number_of_threads_keep_it(tmp_path, words, gives):
    config = composed("train", "logger=none", *words)
    kept = {name: one for name, one in config.callbacks.items() if name == "compilation"}
    config.callbacks = kept
    try:
        found = build_trainer(config, tmp_path).callbacks
    finally:
        torch.use_deterministic_algorithms(False)
    assert any(isinstance(one, callback.GiveWay) for one in found) == gives
