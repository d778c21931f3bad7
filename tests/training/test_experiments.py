"""Every recipe composes, builds and takes a training step, at a toy size of its network.

Each on files in the layout of the data set that it is for.
"""

import inspect
import re

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from mrirecon.commands.trainer_flags import PRECISIONS
from mrirecon.config import build, build_all, build_function
from mrirecon.data.datamodule import DataModule
from mrirecon.data.transforms import Compose
from mrirecon.fourier import ifft
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sampling import SamplingPattern
from mrirecon.simulation.raw_files import write_fastmri
from mrirecon.training.objectives.base import Objective
from tests import scenes
from tests.readers import array_files
from tests.test_config import CONF, choices, composed

EXPERIMENTS = choices("experiment")
SMALL = {"cascades": 2, "iterations": 2, "channels": 2, "pools": 2, "steps": 2}
BODY = {"channels": [2, 3, 4, 5], "prompt_channels": [2, 2, 2], "history": 1}


MATRIX = (80, 76)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A training and a validation folder, large enough for a centre of 24 x 24 at 10x."""
    folder = tmp_path_factory.mktemp("raw")
    for subject, split in ((0, "train"), (1, "val")):
        scan = scenes.scan(subject, matrix=MATRIX, slices=1, coils=3)
        write_fastmri(folder / "fastmri" / split / f"file{subject}.h5", scan)
        patient = folder / "cmrxrecon" / split / f"P00{subject}"
        for path in (folder / "calgary" / split, folder / "m4raw" / split, patient):
            path.mkdir(parents=True)
        kspace = scenes.scan(subject, matrix=MATRIX, slices=1, coils=12)[0].kspace
        array_files.calgary_campinas(
            folder / "calgary" / split / f"e{subject}.h5", ifft(kspace)[None].numpy()
        )
        array_files.cmrxrecon(
            patient / "cine_sax.mat", "kspace_full", kspace[None, None, :10].numpy()
        )
        array_files.m4raw(
            folder / "m4raw" / split / f"202206100{subject}_T201.h5", kspace[None, :4].numpy(),
            subject=f"202206100{subject}",
        )  # fmt: skip
    return folder


def configuration(experiment, folders, tmp_path):
    config = composed("train", f"experiment={experiment}")
    text = OmegaConf.to_yaml(config).replace("${hydra:runtime.output_dir}", str(tmp_path))
    config = OmegaConf.create(text)
    for split in ("train", "val"):
        scans = config.data[split].scans
        if scans._target_.endswith("Folder"):
            layout = experiment.partition("_")[0]
            scans.path = str(folders / {"finetune": "fastmri"}.get(layout, layout) / split)
        else:
            scans.count = 1
        if "ranges" in scans:  # of random scans
            scans.ranges = {**scans.ranges, "bank": None, "matrix": [72, 72]}
    square = config.simulation.get("trajectory") is not None
    matrix = [MATRIX[0]] * 2 if square else [*MATRIX]
    config.simulation = {**config.simulation, "coils": 3, "prescription": {
        **config.simulation.prescription, "matrix": matrix, "slices": 1}}  # fmt: skip
    arguments = inspect.signature(get_class(config.model._target_)).parameters
    if not config.model.get("weights"):  # those of the package fit one size only
        config.model = {**config.model, **{k: v for k, v in SMALL.items() if k in arguments}}
    if "body" in config.model:
        config.model.body = {**config.model.body, **BODY}
    if "denoiser" in config.model and not config.model.get("weights"):
        config.model.denoiser = {**config.model.denoiser, "channels": [2, 3], "blocks": 1}
    config.trainer = {**config.trainer, "accelerator": "cpu", "devices": 1}
    config.data.workers = 0
    return config


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_builds_and_takes_a_step(experiment, folders, tmp_path):
    config = configuration(experiment, folders, tmp_path)
    assert config.trainer.get("precision", "32-true") in PRECISIONS
    torch.manual_seed(0)
    model = build(config.model, Reconstructor, "model")
    objective = build(config.objective, Objective, "objective")
    optimizer = build_function(config.optimizer, "optimizer")(model.parameters())
    scheduler = build_function(config.scheduler, "scheduler")
    steps = {"steps_per_epoch": 3} if "warmup" in str(config.scheduler["_target_"]) else {}
    scheduler(optimizer, **steps)
    callbacks = build_all(config.callbacks, pl.Callback, "callbacks")
    assert build(config.trainer, pl.Trainer, "trainer", callbacks=callbacks, logger=False)
    data = build(config.data, DataModule, "data")
    data.provide(model)
    batch = next(iter(data.train_dataloader()))
    objective(model, batch).backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    for group in optimizer.param_groups:
        group["lr"] = 1e-4  # a warm-up begins at zero
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.step()
    assert all(p.isfinite().all() for p in model.parameters())
    assert any(not p.equal(old) for p, old in zip(model.parameters(), before, strict=True))
    assert isinstance(data.sets["train"].transform, Compose)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_meets_the_acceleration_in_its_name(experiment):
    config = composed("train", f"experiment={experiment}")
    pattern = build(config.sampling, SamplingPattern, "sampling")
    shape = (218, 170) if "calgary" in experiment else (640, 368)
    named = re.search(r"_(\d+)x", experiment)
    draws = 20 if named else 1
    achieved = [pattern(shape, np.random.RandomState(s)).achieved for s in range(draws)]
    if named:
        assert sum(achieved) / draws == pytest.approx(int(named[1]), rel=0.06)


@pytest.mark.parametrize("experiment", [e for e in EXPERIMENTS if e != "demo"])
def test_every_experiment_tells_its_aim_and_its_command(experiment):
    text = (CONF / "experiment" / f"{experiment}.yaml").read_text()
    assert f"mrirecon train experiment={experiment}" in text
    assert "# Aim: " in text or "Published for the full model: " in text


def test_self_supervision_never_sees_a_second_mask_of_a_scan():
    configs = [composed("train", f"experiment={experiment}") for experiment in EXPERIMENTS]
    without = [c for c in configs if c.objective._target_.endswith("Ssdu")]
    assert without
    for config in without:
        steps = config.data.train.transform.transforms
        assert [step.seed for step in steps if "seed" in step] == ["scan"]
