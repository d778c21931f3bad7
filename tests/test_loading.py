"""Models of other packages, weights to start from, and what may be chosen beside a checkpoint."""

import sys

import h5py
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from mrirecon.commands.adoption import StartingWeights
from mrirecon.commands.method import build_method
from mrirecon.commands.train import Settings
from mrirecon.config import build
from mrirecon.errors import ConfigError
from mrirecon.files import conf_folder
from mrirecon.loading import load_reconstructor
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.unet import UNet
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.sensitivity import LearnedMaps
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.training.checkpoint import read_state
from tests import scenes
from tests.commands import mrirecon

CPU = torch.device("cpu")
MODELS = """
from functools import partial
from os import system

import torch

from mrirecon.operators import sense
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sensitivity.base import SensitivityEstimator


class Tiny(Reconstructor):
    def __init__(self, sensitivity: SensitivityEstimator, gain: float = 1.0, steps: int = 1):
        super().__init__()
        self.sensitivity, self.steps = sensitivity, steps
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def forward(self, sample):
        return self.gain * sense(self.sensitivity(sample), sample.mask).H(sample.kspace)


class Halved:
    def __init__(self, factor: float = 2.0):
        self.factor = factor

    def __call__(self, sample):
        return sample.divided(torch.tensor(self.factor))


def scaled(sample, factor):
    return sample.divided(torch.tensor(factor))
"""
OBJECTIVE = """
from mrirecon.image import center_crop
from mrirecon.training.objectives.base import Objective


class MeanError(Objective):
    needs_target = True

    def forward(self, reconstructor, sample):
        image = center_crop(reconstructor(sample), sample.target.shape[-2:]).abs()
        return (image - sample.target).abs().mean()
"""
SENSITIVITY = {"_target_": "mrirecon.sensitivity.LowResolutionMaps"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user's: two modules, and YAMLs that choose what is in them."""
    folder = tmp_path / "ownlab"
    files = {
        "__init__.py": "",
        "models.py": MODELS,
        "objective.py": OBJECTIVE,
        "conf/model/tiny.yaml": "_target_: ownlab.models.Tiny\nsensitivity: ${sensitivity}\n",
        "conf/preprocessing/halved.yaml": "_target_: ownlab.models.Halved\n",
        "conf/objective/mean_error.yaml": "_target_: ownlab.objective.MeanError\n",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "ownlab"]:
        del sys.modules[name]


def tiny_checkpoint(path, model=None, preprocessing=None):
    nodes = {
        "model": {"_target_": "ownlab.models.Tiny", "sensitivity": SENSITIVITY, "steps": 7},
        "preprocessing": {"_target_": "ownlab.models.Halved", "factor": 4.0},
    }
    nodes["model"] |= model or {}
    nodes["preprocessing"] = preprocessing or nodes["preprocessing"]
    state = {"reconstructor.gain": torch.tensor(3.0)}
    torch.save({"state_dict": state, "recipe": nodes}, path)
    return str(path)


def chosen(command, *overrides, search=None):
    """Compose a configuration as the command line does; the command can see the choices."""
    more = [f"hydra.searchpath=[file://{search}]"] if search else []
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        whole = compose(command, overrides=[*more, *overrides], return_hydra_config=True)
    HydraConfig.instance().set_config(whole)
    return OmegaConf.create(
        {k: v for k, v in OmegaConf.to_container(whole).items() if k != "hydra"}
    )


@pytest.mark.usefixtures("package")
def test_a_model_of_another_package_wants_trust(tmp_path):
    path = tiny_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(ConfigError, match=r"ownlab.models.Tiny is not .*trust=\[ownlab\]"):
        load_reconstructor(path)
    assert "ownlab.models" not in sys.modules
    for trust in (["ownlab"], "ownlab", ("ownlab.models",), {"other", "ownlab"}):
        network, transform = load_reconstructor(path, trust)
        assert network.gain.item() == 3 and network.steps == 7 and transform.factor == 4
    for trust in ("own", "ownlab.model", "lab", "", "ownlab.models.Tiny.x"):
        with pytest.raises(ConfigError, match="is not a class of mrirecon"):
            load_reconstructor(path, [trust])


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("ownlab.models.system", "is defined elsewhere"),
        ("ownlab.models.partial", "is defined elsewhere"),
        ("ownlab.models.torch", "is defined elsewhere"),
        ("ownlab.models.Missing", "cannot be imported"),
        ("os.system", "is not a class of mrirecon"),
    ],
)
def test_trust_is_for_what_a_package_defines(tmp_path, target, message):
    path = tiny_checkpoint(tmp_path / "a.ckpt", preprocessing={"_target_": target, "command": "x"})
    with pytest.raises(ConfigError, match=message):
        load_reconstructor(path, ["ownlab"])


@pytest.mark.usefixtures("package")
def test_functions_of_trusted_packages_serve_too(tmp_path):
    node = {"_target_": "ownlab.models.scaled", "_partial_": True, "factor": 0.5}
    path = tiny_checkpoint(tmp_path / "a.ckpt", preprocessing=node)
    _, transform = load_reconstructor(path, ["ownlab"])
    sample = scenes.scan(slices=1)[0]
    torch.testing.assert_close(transform(sample).kspace, sample.kspace / 0.5)


def test_choosing_the_same_class_is_trust(package, tmp_path):
    path = tiny_checkpoint(tmp_path / "a.ckpt")
    both = ["model=tiny", "preprocessing=halved"]
    config = chosen("reconstruct", *both, search=package / "conf")
    method = build_method(config, path, CPU)
    assert method.reconstructor.steps == 7 and method.transform.factor == 4  # the checkpoint's
    config = chosen("reconstruct", both[0], search=package / "conf")
    with pytest.raises(ConfigError, match=r"preprocessing: ownlab.models.Halved is not"):
        build_method(config, path, CPU)
    for others in (["model=unet"], [*both, "++model.steps=2"], [*both, "sensitivity=walsh"]):
        config = chosen("reconstruct", *others, search=package / "conf")
        with pytest.raises(ConfigError, match=f"leave out {others[-1].lstrip('+')}"):
            build_method(config, path, CPU)
    # what the user's own choice does not name stays refused
    other = tiny_checkpoint(tmp_path / "b.ckpt", {"sensitivity": {"_target_": "os.system"}})
    config = chosen("reconstruct", *both, search=package / "conf")
    with pytest.raises(ConfigError, match=r"os.system is not a class"):
        build_method(config, other, CPU)


@pytest.mark.usefixtures("package")
def test_a_package_of_ones_own_trains_reconstructs_and_goes_on(tmp_path):
    options = [
        "simulation.prescription.matrix=[40,36]", "simulation.prescription.slices=1",
        "simulation.coils=3", "sampling=equispaced", "sampling.acs=12", "data.workers=0",
        "data.train.scans.count=2", "data.val.scans.count=1", "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false", "trainer.max_epochs=1", "logger=none",
        "objective=mean_error",
    ]  # fmt: skip
    own = ["--config-dir", "ownlab/conf"]
    mrirecon("train", *own, "model=tiny", "preprocessing=halved", "sensitivity=low_resolution",
             *options, "output=run", "optimizer.lr=0.5", folder=tmp_path)  # fmt: skip
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    first = torch.load(last, weights_only=True)
    assert first["recipe"]["model"]["_target_"] == "ownlab.models.Tiny"
    write_ismrmrd(
        tmp_path / "a.h5", scenes.scan(0, slices=1), AcquisitionOptions(sampling=scenes.PATTERN)
    )
    mrirecon("reconstruct", "input=a.h5", "output=out", f"checkpoint={last}", "trust=[ownlab]",
             "formats=[hdf5]", folder=tmp_path)  # fmt: skip
    with h5py.File(tmp_path / "out" / "a.h5") as file:
        assert file["provenance"].attrs["method"] == "Tiny" and np.any(file["reconstruction"])
    shown = mrirecon(
        "train", "output=on", *own, *options, f"checkpoint={last}", "trust=ownlab",
        "optimizer=rmsprop", "optimizer.lr=0", folder=tmp_path,
    )  # fmt: skip
    assert f"starting from the weights of {last}" in shown and "training Tiny" in shown
    second = torch.load(tmp_path / "on" / "checkpoints" / "last.ckpt", weights_only=True)
    gain = "reconstructor.gain"
    assert (
        torch.equal(second["state_dict"][gain], first["state_dict"][gain]) and first["epoch"] == 0
    )
    assert first["state_dict"][gain] != 1
    assert second["recipe"] == first["recipe"]
    assert second["global_step"] == first["global_step"] == 2  # it counts from zero again
    assert "square_avg" in second["optimizer_states"][0]["state"][0]  # RMSprop's, not Adam's


def test_a_training_starts_from_weights_or_resumes():
    given = {"seed": 1, "output": "o", "trust": ()}
    assert Settings(**given, resume=None, checkpoint="a.ckpt").checkpoint == "a.ckpt"
    with pytest.raises(ValueError, match="give one of them"):
        Settings(**given, resume="a.ckpt", checkpoint="b.ckpt")


def test_public_weights_start_a_training_of_their_size(tmp_path):
    torch.manual_seed(0)
    model = VarNet(2, 4, 2, LearnedMaps(3, 2))
    torch.save(model.state_dict(), tmp_path / "knee_leaderboard_state_dict.pt")
    config = chosen("train", "model=varnet", "++model.combination=sense")
    start = StartingWeights.read(str(tmp_path / "knee_leaderboard_state_dict.pt"))
    start.adopt(config, ())
    assert config.model.cascades == 2 and config.model.combination == "sense"
    assert config.model.sensitivity.channels == 3
    built = build(config.model, Reconstructor, "model")
    start.load(built)
    for name, value in model.state_dict().items():
        assert torch.equal(built.state_dict()[name], value)


def test_public_weights_of_a_unet_need_only_their_name(tmp_path):
    torch.save(UNet(6, 3).unet.state_dict(), tmp_path / "public.pt")
    method = build_method(chosen("reconstruct", "model=unet"), str(tmp_path / "public.pt"), CPU)
    assert method.reconstructor.crop and len(method.reconstructor.unet.down_sample_layers) == 3
    chosen_whole = chosen("reconstruct", "model=unet", "model.crop=false")
    assert not build_method(chosen_whole, str(tmp_path / "public.pt"), CPU).reconstructor.crop


def test_weights_that_do_not_fit_are_named(tmp_path):
    state = VarNet(2, 4, 2, LearnedMaps(2, 2)).state_dict()
    missing = [name for name in state if "dc_weight" in name]
    torch.save({k: v for k, v in state.items() if k not in missing}, tmp_path / "part.pt")
    torch.save({**state, "cascades.0.more": torch.zeros(1)}, tmp_path / "more.pt")
    torch.save(UNet(4, 2).unet.state_dict(), tmp_path / "unet.pt")
    for name, words in (("part", missing), ("more", ["cascades.0.more"]), ("unet", ["unet.conv"])):
        path = str(tmp_path / f"{name}.pt")
        start = StartingWeights.read(path)
        config = chosen("train", "model=varnet")
        start.adopt(config, ())
        with pytest.raises(ConfigError, match="does not fit VarNet") as error:
            method_config = chosen("reconstruct", "model=varnet")
            build_method(method_config, path, CPU)
        assert all(word in str(error.value) for word in words)


def test_public_weights_load_without_any_choice(tmp_path):
    model = VarNet(2, 4, 2, LearnedMaps(2, 2)).eval()
    torch.save(
        {"state_dict": {f"varnet.{k}": v for k, v in model.state_dict().items()}},
        tmp_path / "a.ckpt",
    )
    network, transform = load_reconstructor(tmp_path / "a.ckpt")
    batch = scenes.batch(scenes.scan())
    with torch.no_grad():
        assert torch.equal(network(batch), model(batch))
    assert transform(scenes.scan()[0]).scale > 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b"model: varnet\n", "it starts with b'model: varnet"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "it starts with b'.x89PNG"),
        (b"\x93NUMPY" + bytes(50), "it starts with"),
        (b"PK\x03\x04" + bytes(50), "damaged or no checkpoint"),
        (None, r"Python object \(torch.nn.modules.linear.Linear\).*state_dict"),
    ],
)
def test_what_is_no_checkpoint_is_told_without_the_advice_to_run_it(tmp_path, content, told):
    path = tmp_path / "some.ckpt"
    if content is None:
        torch.save(torch.nn.Linear(2, 2), path)
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=told) as caught:
        read_state(path)
    assert "weights_only" not in str(caught.value) and "weights only load" not in str(caught.value)


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ({"_target_": "torch.nn.Linear", "in_features": 30_000, "out_features": 30_000},
         "preprocessing cannot be built: .*holds none for it"),
        ({"_target_": "mrirecon.data.Compose", "transforms": [
            {"_target_": "torch.nn.Embedding", "num_embeddings": 10**6, "embedding_dim": 10**6}]},
         "preprocessing cannot be built: .*holds none for it"),
        ({"_target_": "torch.nn.Linear", "in_features": 10**9, "out_features": 10**9},
         "preprocessing cannot have 1000000000 of anything"),
        ({"_target_": "torch.nn.ZeroPad2d", "padding": "x"}, "preprocessing"),
    ],
)  # fmt: skip
def test_preprocessing_that_would_take_memory_is_refused(tmp_path, node, reason):
    """A checkpoint holds no weights for its preprocessing, so that it has none."""
    network = {"_target_": "mrirecon.reconstructors.UNet", "channels": 2, "pools": 1}
    path = tmp_path / "a.ckpt"
    state = {f"reconstructor.{k}": v for k, v in UNet(channels=2, pools=1).state_dict().items()}
    recipe = {"model": network, "preprocessing": {"_target_": "mrirecon.data.Normalize"}}
    torch.save({"state_dict": state, "recipe": recipe}, path)
    load_reconstructor(path)
    torch.save({"state_dict": state, "recipe": {**recipe, "preprocessing": node}}, path)
    with pytest.raises(ConfigError, match=reason):
        load_reconstructor(path)
