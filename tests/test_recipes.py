"""A recipe from elsewhere is data: it runs nothing, resolves nothing and reaches no file."""

import copy
import inspect
import pickle
import pkgutil
from contextlib import suppress
from importlib import import_module

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from omegaconf.basecontainer import BaseContainer

from mrirecon.building import build_node
from mrirecon.commands.adoption import StartingWeights
from mrirecon.commands.method import build_method
from mrirecon.errors import ConfigError
from mrirecon.files import conf_folder
from mrirecon.loading import check_size, load_reconstructor
from mrirecon.recipes import LOCAL, PARTS, check_targets, plain_node, portable
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.checkpoint import Checkpoint, read_checkpoint, recipe_of
from tests.test_config import composed

CPU = torch.device("cpu")
SMALL = ["++model.cascades=1", "++model.channels=4", "++model.pools=2",
         "++model.sensitivity.channels=2", "++model.sensitivity.pools=2"]  # fmt: skip


def recipe(*overrides):
    config = composed("train", *overrides)
    return {
        key: OmegaConf.to_container(config[key], resolve=True) for key in ("model", "preprocessing")
    }


def saved(path, nodes, model=None):
    """Write a checkpoint as training does; returns its path."""
    model = model or build_node(recipe(*SMALL)["model"], Reconstructor, "model")
    state = {f"reconstructor.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "recipe": nodes}, path)
    return path


@pytest.fixture
def reconstruct_config():
    """The configuration of ``mrirecon reconstruct`` without any choice of the user."""
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        whole = compose("reconstruct", return_hydra_config=True)
    HydraConfig.instance().set_config(whole)
    yield OmegaConf.create({k: v for k, v in OmegaConf.to_container(whole).items() if k != "hydra"})
    HydraConfig.instance().cfg = None


@pytest.fixture
def calls(monkeypatch):
    """Every resolver that there is, and one more, only notes that it was called."""
    noted = []
    known = [*BaseContainer._resolvers, "elsewhere"]
    for name in known:
        monkeypatch.setitem(
            BaseContainer._resolvers,
            name,
            lambda *arguments, name=name, **_: noted.append((name, arguments)),
        )
    assert {"oc.create", "oc.env", "oc.select", "oc.decode", "oc.deprecated"} <= set(known)
    OmegaConf.to_container(OmegaConf.create({"a": "${oc.env:HOME}"}), resolve=True)
    assert noted.pop()[0] == "oc.env"  # so the list does fill
    return noted


PAYLOADS = (
    "${oc.create:{_target_: os.system, command: 'touch pwned'}}",
    "${oc.env:HOME}",
    "${elsewhere:1}",
    "a ${oc.env:HOME} b",
    "\\${oc.env:HOME}",
    "\\\\${oc.env:HOME}",
    "${oc.env:${oc.env:X,HOME}}",
    "${oc.select:sensitivity}",
    "${sensitivity}",
    "${.}",
    "${",
    "???",
)


def places(node, path=()):
    """Yield where words are: the path, and whether it is a key or a value."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield (*path, key), "key"
            yield from places(child, (*path, key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from places(child, (*path, index))
    else:
        yield path, "value"  # a number gives its place to a word, too


def with_word(nodes, path, kind, word):
    changed = copy.deepcopy(nodes)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    if kind == "value":
        parent[path[-1]] = word
    else:
        parent[word] = parent.pop(path[-1])
    return changed


RECIPES = {
    "varnet": (*SMALL, "+regularizer@model.regularizer=restormer"),
    "modl": ("model=modl", "sensitivity=cached", "preprocessing=compress"),
    "sdum": ("model=sdum",),
}


@pytest.mark.parametrize("name", RECIPES)
def test_no_word_of_a_recipe_is_ever_resolved(name, tmp_path, calls):
    nodes = recipe(*RECIPES[name])
    calls.clear()
    assert recipe_of({"recipe": nodes}, tmp_path) is not None
    tried = 0
    for path, kind in places(nodes):
        for word in PAYLOADS:
            with pytest.raises(ConfigError):
                recipe_of({"recipe": with_word(nodes, path, kind, word)}, tmp_path)
            tried += 1
    assert tried >= 12 * 15 and not calls and not (tmp_path / "pwned").exists()


def test_no_door_resolves_a_recipe(tmp_path, calls, reconstruct_config, monkeypatch):
    monkeypatch.setenv("HOME", "/home/secret")
    nodes = recipe(*SMALL)
    calls.clear()
    for path, kind in [(("model", "cascades"), "value"), (("model", "sensitivity"), "value"),
                       (("preprocessing", "transforms", 0, "_target_"), "value"),
                       (("model", "sensitivity", "_target_"), "key")]:  # fmt: skip
        file = saved(tmp_path / "a.ckpt", with_word(nodes, path, kind, "${oc.env:HOME}"))
        for door in (
            lambda file=file: load_reconstructor(file),
            lambda file=file: build_method(reconstruct_config, str(file), CPU),
            lambda file=file: StartingWeights.read(str(file)),
        ):
            with pytest.raises(ConfigError, match=r"is no value of a recipe") as error:
                door()
            assert "secret" not in str(error.value)
    assert not calls


def test_what_is_built_from_plain_containers_stays_literal(calls):
    with pytest.raises(ConfigError, match=r"combination: expected rss or sense, got '\$\{oc.env"):
        build_node(
            {"_target_": "mrirecon.reconstructors.varnet.VarNet", "combination": "${oc.env:HOME}"},
            Reconstructor,
            "model",
        )
    assert not calls


def test_a_checkpoint_of_ours_is_used_and_told(tmp_path, reconstruct_config):
    nodes = recipe(*SMALL)
    file = saved(tmp_path / "a.ckpt", nodes)
    method = build_method(reconstruct_config, str(file), CPU)
    assert method.name == "VarNet"
    told = yaml.safe_load(method.config)
    assert told["model"] == nodes["model"] and told["preprocessing"] == nodes["preprocessing"]
    reconstructor, transform = load_reconstructor(file)
    assert not reconstructor.training and transform.transforms[0].percentile == 99
    for a, b in zip(reconstructor.parameters(), method.reconstructor.parameters(), strict=True):
        assert torch.equal(a, b)


TARGETS = (
    "os.system",
    "builtins.eval",
    "subprocess.Popen",
    "pathlib.Path",
    "mrirecon.files.conf_folder",
    "mrirecon.files.Path",
    "mrirecon.readers.siemens.SiemensScan",
    "mrirecon.data.folder.Folder",
    "mrirecon.data.datamodule.DataModule",
    "mrirecon.training.callbacks.SamplePictures",
    "mrirecon.commands.base.Sweep",
    "mrirecon.sensitivity.cached.Path",
    "mrirecon.sensitivity.cache_folder.CacheFolder",
    "mrirecon.sensitivity.cached.clean",
    "mrirecon.sensitivity.cached.zipfile",
    "torch.nn.functional.relu",
    "torch.nn.Parameter",
    "torch.nn.parallel.DistributedDataParallel",
    "torch.nn.modules.module.OrderedDict",
    "torch.nn.utils.stateless.functional_call",
    "torch.load",
    "pytorch_lightning.Trainer",
    "..os.system",
    "mrirecon..os.system",
    "",
    ["os.system"],
    {"_target_": "os.system"},
    None,
    3,
)


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_only_parts_of_methods_may_be_named(target):
    for node in ({"_target_": target}, {"_target_": "torch.nn.ReLU", "x": [{"_target_": target}]}):
        with pytest.raises(ConfigError, match=r"is not a class of mrirecon or torch.nn") as error:
            check_targets(node, "model")
        assert "trust=[os]" not in str(error.value)
    check_targets({"_target_": "torch.nn.ReLU"}, "model")
    with pytest.raises(ConfigError, match=r"is not a class"):
        check_targets({"_target_": "torch.nn.ReLU", "_partial_": True}, "model")


def test_what_is_not_trusted_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "strange.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"trust=\[strange\], or choose the same class yourself"):
        check_targets({"_target_": "strange.Model"}, "model", packages=("stran", "strange.models"))


def test_no_part_of_a_method_takes_a_place_on_the_disk():
    """Of all classes that a recipe may name; what does is left out of every recipe."""
    suspicious = ("path", "file", "folder", "dir", "cache", "url", "name", "command", "gigabytes")
    found, looked = set(), 0
    for part in PARTS[:-1]:
        module = import_module(part)
        names = [part]
        if hasattr(module, "__path__"):
            names += [m.name for m in pkgutil.walk_packages(module.__path__, f"{part}.")]
        for name in names:
            for cls in vars(import_module(name)).values():
                if not inspect.isclass(cls) or cls.__module__ != name:
                    continue
                with suppress(ConfigError):
                    check_targets({"_target_": f"{name}.{cls.__name__}"}, "model")
                    looked += 1
                    found |= {
                        (cls.__name__, argument)
                        for argument in inspect.signature(cls).parameters
                        if any(word in argument for word in suspicious)
                    }
    assert looked > 100
    assert found == {("CachedMaps", argument) for argument in LOCAL}


def test_a_recipe_chooses_no_folder(tmp_path):
    nodes = recipe("model=modl", "sensitivity=phased", "sensitivity@sensitivity.sensitivity=cached",
                   "++model.regularizer.layers=2")  # fmt: skip
    cache = nodes["model"]["sensitivity"]["sensitivity"]
    assert cache["_target_"].endswith("CachedMaps")
    model = build_node(nodes["model"], Reconstructor, "model")
    cache |= {"folder": str(tmp_path / "precious"), "gigabytes": 1e-9}
    reconstructor, _ = load_reconstructor(saved(tmp_path / "a.ckpt", nodes, model))
    maps = reconstructor.sensitivity.sensitivity
    assert maps.folder is None and maps.gigabytes == 20
    own = {"_target_": "mypackage.Model", "folder": "weights"}  # of trusted packages, all stays
    assert portable(own) == own


class Tensorlike:
    def __reduce__(self):
        return (print, ("unpickled",))


def nested(depth):
    node = inner = {"_target_": "x"}
    for _ in range(depth):
        inner["a"] = inner = {}
    return node


def laughs():
    node = {"_target_": "x"}
    for _ in range(20):
        node = {"_target_": "x", "a": [node] * 10}
    return node


def cycle():
    node = {"_target_": "x"}
    node["a"] = [node]
    return node


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (nested(5000), "levels"),
        (laughs(), "entries"),
        (cycle(), "levels"),
        ({"_target_": "x", "a": torch.zeros(1)}, "got a Tensor"),
        ({"_target_": "x", "a": {1, 2}}, "got a set"),
        ({"_target_": "x", "a": b"x"}, "got a bytes"),
        ({"_target_": "x", 3: 1}, "expected words as keys"),
        ({"_target_": "x", "a": 10**100}, "hexadecimal digits"),
        ({"_target_": "x", "a": "b" * 100_000}, "is no value of a recipe"),
        ([], "expected a node"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_strange_containers_are_refused_in_words(node, message):
    with pytest.raises(ConfigError, match=message) as error:
        plain_node(node, "model")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 10**9},
        {"channels": 10**18},
        {"cascades": 10**9},
        {"cascades": 10**6},
        {"pools": 10**9},
        {"channels": -4},
        {"sensitivity": {"_target_": "mrirecon.sensitivity.LearnedMaps", "channels": 10**8}},
        {"regularizer": {"_target_": "mrirecon.networks.ResidualCnn", "layers": 10**9}},
        {"regularizer": {"_target_": "mrirecon.networks.ResidualCnn", "layers": 10**6}},
        {"regularizer": {"_target_": "torch.nn.Linear", "in_features": 10**9, "out_features": 9}},
        {"sensitivity": {"_target_": "torch.nn.ReLU"}},
    ],
    ids=str,
)
def test_a_model_is_not_larger_than_its_weights(change, tmp_path):
    nodes = recipe(*SMALL)
    nodes["model"] |= change
    file = saved(tmp_path / "a.ckpt", nodes)
    with pytest.raises(ConfigError, match=r"a.ckpt: its model "):
        load_reconstructor(file)


def test_weights_that_share_one_number_do_not_count_as_many(tmp_path):
    nodes = recipe(*SMALL)
    nodes["model"]["channels"] = 4096
    with torch.device("meta"):
        shapes = build_node(nodes["model"], Reconstructor, "model").state_dict()
    state = {f"reconstructor.{k}": torch.zeros(1).expand(v.shape) for k, v in shapes.items()}
    torch.save({"state_dict": state, "recipe": nodes}, tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").stat().st_size < 200_000
    with pytest.raises(ConfigError, match=r"parameters, the file only"):
        load_reconstructor(tmp_path / "a.ckpt")


def test_reading_a_checkpoint_unpickles_no_object(tmp_path, capsys):
    for number, content in enumerate(
        ({"state_dict": Tensorlike()}, {"recipe": Tensorlike()}, Tensorlike())
    ):
        for save in (torch.save, _pickled):
            path = tmp_path / f"{number}.ckpt"
            save(content, path)
            with pytest.raises(ConfigError, match=r"not a readable PyTorch checkpoint"):
                read_checkpoint(path)
    assert "unpickled" not in capsys.readouterr().out


def _pickled(content, path):
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("model", sorted(path.stem for path in (conf_folder() / "model").iterdir()))
def test_every_model_is_as_large_as_its_weights(model):
    fewer = ["++model.iterations=2"] if model in ("sdum", "promptmr", "vsharp") else []
    node = recipe(f"model={model}", *fewer)["model"]
    check_targets(node, "model")
    with torch.device("meta"):
        built = build_node(node, Reconstructor, "model")
    weights = built.state_dict()
    if built.trainable:
        check_size(node, Checkpoint(weights, None), "a.ckpt")


@pytest.mark.parametrize(
    "group", ["regularizer", "consistency", "body", "conditioning", "sensitivity", "preprocessing",
              "sampling"]
)  # fmt: skip
def test_every_part_that_we_ship_may_be_named(group):
    for path in (conf_folder() / group).glob("*.yaml"):
        target = yaml.safe_load(path.read_text())["_target_"]
        check_targets({"_target_": target}, group)
