"""Training from weights of the package on random scans: exactly resumable, and on its own after."""

import sys

import numpy as np
import pytest
import torch

from mrirecon.cli import main
from mrirecon.data import Normalize
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.transforms import Compose, RssTarget
from mrirecon.epoch import training_epoch
from mrirecon.loading import load_with_domain
from mrirecon.networks import NoiseLevelUnet
from mrirecon.pseudonyms import patient_pseudonym
from mrirecon.reconstructors import HqsNet
from mrirecon.sensitivity import Espirit
from mrirecon.simulation import RandomScans, random_scans
from mrirecon.simulation.anatomy_bank import AnatomyImage, Source, write_bank
from mrirecon.training.continuity import banks
from mrirecon.weights import registry
from mrirecon.weights.safetensors_file import write_safetensors

SMALL = {"matrix": (32, 40), "coils": (2, 3)}
RANGES = {"noise": [3e3, 4e3], "sampled": [0.1, 0.2], "contrast": [2.0, 2.5], "residual": [0, 1]}
OPTIONS = [
    "model=pretrained", "model.denoiser.channels=[4,6]", "model.denoiser.blocks=1",
    "model.iterations=2", "model.steps=2", "data=random", "sampling=equispaced", "sampling.acs=12",
    "data.train.scans.count=3", "data.val.scans.count=1", "objective=ssim",
    "data/transforms@data.train.transform=train", "data.train.cache=true",
    *(f"data.{part}.scans.ranges.{key}={list(ends)}".replace(" ", "")
      for part in ("train", "val") for key, ends in SMALL.items()),
    "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "logger=none",
    "callbacks.pictures=null", "callbacks.curve=null", "trainer.max_epochs=2", "data.workers=0",
]  # fmt: skip


def bank(path, radius=12):
    y, x = np.mgrid[-20:20, -20:20].astype(np.float32)
    disc = AnatomyImage((np.hypot(y, x) < radius).astype(np.float32), 1.0, "discs")
    write_bank(path, iter([disc]), [Source("discs", "CC0-1.0", "here", 1)], seed=3)
    return path


def package(folder, seed):
    """Make a package whose weights are those of a small network."""
    torch.manual_seed(seed)
    model = HqsNet(Espirit(), NoiseLevelUnet((4, 6), 1, images=2), iterations=2, steps=2)
    folder.mkdir()
    nodes = {"model": "mrirecon.reconstructors.HqsNet", "preprocessing": "mrirecon.data.Normalize"}
    recipe = {key: {"_target_": target} for key, target in nodes.items()}
    facts = {"mrirecon": {"format": 2, "version": "1"}, "recipe": recipe, "domain": RANGES}
    write_safetensors(folder / "pretrained.safetensors", model.state_dict(), facts)
    return folder


@pytest.fixture
def train(tmp_path, monkeypatch):
    file = bank(tmp_path / "bank.h5")
    monkeypatch.setattr(registry, "PACKAGED", package(tmp_path / "first", 0))
    monkeypatch.chdir(tmp_path)

    def run(output, *more):
        places = [f"data.{part}.scans.ranges.bank={file}" for part in ("train", "val")]
        words = ["mrirecon", "train", *OPTIONS, *places, f"output={output}", *more]
        monkeypatch.setattr(sys, "argv", words)
        main()
        return torch.load(f"{output}/checkpoints/last.ckpt", weights_only=True)

    return run


def weights(state):
    return {name.removeprefix("reconstructor."): v for name, v in state["state_dict"].items()}


def assert_holds_both(domain):
    """What the weights knew, and the new scans: of less noise, more samples, more residual."""
    assert domain["noise"][0] < 1 and domain["noise"][1] == 4e3
    assert domain["sampled"][0] == 0.1 and 0.2 < domain["sampled"][1] < 1
    assert domain["residual"][0] == 0 and domain["residual"][1] > 1


@pytest.mark.filterwarnings("ignore")
def test_a_run_stopped_in_its_second_epoch_goes_on_without_the_package(
    train, tmp_path, monkeypatch
):
    whole = train("whole")
    train("part", "trainer.max_steps=4")
    monkeypatch.setattr(registry, "PACKAGED", package(tmp_path / "later", 1))  # another version
    again = train("part", "resume=part/checkpoints/last.ckpt")
    assert whole["global_step"] == again["global_step"] == 6
    expected = weights(whole)
    assert all(torch.equal(weights(again)[name], value) for name, value in expected.items())
    assert "weights" not in whole["recipe"]["model"]
    assert whole["domain"] == again["domain"]
    learned = sorted(patient_pseudonym(f"random{number:06d}") for number in range(3))
    assert whole["patients"] == again["patients"] == learned
    assert_holds_both(whole["domain"])
    bare = tmp_path / "bare"
    bare.mkdir()
    monkeypatch.setattr(registry, "PACKAGED", bare)
    method, _, domain = load_with_domain("whole/checkpoints/last.ckpt")
    assert domain == whole["domain"]
    assert method.combination == "kept" and method.partner is not None and method.iterations == 2
    assert all(torch.equal(method.state_dict()[name], value) for name, value in expected.items())
    bank(tmp_path / "other.h5", radius=8)
    (tmp_path / "other.h5").replace(tmp_path / "bank.h5")
    monkeypatch.setattr(registry, "PACKAGED", tmp_path / "first")
    with pytest.raises(SystemExit, match=r"bank\.train: \w+ in that run, \w+ in this one"):
        train("part", "resume=part/checkpoints/last.ckpt")


def test_what_is_drawn_anew_is_not_kept(tmp_path):
    """A kept slice, or the maximum of an earlier one, would be lost when a run is resumed."""
    ranges = RandomScans(bank=str(bank(tmp_path / "bank.h5")), **SMALL)
    slices = SliceDataset(random_scans(3, 1, ranges), Compose([RssTarget(), Normalize()]), True)
    peaks = []
    for epoch in (1, 2, 1):
        with training_epoch(epoch):
            sample = slices[0]
        assert sample.peak == pytest.approx(float(sample.target.max()), rel=1e-5)
        peaks.append(float(sample.peak))
    assert peaks[0] == peaks[2] != peaks[1]
    assert torch.equal(slices[0].kspace, slices[0].kspace)


def test_files_of_anatomy_are_known_by_their_content(tmp_path):
    def found(name, radius):
        ranges = RandomScans(bank=str(bank(tmp_path / name, radius)), **SMALL)
        slices = SliceDataset(random_scans(0, 1, ranges), Normalize())
        shapes = SliceDataset(random_scans(0, 1, RandomScans(**SMALL)), Normalize())
        return banks({"train": slices, "val": shapes})

    first, moved, other = found("a.h5", 12), found("b.h5", 12), found("c.h5", 8)
    assert first.keys() == {"bank.train"}
    assert first == moved != other
