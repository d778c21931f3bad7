"""A job that its queue stops and starts again repeats its command: resume=auto goes on."""

import os
import signal
from pathlib import Path

import pytest
import torch

from mrirecon.training.module import ReconstructionModule
from tests.training.test_continuity import pytestmark as quiet, train

pytestmark = quiet
SLURM = {"NTASKS": "1", "JOB_ID": "7", "JOB_NAME": "train", "PROCID": "0", "LOCALID": "0",
         "NODEID": "0", "NODELIST": "localhost"}  # fmt: skip
AUTO = ("trainer.max_epochs=1", "output=run", "resume=auto")


def refused(monkeypatch, folder, *options):
    with pytest.raises(SystemExit) as stop:
        train(monkeypatch, folder, *options)
    return str(stop.value.code)


@pytest.fixture
def stopped(monkeypatch):
    """Let Slurm's signal before the end of the time come in the second update of the next run."""
    step = ReconstructionModule.training_step

    def signalled(module, sample, index):
        if index == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
        return step(module, sample, index)

    for name, value in SLURM.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with monkeypatch.context() as context:
        context.setattr(ReconstructionModule, "training_step", signalled)
        yield lambda: context.setattr(ReconstructionModule, "training_step", step)


def test_the_same_command_begins_a_run_and_goes_on_with_it(stopped, monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr("pytorch_lightning.trainer.connectors.signal_connector.call",
                        lambda command, **_: called.append(command) or 0)  # fmt: skip
    run = tmp_path / "run"
    with pytest.raises(SystemExit) as stop:
        train(monkeypatch, tmp_path, *AUTO)
    assert stop.value.code == 128 + signal.SIGUSR1
    part = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert part["global_step"] == 2
    assert not called and not list(run.glob("hpc*"))  # nothing of Lightning's own requeue
    stopped()
    assert "resume=auto" in refused(monkeypatch, tmp_path, *AUTO[:2])
    assert "data.batch_size: 1 in that run, 2" in refused(
        monkeypatch, tmp_path, *AUTO, "data.batch_size=2"
    )
    train(monkeypatch, tmp_path, *AUTO)
    train(monkeypatch, tmp_path, AUTO[0], "output=whole", "resume=auto")
    whole, again = (torch.load(tmp_path / one / "checkpoints" / "last.ckpt", weights_only=True)
                    for one in ("whole", "run"))  # fmt: skip
    assert again["global_step"] == whole["global_step"] == 4
    for name, value in whole["state_dict"].items():
        assert torch.equal(again["state_dict"][name], value)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("hpc_ckpt_3.ckpt", AUTO, "hpc_ckpt_3.ckpt would be taken for a checkpoint"),
        ("hpc_ckpt_3.ckpt", AUTO[:2], "hpc_ckpt_3.ckpt would be taken for a checkpoint"),
        ("checkpoints/last.ckpt", AUTO, "is not a readable PyTorch checkpoint"),
        ("checkpoints/other.ckpt", AUTO, "resume=run/checkpoints/other.ckpt"),
        ("x", (AUTO[0], AUTO[2]), "output names another folder each time"),
    ],
)
def test_what_lies_in_the_folder_is_checked(name, options, expected, monkeypatch, tmp_path):
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"cposix\nsystem\n(S'touch pwned'\ntR.")
    message = refused(monkeypatch, tmp_path, *options)
    assert expected in message.replace(f"{tmp_path}/", ""), message
    assert path.is_file() and not Path("pwned").exists()


DAMAGES = [
    {"optimizer_states": {}}, {"optimizer_states": [7]}, {"loops": {}}, {"loops": 1},
    {"position": {"where": 1}}, {"position": None}, {"run": {"settings": {}}}, {"run": []},
    {"callbacks": 3}, {"state_dict": 7}, {"state_dict": {}}, {"seed": "x"}, {"metrics": [1]},
    {"lr_schedulers": None}, {"global_step": "many"},
]  # fmt: skip


def test_a_damaged_state_ends_in_one_line(monkeypatch, tmp_path):
    train(monkeypatch, tmp_path, AUTO[0], "trainer.max_steps=1", "output=run")
    state = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    told = []
    for damage in DAMAGES:
        torch.save({**state, **damage}, tmp_path / "damaged.ckpt")
        try:
            train(monkeypatch, tmp_path, AUTO[0], "output=new", "resume=damaged.ckpt")
            told.append("resumed")
        except SystemExit as stop:
            told.append(str(stop.code))
    wrong = [one for one in zip(DAMAGES, told, strict=True) if "damaged.ckpt" not in one[1]]
    assert not wrong
