"""Every argument of Lightning's Trainer works, or is refused before anything is trained."""

import inspect

import pytest
import pytorch_lightning as pl
import torch

from mrirecon.commands.outcome import best_score
from mrirecon.commands.trainer_flags import check_flags, check_trainer
from mrirecon.errors import ConfigError
from mrirecon.reconstructors.learned.unet import UNet
from mrirecon.training.callbacks.last_checkpoint import LastCheckpoint
from mrirecon.training.objectives.base import Supervised
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists"),
]
REFUSED = [
    ({"callbacks": [1]}, "choose with callbacks="),
    ({"logger": True}, "choose with logger="),
    ({"overfit_batches": 2}, "replace the order of batches"),
    ({"barebones": True}, "neither validate nor keep a checkpoint"),
    ({"limit_test_batches": 3}, "train does not test"),
    ({"limit_predict_batches": 0.5}, "train does not predict"),
    ({"model_registry": "x"}, "there is no registry"),
    ({"precision": "64-true"}, "trainer.precision: expected one of"),
    ({"max_epochs": 0}, "max_epochs=0 would train nothing"),
    ({"max_steps": 0}, "max_steps=0 would train nothing"),
    ({"limit_train_batches": 0.0}, "limit_train_batches=0 would train nothing"),
    ({"accumulate_grad_batches": 0}, "accumulate_grad_batches must be above 0, got 0"),
    ({"gradient_clip_val": -1}, "gradient_clip_val must be above 0, got -1"),
    ({"check_val_every_n_epoch": 0}, "check_val_every_n_epoch must be above 0"),
    ({"log_every_n_steps": -1}, "log_every_n_steps must be at least 0"),
    ({"fast_dev_run": -1}, "fast_dev_run must be at least 0"),
    ({"gradient_clip_val": float("nan")}, "gradient_clip_val=nan: expected a finite number"),
    ({"limit_val_batches": float("nan")}, "limit_val_batches=nan: expected a finite"),
    ({"val_check_interval": float("inf")}, "val_check_interval=inf: expected a finite"),
    ({"val_check_interval": "00:00:01:00"}, "validation by the clock repeats no run"),
    ({"val_check_interval": 0}, "val_check_interval=0: expected a number of batches"),
]
UNFIT = [
    ({"limit_val_batches": 0}, "limit_val_batches=0 validates nothing"),
    ({"limit_train_batches": 0.01}, "leaves none of the 3 batches"),
    ({"max_time": "00:00:00:00"}, "max_time of 0 would train nothing"),
    ({"val_check_interval": 4}, "more than the 3 batches of an epoch"),
    ({"check_val_every_n_epoch": 2}, "the run has 1 epochs and"),
    ({"check_val_every_n_epoch": None, "val_check_interval": 4}, "the run has 3 batches and"),
    ({"min_epochs": 2, "max_steps": 2}, "min_epochs=2 is 6 updates .* ends after 2"),
    ({"min_steps": 4}, "min_steps=4 is 4 updates .* ends after 3"),
    ({"num_nodes": 2}, "needs a process for each device of each node"),
]
WORKS = [
    {"accelerator": "cpu", "devices": 1, "strategy": "auto"}, {"num_nodes": 1},
    {"precision": "bf16-mixed"}, {"max_steps": 1}, {"epochs": -1, "max_steps": 2},
    {"min_epochs": 1, "min_steps": 2}, {"max_time": "00:01:00:00"}, {"limit_train_batches": 2},
    {"limit_train_batches": 0.6}, {"limit_val_batches": 1}, {"val_check_interval": 2},
    {"val_check_interval": 0.25}, {"check_val_every_n_epoch": None, "val_check_interval": 2},
    {"num_sanity_val_steps": -1}, {"log_every_n_steps": 0}, {"accumulate_grad_batches": 2},
    {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value"}, {"deterministic": True},
    {"benchmark": True}, {"inference_mode": False}, {"use_distributed_sampler": False},
    {"profiler": "simple"}, {"detect_anomaly": True}, {"plugins": []}, {"sync_batchnorm": True},
    {"reload_dataloaders_every_n_epochs": 1}, {"default_root_dir": "elsewhere"},
    {"enable_progress_bar": True}, {"enable_model_summary": True},
    {"enable_autolog_hparams": False},
]  # fmt: skip
ELSEWHERE = {"max_epochs", "enable_checkpointing", "fast_dev_run"}


def unet():
    torch.manual_seed(0)
    return UNet(channels=2, pools=1)


def best(folder):
    return pl.callbacks.ModelCheckpoint(folder, "best", "val/ssim", mode="max")


@pytest.fixture(autouse=True)
def _put_back():
    yield
    torch.use_deterministic_algorithms(False)
    torch.autograd.set_detect_anomaly(False)
    torch.backends.cudnn.benchmark = False


def test_no_argument_is_forgotten():
    arguments = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"}
    tried = {name for flags, _ in REFUSED + UNFIT for name in flags}
    tried |= {name for flags in WORKS for name in flags}
    assert arguments <= tried | ELSEWHERE, arguments - tried - ELSEWHERE


@pytest.mark.parametrize(("flags", "reason"), REFUSED)
def test_what_cannot_be_used_is_refused(flags, reason):
    with pytest.raises(ConfigError, match=reason):
        check_flags(flags)


@pytest.mark.parametrize(("flags", "reason"), UNFIT)
def test_what_does_not_fit_together_is_refused(flags, reason, tmp_path):
    trainer = runs.trainer(tmp_path, callbacks=[best(tmp_path)], enable_checkpointing=True, **flags)
    with pytest.raises(ConfigError, match=reason):
        check_trainer(trainer, runs.data(3), Supervised())


@pytest.mark.parametrize("flags", WORKS, ids=lambda flags: "-".join(flags))
def test_what_works_ends_with_both_checkpoints(flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_flags({name: value for name, value in flags.items() if name != "epochs"})
    callbacks = [best(tmp_path / "c"), LastCheckpoint(tmp_path / "c")]
    options = {"callbacks": callbacks, "enable_checkpointing": True, **flags}
    data = runs.data(2)
    trainer, _ = runs.fit(tmp_path, unet(), loaders=data, **options)
    check_trainer(trainer, data, Supervised())
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["best.ckpt", "last.ckpt"]
    last = torch.load(tmp_path / "c" / "last.ckpt", weights_only=True)
    assert last["global_step"] == trainer.global_step > 0
    assert best_score(trainer) == pytest.approx(float(callbacks[0].best_model_score))


@pytest.mark.parametrize(
    ("monitor", "reason"),
    [("val/sim", "which there is not; there are train/loss, val/loss, val/nmse"),
     ("val/loss", "the loss of objectives that need no reference")],
)  # fmt: skip
def test_what_there_will_never_be_is_not_monitored(monitor, reason, tmp_path):
    stopping = pl.callbacks.EarlyStopping(monitor)
    trainer = runs.trainer(tmp_path, callbacks=[stopping])
    with pytest.raises(ConfigError, match=reason):
        check_trainer(trainer, runs.data(3), Supervised())
