"""Weights in safetensors files: what is read, and what is refused."""

import json
import struct

import pytest
import torch
from safetensors.torch import save

from mrirecon.errors import ConfigError
from mrirecon.loading import load_reconstructor, load_with_domain
from mrirecon.networks import NoiseLevelUnet
from mrirecon.reconstructors import HqsNet
from mrirecon.sensitivity import GivenMaps
from mrirecon.training.checkpoint import FORMAT, read_checkpoint, written_by
from mrirecon.weights.safetensors_file import read_safetensors, write_safetensors

MODEL = {
    "_target_": "mrirecon.reconstructors.HqsNet",
    "sensitivity": {"_target_": "mrirecon.sensitivity.GivenMaps"},
    "denoiser": {"_target_": "mrirecon.networks.NoiseLevelUnet", "channels": [4, 6], "blocks": 1,
                 "images": 2},
    "iterations": 2,
}  # fmt: skip
RECIPE = {"model": MODEL, "preprocessing": {"_target_": "mrirecon.data.Normalize"}}
FOREIGN = {**MODEL, "denoiser": {"_target_": "os.system", "command": "true"}}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return HqsNet(GivenMaps(), NoiseLevelUnet((4, 6), 1, images=2), iterations=2)


def facts(**changes):
    return {"mrirecon": written_by(), "recipe": RECIPE, "domain": {"noise": [0, 1]}} | changes


def test_half_precision_is_widened_and_builds_the_method(network, tmp_path):
    path = tmp_path / "a.safetensors"
    weights = network.state_dict()
    write_safetensors(path, weights, facts())
    assert path.stat().st_mode & 0o444 == 0o444  # for everybody who may read the package
    found, _, domain = load_with_domain(path)
    assert domain == {"noise": [0, 1]}
    for name, value in found.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, weights[name].half().float()), name


def test_numbers_that_are_no_weights_stay_as_they_are(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {"count": torch.tensor(70001), "w": torch.ones(2, dtype=torch.bfloat16)}
    write_safetensors(path, tensors, facts())
    found, _ = read_safetensors(path)
    assert found["count"].item() == 70001 and found["count"].dtype == torch.int64
    assert found["w"].dtype == torch.float32
    with pytest.raises(ConfigError, match=r"b\.safetensors: w holds values that are not finite"):
        write_safetensors(tmp_path / "b.safetensors", {"w": torch.tensor([7e4])}, facts())
    assert not (tmp_path / "b.safetensors").exists()


def header(fields, content=b""):
    text = json.dumps(fields).encode()
    return struct.pack("<Q", len(text)) + text + content


WHOLE = save({"w": torch.ones(8)}, {"mrirecon": json.dumps(written_by())})
DAMAGED = {
    "empty": b"",
    "short": WHOLE[:6],
    "cut": WHOLE[:-3],
    "header": WHOLE[:20],
    "long": struct.pack("<Q", 2**60) + WHOLE[8:],
    "pickle": b"\x80\x04\x95" + b"0" * 60,
    "words": save({"w": torch.ones(2)}, {"mrirecon": "{no JSON"}),
    "deep": save({"w": torch.ones(2)}, {"recipe": "[" * 100_000}),
    "kind": header({"w": {"dtype": "X9", "shape": [1], "data_offsets": [0, 1]}}, b"0"),
    "place": header({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 400]}}, b"0" * 16),
    "size": header({"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 16]}}, b"0" * 16),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.safetensors is no readable safetensors file"):
        load_reconstructor(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": {**RECIPE, "model": FOREIGN}}, "os.system is not a class of mrirecon"),
        ({"recipe": {**RECIPE, "model": "HqsNet"}}, "is not one of mrirecon"),
        ({"recipe": [1, 2]}, "is not one of mrirecon"),
        ({"mrirecon": {"format": FORMAT + 1, "version": "9.0"}}, "written by mrirecon 9.0"),
        ({"mrirecon": 3}, "does not tell the number of its format"),
        ({"recipe": {**RECIPE, "model": {**MODEL, "iterations": 5}}}, "does not fit HqsNet"),
        ({"recipe": {**RECIPE, "model": {**MODEL, "iterations": "${x}"}}}, "no value of a recipe"),
    ],
)
def test_recipes_are_checked_as_in_any_checkpoint(network, tmp_path, changes, message):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, network.state_dict(), facts(**changes))
    with pytest.raises(ConfigError, match="safetensors") as error:
        load_reconstructor(path)
    assert message in str(error.value)


def test_what_others_tell_in_their_files_means_nothing(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({"w": torch.ones(2)}, {"format": "pt", "mode": "{", "author": "x"}))
    checkpoint = read_checkpoint(path)
    assert checkpoint.recipe is None and checkpoint.domain is None
    path.write_bytes(save({}, {}))
    with pytest.raises(ConfigError, match=r"holds no weights|is no readable"):
        read_checkpoint(path)
