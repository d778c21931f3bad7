"""Files of an older version keep their meaning when parts are moved or get new defaults."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mrirecon.building import build_callable, build_node, locate
from mrirecon.cli import main
from mrirecon.data.collate import collate
from mrirecon.data.datamodule import DataModule
from mrirecon.defaults import completed, default_of
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft
from mrirecon.loading import load_reconstructor
from mrirecon.names import PACKAGES, public_name
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.checkpoint import FORMAT, read_checkpoint, read_state
from mrirecon.training.continuity import RunFacts, differences
from mrirecon.training.objectives.base import Objective
from mrirecon.types import Sample

OLD = Path(__file__).parent / "golden" / "version_0_1"
"""A short training of version 0.1: its last checkpoint and its configuration, the image of
:func:`object_of_four_coils` that it made of them, and all that its configurations could name."""
TARGETS = (OLD / "targets.txt").read_text().split()


def object_of_four_coils():
    y, x = np.mgrid[-16:16, -16:16] / 16.0
    image = (y**2 + (1.3 * x) ** 2 < 0.6) * (1 + 0.5 * np.cos(7 * x + 3 * y))
    places = ((1, 0), (0, 1), (-1, 0), (0, -1))
    maps = [np.exp(-((y - a) ** 2) - (x - b) ** 2 + 1j * (a * x + b * y)) for a, b in places]
    mask = torch.zeros(1, 32, dtype=torch.bool)
    mask[:, ::2] = mask[:, 8:24] = True
    return Sample(fft(torch.from_numpy((image * np.stack(maps)).astype(np.complex64))) * mask, mask)


def test_a_checkpoint_of_version_0_1_makes_the_image_that_it_made():
    reconstructor, transform = load_reconstructor(OLD / "last.ckpt")
    with torch.inference_mode():
        image = reconstructor(collate([transform(object_of_four_coils())]))[0]
    expected = torch.from_numpy(np.load(OLD / "image.npy"))
    assert (image - expected).norm() < 1e-4 * expected.norm()


def test_a_checkpoint_of_version_0_1_names_public_parts_when_it_is_read():
    recipe = read_checkpoint(OLD / "last.ckpt").recipe
    assert recipe.model["_target_"] == "mrirecon.reconstructors.MoDL"
    assert recipe.model["regularizer"]["_target_"] == "mrirecon.networks.ResidualCnn"
    assert recipe.preprocessing["_target_"] == "mrirecon.data.Compose"


def test_a_configuration_of_version_0_1_can_be_built():
    tree = yaml.safe_load((OLD / "config.yaml").read_text())
    assert type(build_node(tree["model"], Reconstructor, "model")).__name__ == "MoDL"
    assert isinstance(build_node(tree["objective"], Objective, "objective"), Objective)
    data = build_node(tree["data"], DataModule, "data")
    assert len(data.sets["train"]) == 2
    build_callable(tree["preprocessing"], "preprocessing")


@pytest.mark.parametrize("path", TARGETS)
def test_what_version_0_1_named_has_a_public_name(path):
    name = public_name(path)
    modules = ("mrirecon.adaptation", "mrirecon.read_options", "mrirecon.commands.run_folder")
    assert name.rpartition(".")[0] in (*PACKAGES, *modules)
    assert public_name(name) == name
    assert callable(locate(path))
    assert locate(path) is locate(name)


@pytest.mark.parametrize(
    "path",
    [
        "mrirecon.reconstructors.vranet.VarNet",  # never was a module
        "mrirecon.reconstructors.VarNet.extra",
        "mrirecon.data..Compose",
        "mrirecon.data.\0.Compose",
        "mrirecon.data./tmp/x.Compose",
        "mrirecon.reconstructors.learned.varnet.torch",
        "torch.nn.Conv2d",
        "mypackage.reconstructors.VarNet",
        "VarNet",
        "",
    ],
)
def test_other_names_stay_what_they_are(path):
    assert public_name(path) == path


def test_exports_are_what_they_are_called():
    for package in PACKAGES:
        for name in locate(f"{package}.__all__"):
            assert locate(f"{package}.{name}").__name__ == name, f"{package}.{name}"


def test_a_node_is_completed_with_all_defaults():
    node = {
        "_target_": "mrirecon.reconstructors.varnet.VarNet",
        "cascades": 3,
        "sensitivity": {"_target_": "mrirecon.sensitivity.LearnedMaps"},
        "consistency": "${elsewhere}",
    }
    assert completed(node) == {
        "_target_": "mrirecon.reconstructors.VarNet",
        "sensitivity": {
            "_target_": "mrirecon.sensitivity.LearnedMaps",
            "channels": 8,
            "pools": 4,
            "dropout": 0.0,
            "network": None,
            "center": "told",
        },
        "cascades": 3,
        "channels": 18,
        "pools": 4,
        "combination": "rss",
        "regularizer": None,
        "tied": False,
        "consistency": "${elsewhere}",
    }
    assert node["_target_"] == "mrirecon.reconstructors.varnet.VarNet"  # not changed in place


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"_target_": "torch.optim.Adam", "lr": 1}, {"_target_": "torch.optim.Adam", "lr": 1}),
        ({"_target_": "nothing.There"}, {"_target_": "nothing.There"}),
        ({"_target_": "mrirecon.simulation.Prescription", "matrix": [8, 8], "fov": [1.0, 1.0],
          "slices": 2, "thickness": 1.0, "gap": 0.0, "orientation": "axial",
          "center": [0.0, 0.0, 0.0], "tilt": [0.0, 0.0]}, None),
        ([{"a": [1, {"b": None}]}], None),
        (3, None),
    ],
)  # fmt: skip
def test_what_needs_no_completion_stays(node, expected):
    assert completed(node) == (node if expected is None else expected)


def test_tuples_are_written_as_lists():
    assert default_of("mrirecon.simulation.protocol.Prescription", "matrix") == [128, 128]
    with pytest.raises(KeyError):
        default_of("mrirecon.reconstructors.MoDL", "sensitivity")


def test_a_resumed_run_may_have_been_recorded_without_defaults():
    old = {"model._target_": "mrirecon.reconstructors.varnet.VarNet", "model.cascades": 4}
    new = {"model._target_": "mrirecon.reconstructors.VarNet", "model.cascades": 4}
    facts = RunFacts(old, {}, 0)
    assert differences(facts, RunFacts({**new, "model.tied": False}, {}, 0), {}) == []
    assert differences(facts, RunFacts({**new, "model.tied": True}, {}, 0), {}) == [
        "model.tied: False in that run, True in this one"
    ]


@pytest.mark.parametrize(
    ("writer", "words"),
    [
        ({"format": FORMAT + 1, "version": "9.9"}, f"format {FORMAT + 1}, written by mrirecon 9.9"),
        ({"format": "2"}, "number of its format"),
        ({"format": True}, "number of its format"),
        ("mine", "number of its format"),
    ],
)
def test_a_newer_checkpoint_is_refused(writer, words, tmp_path):
    path = tmp_path / "newer.ckpt"
    torch.save({"mrirecon": writer, "state_dict": {"reconstructor.a": torch.ones(1)}}, path)
    with pytest.raises(ConfigError, match=words):
        read_state(path)


def test_the_configuration_is_shown_with_every_argument(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = ["train", "model=modl", "--cfg", "job", "-p", "model", "--resolve"]
    monkeypatch.setattr("sys.argv", ["mrirecon", *words])
    main()
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["_target_"] == "mrirecon.reconstructors.MoDL"
    assert shown["iterations"] == default_of(shown["_target_"], "iterations")
    assert shown["sensitivity"]["sensitivity"]["kernel"] == 6
    assert shown["regularizer"]["layers"] == 5
    assert not list(tmp_path.iterdir())  # nothing was run


def test_what_another_run_names_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    there = RunFacts({"model._target_": "trap.Net"}, {}, 0)
    here = RunFacts(
        {"model._target_": "mrirecon.reconstructors.VarNet", "model.tied": False}, {}, 0
    )
    (found,) = differences(there, here, {})
    assert "trap.Net in that run" in found
