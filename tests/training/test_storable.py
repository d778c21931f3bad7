"""Whatever a run keeps in a checkpoint can be read without running code, or is refused."""

import datetime
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.enums import GradClipAlgorithmType

from mrirecon.commands.resume import run_facts
from mrirecon.errors import ConfigError
from mrirecon.training.checkpoint import Recipe, read_state
from mrirecon.training.checkpoint_files import AtomicCheckpoints
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from tests.test_config import composed
from tests.training import runs


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_a_run_that_clips_can_be_resumed(algorithm, tmp_path):
    trainer = pl.Trainer(gradient_clip_algorithm=algorithm, gradient_clip_val=1, logger=False)
    module = ReconstructionModule(runs.varnet(), Supervised(), runs.adam, runs.RECIPE)
    facts = run_facts(composed("train"), module, runs.data(1), trainer)
    assert type(facts.settings["trainer.gradient_clip_algorithm"]) is str
    AtomicCheckpoints().save_checkpoint({"run": vars(facts)}, tmp_path / "last.ckpt")
    there = read_state(tmp_path / "last.ckpt")["run"]
    assert there["settings"]["trainer.gradient_clip_algorithm"] == algorithm


def test_values_come_back_plain(tmp_path):
    weights = torch.nn.Linear(2, 1).state_dict()
    state = {
        "state_dict": weights,
        "kind": GradClipAlgorithmType.VALUE,
        "rates": [{"lr": np.float64(0.5), "steps": (np.int32(3), True, None, 1 + 1j)}],
        "scores": OrderedDict(best=np.float32(2), at=torch.tensor(7)),
        "size": torch.Size([2, 3]),
    }
    AtomicCheckpoints().save_checkpoint(state, tmp_path / "a.ckpt")
    found = read_state(tmp_path / "a.ckpt")
    assert found["kind"] == "value" and type(found["kind"]) is str
    assert found["rates"] == [{"lr": 0.5, "steps": (3, True, None, 1 + 1j)}]
    assert found["scores"] == {"best": 2.0, "at": torch.tensor(7)} and found["size"] == (2, 3)
    assert found["state_dict"].keys() == weights.keys()
    assert found["state_dict"]._metadata == weights._metadata
    assert all(found["state_dict"][name].equal(weights[name]) for name in weights)


@pytest.mark.parametrize("value", [Path("a"), datetime.timedelta(3), print, Recipe({}, {})])
def test_what_needs_code_to_be_read_is_refused_and_the_file_before_stays(value, tmp_path):
    io, path = AtomicCheckpoints(), tmp_path / "a.ckpt"
    io.save_checkpoint({"callbacks": {}}, path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"checkpoint.callbacks.Mine\[0\] is a .* would run code"):
        io.save_checkpoint({"callbacks": {"Mine": [value]}}, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
