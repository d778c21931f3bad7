from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mrirecon.adaptation import Adaptation
from mrirecon.choices import about, kinds_of
from mrirecon.config import build, build_function, settings
from mrirecon.errors import ConfigError
from mrirecon.files import conf_folder
from mrirecon.grammar import adapt
from mrirecon.recipes import check_targets
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sampling import SamplingPattern
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.simulation import SimulationProtocol
from mrirecon.training.objectives.base import Objective

CONF = conf_folder()


def choices(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(command, *overrides):
    return deepcopy(composed_once(command, *overrides))


@cache
def composed_once(command, *overrides):
    """Compose a configuration; that takes as long as building a small model from it."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(command, overrides=list(overrides))


def test_all_mistakes_are_named_at_once():
    config = composed(
        "reconstruct",
        "++model.regularisation=0.1",
        "++model.iterations=ten",
        "++model.sensitivity={_target_: mrirecon.sensitivity.GivenMap}",
    )
    with pytest.raises(ConfigError) as error:
        build(config.model, Reconstructor, "model")
    for part in (
        "model.regularisation: CgSense has no such argument; did you mean regularization?",
        "model.iterations: expected int, got 'ten'",
        "model.sensitivity: cannot find mrirecon.sensitivity.GivenMap; did you mean GivenMaps?",
    ):
        assert part in str(error.value)


def test_constructor_errors_carry_their_key():
    config = composed("reconstruct", "++model.iterations=-1")
    with pytest.raises(ConfigError, match=r"model: iterations must .*-1"):
        build(config.model, Reconstructor, "model")


def test_the_role_is_checked():
    config = composed("reconstruct").sensitivity
    with pytest.raises(ConfigError, match=r"model: expected a Reconstructor, but .*Espirit"):
        build(config, Reconstructor, "model")


def test_missing_and_wrong_nodes():
    with pytest.raises(ConfigError, match="model: expected a node with a _target_"):
        build(OmegaConf.create({"iterations": 3}), Reconstructor, "model")
    with pytest.raises(ConfigError, match=r"center: missing; f requires it"):
        build(OmegaConf.create({"_target_": f"{__name__}.f"}), object, "x")
    with pytest.raises(ConfigError, match="Interpolation key 'nowhere' not found"):
        build(OmegaConf.create({"_target_": f"{__name__}.f", "center": "${nowhere}"}), object, "x")
    assert build(OmegaConf.create({"_target_": f"{__name__}.f"}), tuple, "x", center=1) == (1, 2.0)


def f(center: int, width: float = 2):
    return center, float(width)


def test_ints_serve_as_floats_and_lists_as_tuples():
    assert build(
        OmegaConf.create({"_target_": f"{__name__}.f", "center": 1, "width": 3}), tuple, "x"
    )
    pattern = OmegaConf.create(
        {"_target_": "mrirecon.sampling.PoissonDisc", "acceleration": 4, "acs": [16, 16]}
    )
    assert tuple(build(pattern, SamplingPattern, "sampling").acs) == (16, 16)


@pytest.mark.parametrize(
    ("group", "role"),
    [
        ("sampling", SamplingPattern),
        ("model", Reconstructor),
        ("sensitivity", SensitivityEstimator),
        ("adaptation", Adaptation),
    ],
)
def test_every_choice_builds(group, role):
    for choice in choices(group):
        config = composed("reconstruct", f"{group}={choice}")
        assert without_numbers(config[group], role, group) is not None


def without_numbers(node, role, name):
    """Build what may have hundreds of millions of parameters."""
    with torch.device("meta"):
        return build(node, role, name)


def test_methods_are_of_the_kind_that_their_first_line_tells():
    kinds = kinds_of("model", CONF)
    assert sorted(kinds) == ["classical", "learned"]
    for kind, names in kinds.items():
        for name in names:
            node = composed("reconstruct", f"model={name}").model
            model = without_numbers(node, Reconstructor, "model")
            assert model.trainable == (kind == "learned"), name


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda file: file.stem)
def test_every_choice_says_what_it_is(file):
    assert 3 < len(about(file)) <= 125


def test_every_function_builds():
    for group in ("preprocessing", "optimizer", "scheduler"):
        for choice in choices(group):
            assert build_function(composed("train", f"{group}={choice}")[group], group)
    with pytest.raises(ConfigError, match=r"x: tests.test_config.f is a tuple, not callable"):
        build_function({"_target_": f"{__name__}.f", "center": 1}, "x")


def test_every_simulation_builds_on_the_grid_and_along_trajectories():
    for choice in choices("simulation"):
        config = composed("simulate", f"simulation={choice}")
        assert build(config.simulation, SimulationProtocol, "simulation").trajectory is None
    kinds = {"golden": 1, "radial": None, "spiral": None, "tiny_golden": 7}
    assert choices("trajectory") == list(kinds)
    for choice, tiny in kinds.items():
        config = composed("simulate", f"+trajectory@simulation.trajectory={choice}")
        found = build(config.simulation, SimulationProtocol, "simulation").trajectory
        assert found.tiny == tiny and found.kind.startswith(choice[:6].replace("tiny_g", "golden"))


def test_every_training_choice_builds():
    for choice in choices("objective"):
        assert build(composed("train", f"objective={choice}").objective, Objective, "objective")


def test_every_data_choice_composes():
    for choice in choices("data"):
        assert composed("train", f"data={choice}").data._target_.endswith("DataModule")


def test_training_draws_masks_anew_and_validation_does_not():
    for choice in choices("data"):
        data = composed("train", f"data={choice}").data
        for slices, seed in ((data.train, "random"), (data.val, "scan")):
            steps = (slices.get("batch_transform") or slices.transform).transforms
            assert [step.seed for step in steps if "seed" in step] == [seed]


def test_undersampled_scans_may_join_the_training():
    choice = "data/transforms@data.train.transform=semi_supervised"
    transform = composed("train", choice).data.train.transform
    target, undersample, _ = build_function(transform, "transform").transforms
    assert not target.required and not undersample.again and undersample.seed == "random"


def test_nested_roles_are_checked():
    config = composed("reconstruct", "++model.sensitivity={_target_: mrirecon.sampling.MagicLines}")
    with pytest.raises(ConfigError, match=r"model.sensitivity: expected SensitivityEstimator"):
        build(config.model, Reconstructor, "model")


def test_settings_are_checked_all_at_once():
    @dataclass(frozen=True)
    class Example:
        """mrirecon example input=FILE."""

        input: str
        overwrite: bool
        count: int

    config = OmegaConf.create({"input": "", "overwrite": "no", "count": "x", "modle": {}})
    with pytest.raises(ConfigError) as error:
        settings(config, Example, ("model",))
    for problem in (
        "input is missing; usage: mrirecon example input=FILE",
        "overwrite: expected bool, got 'no'",
        "count: expected int, got 'x'",
        "modle: there is no such key; did you mean model?",
    ):
        assert problem in str(error.value)


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "os.system", "command": "true"},
        {"_target_": "torch.nn.ReLU", "x": [{"_target_": "os.getcwd"}]},
        {"_target_": "mrirecon.files.conf_folder"},
        {"_target_": "torch.nn.functional.relu"},
        {"_target_": "torch.nn.ReLU", "_partial_": True},
    ],
    ids=lambda node: node["_target_"],
)  # fmt: skip
def test_recipes_from_elsewhere_run_nothing(node):
    with pytest.raises(ConfigError, match=r"is not a class of mrirecon or torch.nn"):
        check_targets(node, "model")
    check_targets(OmegaConf.to_container(composed("train").preprocessing), "preprocessing")


def test_a_function_does_not_run_in_place_of_a_class():
    with pytest.raises(ConfigError, match="expected a Reconstructor"):
        build({"_target_": "mrirecon.sensitivity.GivenMaps"}, Reconstructor, "model")


def test_callbacks_want_what_is_better():
    better = {"nmse": "min", "psnr": "max", "ssim": "max"}
    for name, node in composed("train").callbacks.items():
        if node.get("monitor"):
            assert node.mode == better[node.monitor.removeprefix("val/")], name


def test_every_experiment_composes_and_its_model_builds():
    for experiment in choices("experiment"):
        config = composed("train", f"experiment={experiment}")
        assert without_numbers(config.model, Reconstructor, "model").trainable


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("model=varnet", "model=varnet"),
        ("model=null", "~model"),
        ("model.iterations=3", "++model.iterations=3"),
        ("hydra.run.dir=x", "hydra.run.dir=x"),
        ("input=/data/a (1), b=c.h5", "++input='/data/a (1), b=c.h5'"),
        ("input=it's.h5", r"++input='it\'s.h5'"),
        ("input=a${x}.h5", r"++input='a\${x}.h5'"),
        ("reconstruction=[a,b]", "++reconstruction=[a,b]"),
        ("data.train.scans.path=a b", "++data.train.scans.path='a b'"),
        ("output=null", "++output=null"),
        ("seed=3", "++seed=3"),
        ("sensitivity@model.sensitivity=given", "sensitivity@model.sensitivity=given"),
        ("--cfg", "--cfg"),
    ],
)
def test_overrides_are_adapted_to_hydra(typed, meant):
    assert adapt(typed, {"model", "data"}) == meant


def test_conf_is_where_the_clone_has_it():
    assert Path(CONF / "train.yaml").is_file()


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_choice_that_none_is_made_of_takes_a_node_of_the_user(file):
    """A key that is only in the list of defaults cannot be set to anything but a YAML file."""
    defaults = yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", [])
    none = [k for one in defaults if isinstance(one, dict) for k, v in one.items() if v is None]
    nodes = [f"{group}={{_target_: mypackage.mine}}" for group in none if group != "experiment"]
    config = composed(file.stem, *nodes)
    for node in nodes:
        assert config[node.partition("=")[0]] == {"_target_": "mypackage.mine"}
