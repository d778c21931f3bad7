"""A run can only be resumed by one that goes on in the same way; the message says what differs."""

import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from mrirecon.cli import main
from mrirecon.commands import base
from mrirecon.config import build
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.folder import Folder
from mrirecon.errors import ConfigError
from mrirecon.training.continuity import (
    RunFacts,
    data_settings,
    differences,
    fingerprints,
    names_of,
    settings_of,
)
from tests.training.test_sweep import PLAIN, UNET

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
]
NODE = {
    "batch_size": 2, "workers": 3, "_target_": "x",
    "train": {"cache": True, "scans": {"path": "/patients/a", "noise": "/patients/Miller/n.dat"},
              "transform": {"transforms": [{"acs": 8}, {"seed": "scan"}]}},
}  # fmt: skip


def test_settings_that_change_nothing_are_left_out():
    found = data_settings(NODE)
    assert found == {
        "data.batch_size": 2, "data._target_": "x", "data.train.scans.noise": "n.dat",
        "data.train.transform.transforms[0].acs": 8,
    } | {"data.train.transform.transforms[1].seed": "scan"}  # fmt: skip


def test_the_seed_of_a_mask_is_a_setting_and_that_of_the_run_is_not():
    assert "data.seed" not in data_settings({**NODE, "seed": 3})


def test_every_difference_is_told_with_both_values():
    old = RunFacts(settings_of("objective", {"ssim": 1, "l1": 0.5}), {"train": {"a": "1"}}, 3)
    new = replace(old, settings={**settings_of("objective", {"ssim": 1, "l1": 2}), "model.x": 1})
    assert differences(old, new, {"a": "a.h5"}) == ["objective.l1: 0.5 in that run, 2 in this one"]
    assert not differences(old, replace(old, seed=4), {"a": "a.h5"})


def folder(path, values):
    path.mkdir()
    for name, value in values.items():
        rng = np.random.default_rng(value)
        kspace = rng.standard_normal((1, 2, 16, 16, 2)).astype(np.float32)
        np.save(path / f"{name}.npy", kspace[..., 0] + 1j * kspace[..., 1])
    slices = SliceDataset(Folder(path), lambda sample: sample)
    return {"train": slices, "val": slices}


def test_scans_are_known_by_name_and_content_wherever_they_lie(tmp_path):
    def facts(sets):
        return RunFacts({}, {"train": fingerprints(sets)["train"]}, 0)

    sets = folder(tmp_path / "a", {"x": 1, "y": 2, "z": 3})
    moved = folder(tmp_path / "b", {"x": 1, "y": 2, "z": 3})
    other = folder(tmp_path / "c", {"x": 1, "y": 4, "w": 5})
    assert "x" not in str(facts(sets).scans["train"].keys() & {"x", "x.npy"})
    assert not differences(facts(sets), facts(moved), names_of(moved))
    assert differences(facts(sets), facts(other), names_of(other)) == [
        "data.train: 3 scans in that run, 3 in this one: 1 are missing; w.npy not in that run; "
        "y.npy with another content"
    ]


def train(monkeypatch, folder, *options):
    monkeypatch.chdir(folder)
    keys = [key for key in PLAIN if "train.scans.count" not in key]
    small = ["simulation.prescription.matrix=[24,20]", "sampling=equispaced", "sampling.acs=8",
             "logger=none", "callbacks.pictures=null", "callbacks.curve=null",
             "data.train.scans.count=4"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["mrirecon", "train", *keys, *UNET, *small, *options])
    main()


def test_a_run_stopped_within_an_epoch_is_resumed_by_its_like_only(monkeypatch, tmp_path, capsys):
    once = "trainer.max_epochs=1"
    train(monkeypatch, tmp_path, once, "output=whole")
    train(monkeypatch, tmp_path, once, "trainer.max_steps=2", "output=part", "seed=42")
    last = "part/checkpoints/last.ckpt"
    wrong = ["data.batch_size=2", "objective=l1", "sampling.acs=6", "data.train.scans.count=3",
             "trainer.accumulate_grad_batches=2", "model.channels=5"]  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        train(monkeypatch, tmp_path, once, "output=part", f"resume={last}", *wrong)
    message = str(stop.value.code)
    for line in (
        "data.batch_size: 1 in that run, 2 in this one",
        "objective.ssim: 1 in that run, 0 in this one",
        "sampling",
        "data.train: 4 scans in that run, 3 in this one: 1 are missing",
        "trainer.accumulate_grad_batches: 1 in that run, 2 in this one",
        "model.channels: 4 in that run, 5 in this one",
    ):
        assert line in message or line == "sampling", message
    assert ".acs: 8 in that run, 6 in this one" in message
    train(monkeypatch, tmp_path, once, "output=part", f"resume={last}", "seed=7")
    assert "the run began with seed=42, which counts" in capsys.readouterr().err
    states = [torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True)
              for run in ("whole", "part")]  # fmt: skip
    whole, part = (state["state_dict"] for state in states)
    assert all(torch.equal(part[name], value) for name, value in whole.items())
    assert states[0]["global_step"] == states[1]["global_step"] == 4


def test_a_command_returns_its_score_to_a_sweeper(monkeypatch):
    @dataclass(frozen=True)
    class Nothing:
        """mrirecon score."""

    taken = []
    monkeypatch.setattr(base.hydra, "main", lambda **_: taken.append)
    monkeypatch.setattr(base.Sweep, "note", lambda *_: True)
    monkeypatch.setattr(base, "OWN_FOLDERS", ("score", "refused"))

    def score(*_):
        return 0.5

    def refused(*_):
        raise ConfigError("no")

    for function in (score, refused):
        base.command(Nothing)(function)
    good, bad = (job(OmegaConf.create({})) for job in taken)
    assert good == 0.5 and bad != bad  # not a number: no trial wins by being refused


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_whose_package_is_missing_says_how_to_get_it(name, monkeypatch, tmp_path):
    if find_spec(name):
        pytest.skip(f"{name} is installed")
    with pytest.raises(SystemExit) as stop:
        train(monkeypatch, tmp_path, f"logger={name}", "output=x")
    assert f"logger.{name}: needs the package {name}" in str(stop.value.code)
    assert f"pip install {name}" in str(stop.value.code)


def test_a_target_of_a_missing_package_is_told_from_a_wrong_name():
    with pytest.raises(ConfigError, match=r"cannot find nowhere\.Thing: no package nowhere is"):
        build({"_target_": "nowhere.Thing"}, object, "logger.x")
    with pytest.raises(ConfigError, match="did you mean VarNet"):
        build({"_target_": "mrirecon.reconstructors.varnet.VarNt"}, object, "model")
