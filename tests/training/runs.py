"""Tiny training runs that several tests need."""

import pytorch_lightning as pl
import torch

from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.sampling import RandomLines
from mrirecon.sensitivity import LearnedMaps
from mrirecon.training.checkpoint import Recipe
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from tests import scenes

RANDOM = Compose([Undersample(RandomLines(3, acs=8), seed="random"), Normalize()])
FIXED = Compose([Undersample(RandomLines(3, acs=8)), Normalize()])
RECIPE = Recipe({"_target_": "model"}, {"_target_": "preprocessing"})


def adam(parameters):
    return torch.optim.Adam(parameters, lr=3e-3)


def varnet(**changes):
    torch.manual_seed(0)
    options = {"cascades": 2, "channels": 4, "pools": 2, "combination": "sense", **changes}
    return VarNet(sensitivity=LearnedMaps(2, 2), **options)


def data(subjects=3, matrix=(20, 18), on_device=False, **options):
    def scan(subject):
        return scenes.scan(subject, matrix=matrix, coils=3)

    def slices(scans, transform):
        return SliceDataset(
            scans,
            Compose([]) if on_device else transform,
            batch_transform=transform if on_device else None,
        )

    train = slices([scan(10 + s) for s in range(subjects)], RANDOM)
    val = slices([scan(1)], FIXED)
    return DataModule(train, val, **{"batch_size": 2, "seed": 3, **options})


def trainer(tmp_path, epochs=1, **options):
    quiet = {
        "accelerator": "cpu", "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0,
        "log_every_n_steps": 1, "default_root_dir": tmp_path,
    }  # fmt: skip
    return pl.Trainer(max_epochs=epochs, **{**quiet, **options})


def fit(tmp_path, model, epochs=1, objective=None, resume=None, loaders=None, **options):
    """Train and return the Trainer and the module."""
    torch.manual_seed(7)
    module = ReconstructionModule(model, objective or Supervised(), adam, RECIPE)
    runner = trainer(tmp_path, epochs, **options)
    runner.fit(module, loaders or data(), ckpt_path=resume)
    return runner, module


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])
