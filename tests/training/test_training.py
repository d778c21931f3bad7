"""Learned methods are tested by what they do."""

import pytest
import pytorch_lightning as pl
import torch

from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.errors import ConfigError
from mrirecon.inference import reconstruct_scan
from mrirecon.metrics.fastmri import ssim
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.learned.unet import UNet
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.sensitivity import LearnedMaps, LowResolutionMaps
from mrirecon.training.checkpoint import Recipe, read_checkpoint
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from tests import scenes

TRANSFORM = Compose([Undersample(scenes.PATTERN), Normalize()])
RECIPE = Recipe({"_target_": "model"}, {"_target_": "preprocessing"})


def adam(parameters):
    return torch.optim.Adam(parameters, lr=3e-3)


def fit(model, tmp_path, epochs):
    torch.manual_seed(0)
    train = SliceDataset([scenes.scan(s) for s in range(10, 16)], TRANSFORM, cache=True)
    val = SliceDataset([scenes.scan(1)], TRANSFORM)
    module = ReconstructionModule(model, Supervised(), adam, RECIPE)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        num_sanity_val_steps=0, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(module, DataModule(train, val, batch_size=2))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    return trainer


# Lightning advises to use worker processes; six tiny slices need none
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
# Lightning calls what torch has deprecated
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
@pytest.mark.parametrize(
    "model",
    [
        lambda: VarNet(2, 6, 2, LearnedMaps(4, 2), combination="sense"),
        lambda: UNet(channels=8, pools=2),
    ],
    ids=["varnet", "unet"],
)
def test_a_few_steps_beat_the_zero_filled_image_on_other_people(model, tmp_path):
    torch.manual_seed(0)
    model = model()
    trainer = fit(model, tmp_path, epochs=16)
    scan = scenes.scan(2)
    reference = torch.stack([scan.target(i) for i in range(len(scan))])
    trained = reconstruct_scan(scan, model, TRANSFORM)
    zero_filled = reconstruct_scan(scan, ZeroFilled(), TRANSFORM)
    assert ssim(trained, reference) > ssim(zero_filled, reference) + 0.03
    # validation during training scores what evaluation scores
    val = scenes.scan(1)
    again = ssim(
        reconstruct_scan(val, model, TRANSFORM),
        torch.stack([val.target(i) for i in range(len(val))]),
    )
    assert trainer.callback_metrics["val/ssim"].item() == pytest.approx(again, abs=1e-4)
    checkpoint = read_checkpoint(tmp_path / "last.ckpt")
    assert checkpoint.recipe == RECIPE
    for name, tensor in model.state_dict().items():
        assert tensor.equal(checkpoint.weights[name]), name


def test_classical_methods_are_not_trained():
    with pytest.raises(ConfigError, match="CgSense has nothing to train"):
        ReconstructionModule(CgSense(LowResolutionMaps()), Supervised(), adam, RECIPE)


def test_checkpoints_that_are_none(tmp_path):
    with pytest.raises(ConfigError, match="is not a file"):
        read_checkpoint(tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("weights")
    with pytest.raises(ConfigError, match="is not a readable PyTorch checkpoint"):
        read_checkpoint(tmp_path / "text.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "empty.ckpt")
    with pytest.raises(ConfigError, match="holds no weights"):
        read_checkpoint(tmp_path / "empty.ckpt")
