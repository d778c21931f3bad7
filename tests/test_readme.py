"""What the README and the pages beside it show is what the program does."""

import itertools
import re
import shlex
from functools import lru_cache
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mrirecon.choices import settings_of
from mrirecon.cli import COMMANDS, PLAIN
from mrirecon.files import conf_folder
from mrirecon.grammar import adapt, apart
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sensitivity import LowResolutionMaps
from mrirecon.simulation.raw_files import write_ismrmrd
from tests import scenes
from tests.pages import PAGES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "how-to" / "own-methods-and-readers.md").read_text(encoding="utf-8")
EXAMPLE, METHOD = (
    re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0] for page in (README, GUIDE)
)
BLOCK = re.compile(r"```(?:bash|\{code-cell\}[^\n]*)\n(.*?)```", re.DOTALL)
LINES = [
    line.removeprefix("!").split("  #")[0].strip()
    for page in PAGES
    for block in BLOCK.findall(page.read_text(encoding="utf-8"))
    for line in block.replace("\\\n", " ").splitlines()
    if re.match("!?mrirecon ", line) and "--" not in line
]


@pytest.mark.parametrize("line", dict.fromkeys(LINES))
def test_every_command_composes(line):
    _, command, *overrides = shlex.split(line)
    assert command in COMMANDS
    if command in PLAIN:
        return
    if "-m" in overrides:
        overrides.remove("-m")
        key, _, values = zip(*(override.partition("=") for override in overrides), strict=True)
        for job in itertools.product(*(value.split(",") for value in values)):
            composes(command, [f"{k}={v}" for k, v in zip(key, job, strict=True)])
    else:
        composes(command, overrides)


def composes(command, overrides):
    groups, own = groups_of_conf(command)
    named = {o.split("=")[0] for o in overrides}
    added = {name for name in named if name.startswith("+")}  # a group that goes to a place
    assert {name[1:].split("@")[0] for name in added} <= groups
    first = {re.split("[.@/]", name)[0] for name in named - added}
    assert first <= compose_keys(command) | groups | {"experiment"}
    adapted = [adapt(apart(o, own), groups - own) for o in overrides]
    read = OverridesParser.create().parse_overrides(adapted)
    settings = {o.key_or_group for o in read if o.is_force_add()}
    choices = [one for one, o in zip(adapted, read, strict=True) if not o.is_force_add()]
    config = composed(command, *choices)
    for key in settings:  # what they are set to does not change whether they compose
        parent = OmegaConf.select(config, key.rpartition(".")[0])
        assert parent is None or isinstance(parent, DictConfig), key


@lru_cache
def composed(command, *choices):
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose(command, overrides=list(choices))


@lru_cache
def groups_of_conf(command):
    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    return groups, groups & {name for name, _, _ in settings_of(command, conf_folder())}


def compose_keys(command):
    return {*composed(command), "sampling", "scheduler"}


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    write_ismrmrd(tmp_path / "full/raw/subject0000_t1.h5", scenes.scan(matrix=(48, 48)))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(EXAMPLE, names)
    assert len(EXAMPLE.splitlines()) <= 8
    for name in ("series", "half"):
        image = names[name].array
        assert image.shape == (2, 48, 48) and np.isfinite(image).all() and image.any()
    assert nibabel.load("image.nii.gz").shape == (48, 48, 2)
    assert names["maps"].shape == (4, 48, 48)
    assert "nmse=0.0" in capsys.readouterr().out


def test_the_example_method_is_one():
    names = {}
    exec(METHOD, names)
    method = names["Landweber"](LowResolutionMaps())
    assert isinstance(method, Reconstructor) and len(METHOD.splitlines()) <= 30
    image = method(scenes.batch())
    assert image.shape == (2, 40, 36) and image.dtype == torch.complex64


def test_the_readme_is_read_in_five_minutes_and_its_links_lead_somewhere():
    assert len(README.splitlines()) <= 120
    for link in re.findall(r"[^!]\[.*?\]\(([^):]*)\)", README):
        assert (ROOT / link).exists(), link


def test_pictures_exist_and_nothing_is_left_to_fill_in():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).is_file(), picture
    assert "<!--" not in README
