"""The memory that is free, and what is refused for lack of it."""

import json

import pytest
import torch

from mrirecon.commands import footprints, training_footprints
from mrirecon.container import memory_left
from mrirecon.errors import ConfigError
from mrirecon.footprint.need import Need
from mrirecon.footprint.room import Choice, Room, refuse_more, room
from mrirecon.pipeline import Method
from mrirecon.reconstructors import AdaptiveCombine
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.training.callbacks.recompute_activations import RecomputeActivations
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from tests import scenes
from tests.commands import mrirecon
from tests.data import test_series
from tests.test_threads import V1, V2, container
from tests.training.runs import RECIPE, adam, data, trainer, varnet

CPU = torch.device("cpu")
MB = 2**20


def test_free_memory_is_that_of_the_strictest_group(tmp_path):
    files = {
        "a/memory.max": "1000", "a/memory.current": "700",
        "a/memory.stat": "anon 500\ninactive_file 150",
        "a/b/memory.max": "max", "a/b/memory.current": "100",
        "memory.max": "9000", "memory.current": "8800",
    }  # fmt: skip
    root = container(tmp_path / "v2", ["0::/a/b"], [V2], **files)
    assert memory_left(root) == 200
    assert room(CPU, root).free == 200
    (root / "proc/meminfo").write_text("MemTotal: 99 kB\nMemAvailable:     3 kB\n")
    assert room(CPU, root) == Room(200, "in this container")
    (root / "sys/fs/cgroup/memory.max").write_text("max")
    assert memory_left(root) == 450
    (root / "proc/meminfo").write_text("MemAvailable: 0 kB\n")
    assert room(CPU, root) == Room(0, "on this machine")
    old = {
        "memory/memory.limit_in_bytes": "1000", "memory/memory.usage_in_bytes": "900",
        "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 300",
    }  # fmt: skip
    root = container(tmp_path / "v1", ["4:memory:/"], [V1.format("/", "memory", "memory")], **old)
    assert memory_left(root) == 400
    assert memory_left(tmp_path) is None and room(CPU, tmp_path).free is None


def test_what_fits_is_named():
    need = Need(weights=50 * MB, member=300 * MB, batch=4)
    for free in (1200 * MB, None):  # the weights are there already
        refuse_more("a step", need, Room(free, "here"), _never())
    choices = [
        Choice("data.batch_size=1", Need(50 * MB, 300 * MB, 1)),
        Choice("callbacks=low_memory", Need(50 * MB, 250 * MB, 4)),
    ]
    with pytest.raises(ConfigError, match=r"1.2 GB.*1000 MB are free here: data") as error:
        refuse_more("a step", need, Room(1000 * MB - 1, "here"), choices)
    assert "low_memory" not in str(error.value)
    with pytest.raises(ConfigError, match=r"even data.batch_size=1 takes 350 MB; choose a smaller"):
        refuse_more("a step", need, Room(100 * MB, "here"), choices)
    with pytest.raises(ConfigError, match=r"free here: choose a smaller model"):
        refuse_more("a step", need, Room(100 * MB, "here"), [])


def _never():
    raise AssertionError("settings are tried only when something does not fit")
    yield


def test_a_training_that_does_not_fit_is_refused(tmp_path, monkeypatch, capsys):
    module = ReconstructionModule(varnet(channels=8), Supervised(), adam, RECIPE)
    loaders, plain = data(1, matrix=(24, 22)), trainer(tmp_path)
    low = trainer(tmp_path, callbacks=[RecomputeActivations()])
    training_footprints.announce_training(module, loaders, low)
    assert "a step takes about" in capsys.readouterr().out
    sample = training_footprints._largest(loaders.sets["train"])
    less = training_footprints._step(module, low, sample, 2)
    assert less.member < training_footprints._step(module, plain, sample, 2).member
    monkeypatch.setattr(training_footprints, "room", lambda _: Room(less.beyond + 1, "here"))
    with pytest.raises(ConfigError, match=r"callbacks=low_memory takes") as error:
        training_footprints.announce_training(module, loaders, plain)
    assert "data.batch_size=1 callbacks=low_memory" in str(error.value)
    assert all("forward" not in part.__dict__ for part in module.reconstructor.modules())


@pytest.mark.parametrize(("frames", "length"), [(4, 4), (None, 6), (50, 23)])
def test_a_joint_method_takes_as_many_frames_as_a_step(frames, length):
    slices = test_series.data(frames).sets["train"]
    assert len(training_footprints._largest(slices, frames).kspace) == length


def test_images_that_do_not_fit_are_refused(monkeypatch):
    scan = scenes.scan(matrix=(64, 60), coils=12)
    method = Method(AdaptiveCombine(), lambda sample: sample)
    need = footprints.needed_by(scan, method, batch=4)
    one = footprints.needed_by(scan, method)
    assert need.member == one.member and need.batch == 4
    monkeypatch.setattr(footprints, "UNLIKELY", 0)
    monkeypatch.setattr(footprints, "room", lambda _: Room(one.total, "here"))
    with pytest.raises(ConfigError, match=r"a batch takes about .*: batch_size=1 takes .*compress"):
        footprints.refuse_unfitting(scan, method, 4)
    footprints.refuse_unfitting(scan, method, 1)


def test_inspect_tells_what_a_method_takes(tmp_path):
    write_ismrmrd(tmp_path / "a.h5", scenes.scan(matrix=(40, 36), slices=1))
    told = mrirecon(
        "inspect", "a.h5", "model=cg_sense", "sensitivity=low_resolution", folder=tmp_path
    )
    assert "CgSense takes about" in told and "are free" in told and " for the scan" in told
    told = mrirecon(
        "inspect", "model=varnet", "model.cascades=1", "a.h5", "--json", folder=tmp_path
    )
    report = json.loads(told)
    assert report["method"] == "VarNet" and report["peak_bytes"] > 10 * MB
    assert report["seconds"] > 0
    assert "output=here" in mrirecon("inspect", "a.h5", "output=here", folder=tmp_path, fails=True)
    assert "name a raw file" in mrirecon("inspect", "model=cg_sense", folder=tmp_path, fails=True)
