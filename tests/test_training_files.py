"""The scripts that make what pretrained weights are made of, and put them into the package."""

import runpy
import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.loading import load_with_domain
from mrirecon.networks import NoiseLevelUnet
from mrirecon.reconstructors import HqsNet
from mrirecon.sensitivity import Espirit, GivenMaps
from mrirecon.simulation.anatomy_bank import read_bank, sources_of
from mrirecon.training.checkpoint import Checkpoint, Recipe, written_by
from mrirecon.weights import registry

SCRIPTS = Path(__file__).parents[1] / "data_scripts"
DISC = (np.hypot(*np.mgrid[-20:20, -18:18]) < 15).astype(np.float32) * 40
MODEL = {
    "_target_": "mrirecon.reconstructors.HqsNet",
    "sensitivity": {"_target_": "mrirecon.sensitivity.Espirit"},
    "denoiser": {"_target_": "mrirecon.networks.NoiseLevelUnet", "channels": [4, 6], "blocks": 1,
                 "images": 2},
    "iterations": 2,
}  # fmt: skip


def script(monkeypatch, name, *words):
    """Run a script in this process; returns the message that it ends with, if it does."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    try:
        runpy.run_path(str(SCRIPTS / name), run_name="__main__")
    except SystemExit as end:
        return str(end.code)
    return ""


def slices(path, data=None, name="t1", **attributes):
    with h5py.File(path, "w") as file:
        file.attrs.update({"licence": "CC0-1.0", "source": "a place"} | attributes)
        file[name] = np.stack([DISC, DISC / 2]) if data is None else data
    return path


def test_a_bank_is_collected_of_free_sources(tmp_path, monkeypatch):
    stored = slices(tmp_path / "patient1.h5")
    bank = tmp_path / "new" / "bank.h5"
    assert script(monkeypatch, "anatomy_bank.py", bank, "--heads", 3, 1, "--slices", stored) == ""
    images = read_bank(str(bank))
    assert [image.source for image in images] == ["simulated heads", "a place", "a place"]
    assert images[1].pixels.shape == DISC.shape and images[1].pixels.max() == pytest.approx(1)
    found = {source.name: (source.licence, source.images) for source in sources_of(str(bank))}
    assert found == {"simulated heads": ("Apache-2.0", 1), "patient1": ("CC0-1.0", 2)}
    told = script(monkeypatch, "anatomy_bank.py", bank, "--slices", stored)
    assert "exists already" in told


def nothing(tmp_path):
    return tmp_path / "missing.h5", "missing.h5: cannot be opened as HDF5"


def text(tmp_path):
    (tmp_path / "a.h5").write_text("no HDF5")
    return tmp_path / "a.h5", "a.h5: cannot be opened as HDF5"


def bare(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update({"licence": "CC0-1.0", "source": "a place"})
    return tmp_path / "a.h5", "has no data sets"


WRONG = [
    nothing,
    text,
    bare,
    lambda f: (slices(f / "a.h5", licence=""), "a.h5 has no attribute licence"),
    lambda f: (slices(f / "a.h5", source=""), "a.h5 has no attribute source"),
    lambda f: (slices(f / "a.h5", DISC), r"/t1 is float32 of (40, 36); expected magnitudes"),
    lambda f: (slices(f / "a.h5", DISC[None] + 1j), "/t1 is complex"),
    lambda f: (slices(f / "a.h5", name="group/t1"), "/group is a group"),
    lambda f: (slices(f / "a.h5", DISC[None] * np.nan), "/t1 holds values that are no magnitudes"),
    lambda f: (slices(f / "a.h5", -DISC[None]), "/t1 holds values that are no magnitudes"),
]


@pytest.mark.parametrize("make", WRONG)
def test_files_that_are_no_slices_are_refused(tmp_path, monkeypatch, make):
    path, message = make(tmp_path)
    told = script(monkeypatch, "anatomy_bank.py", tmp_path / "bank.h5", "--slices", path)
    assert told.startswith("anatomy_bank.py: ") and message in told
    assert not (tmp_path / "bank.h5").exists()


def test_volumes_that_are_no_head_are_refused(tmp_path, monkeypatch):
    volumes = {
        "series": (np.ones((4, 4, 4, 2), np.float32), "(4, 4, 4, 2); expected one volume"),
        "holes": (np.full((4, 4, 4), np.nan, np.float32), "expected one volume of finite"),
    }
    bank = tmp_path / "bank.h5"
    for name, (values, message) in volumes.items():
        path = tmp_path / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
        assert message in script(monkeypatch, "anatomy_bank.py", bank, "--colin", path)
    (tmp_path / "a.nii.gz").write_text("no NIfTI")
    told = script(monkeypatch, "anatomy_bank.py", bank, "--colin", tmp_path / "a.nii.gz")
    assert "a.nii.gz is no readable NIfTI file" in told
    assert "nothing to collect" in script(monkeypatch, "anatomy_bank.py", bank)


def test_an_empty_volume_ends(tmp_path):
    names = runpy.run_path(str(SCRIPTS / "anatomy_bank.py"))
    path = tmp_path / "dark.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), path)
    found = names["colin_slices"]
    found.__globals__.update(COLIN=1, SIZE=16)
    with pytest.raises(RawDataError, match=r"dark\.nii\.gz: only 0 of 20 planes of it show"):
        list(found(path, np.random.default_rng(0)))


def test_weights_are_packed_with_the_recipe_that_they_are_for(tmp_path, monkeypatch):
    """Those of a whole network serve plug-and-play, too, which has its denoiser alone."""
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    torch.manual_seed(0)
    network = HqsNet(Espirit(), iterations=8)
    weights = {f"reconstructor.{name}": value for name, value in network.state_dict().items()}
    preprocessing = {"_target_": "mrirecon.data.Normalize"}
    node = {"_target_": MODEL["_target_"], "sensitivity": MODEL["sensitivity"]}
    recipe = {"model": node, "preprocessing": preprocessing}
    state = {"mrirecon": written_by(), "recipe": recipe, "state_dict": weights}
    torch.save(state, tmp_path / "best.ckpt")
    small = HqsNet(Espirit(), NoiseLevelUnet((4, 6), 1, images=2)).state_dict()
    torch.save(small, tmp_path / "small.pt")
    words = ("package_weights.py", tmp_path / "best.ckpt")
    assert script(monkeypatch, *words, "whole", "--model", "hqs_net") == ""
    found, _, domain = load_with_domain(tmp_path / "whole.safetensors")
    assert domain is None and isinstance(found, HqsNet)
    for name, value in found.state_dict().items():
        assert torch.equal(value, network.state_dict()[name].half().float()), name
    again = script(monkeypatch, *words, "whole", "--model", "hqs_net")
    assert "whole.safetensors exists already" in again
    missing = ("--bank", tmp_path / "no.h5", "--scans", 1)
    told = script(monkeypatch, *words, "third", "--model", "hqs_net", *missing)
    assert told.startswith("package_weights.py: ")
    wrong = script(monkeypatch, words[0], tmp_path / "small.pt", "third", "--model", "hqs_net")
    assert "small.pt does not fit HqsNet" in wrong
    assert not (tmp_path / "third.safetensors").exists()


def test_a_denoiser_is_packed_alone(tmp_path):
    names = runpy.run_path(str(SCRIPTS / "package_weights.py"))
    tensors = HqsNet(GivenMaps(), NoiseLevelUnet((4, 6), 1, images=2)).state_dict()
    node = {**MODEL, "_target_": "mrirecon.reconstructors.PlugAndPlay", "iterations": 3}
    recipe = Recipe(node, {"_target_": "mrirecon.data.Normalize"})
    kept = names["fitting"](recipe, Checkpoint(tensors, None), tmp_path)
    assert kept and all(name.startswith("denoiser.") for name in kept)
