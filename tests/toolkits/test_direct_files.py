"""Files of DIRECT on the command line, what is chosen beside them, and what is refused."""

import sys

import h5py
import numpy as np
import pytest
import torch
import yaml

from mrirecon.commands import convert as convert_command
from mrirecon.commands.adoption import StartingWeights
from mrirecon.commands.method import build_method
from mrirecon.errors import ConfigError
from mrirecon.loading import load_reconstructor
from mrirecon.training.checkpoint import read_checkpoint
from tests.commands import run
from tests.test_loading import chosen
from tests.toolkits import made
from tests.toolkits.test_direct import assert_same, image, slice_of

CPU = torch.device("cpu")
ROOT = "model.initializer."


def without(weights, *beginnings):
    return {k: v for k, v in weights.items() if not k.startswith(beginnings)}


def edited(**changes):
    return {**made.vsharp(), **changes}


def lost_bias():
    return without(made.vsharp(), "initializer.out_block.bias")


def deeper():
    return edited(**{"denoiser_blocks.2.conv_out.weight": torch.zeros(2, 2, 1, 1)})


def volumes():
    return edited(**{"denoiser_blocks.0.conv.layer_1.conv.weight": torch.zeros(8, 4, 3, 3, 3)})


def sparse_head():
    return without(made.vsharp(), "denoiser_blocks.1.conv_out.bias")


def resized():
    return edited(**{"initializer.conv_blocks.1.1.weight": torch.zeros(4, 2, 3, 3)})


def other_network():
    return {"image_block_list.0.weight": torch.zeros(2)}


def no_tensor():
    return {**made.vsharp(), "rho": [0.1, 0.2]}


def a_view():
    return edited(rho=torch.zeros(1).expand(2))


WRONG = {
    "lost bias": (lost_bias, "missing: model.initializer.out_block.bias; .*take the original"),
    "too many blocks": (deeper, "unexpected: model.denoiser_blocks.2.conv_out.weight"),
    "volumes": (volumes, r"layers.0.layer_1.conv.weight has the shape \(2, 6, 3, 3\); expected 5"),
    "one head without bias": (sparse_head, "missing: model.denoiser_blocks.1.conv_out.bias"),
    "another shape": (resized, r"conv_blocks.1.1.weight \(4, 2, 3, 3\), not \(4, 4, 3, 3\)"),
    "another network": (other_network, "not supported: found model.image_block_list.0.weight"),
    "no tensor": (no_tensor, "model.rho is a list, expected a tensor"),
    "a view": (a_view, "model.rho has 2 numbers, but not as many are in the file"),
    "no steps": (lambda: without(made.vsharp(), "rho"), "model.rho is missing"),
    "no slope": (
        lambda: without(made.vsharp(), "initializer.activation"),
        "activation.weight, the slope of a PReLU, is missing; .*RELU or LEAKY_RELU",
    ),
    "no initializer": (
        lambda: without(made.vsharp(), "initializer"), "conv_blocks.0.1.weight is missing",
    ),
    "no denoiser": (
        lambda: without(made.vsharp(), "denoiser_blocks.0.down"), "expected DIRECT's U-Net, found",
    ),
    "shared steps": (lambda: made.recurrent(1), "any number of steps; expected num_steps in"),
    "three numbers": (
        lambda: edited(**{"denoiser_blocks.0.down_sample_layers.0.layer_1.conv.fc.0.weight":
                          torch.zeros(4, 3)}),
        "shape .4, 3.; expected filters that depend on 2 numbers",
    ),
    "no filter layer": (
        lambda: without(made.vsharp(told=(3,), bias=False), "denoiser_blocks.1.conv_out.fc.0.bias"),
        "missing: model.denoiser_blocks.1.conv_out.fc.0.bias",
    ),
    "no gate": (
        lambda: without(made.recurrent(), "block_list.1.regularizer.reset_gates.0.0.bias"),
        "missing: model.block_list.1.regularizer.reset_gates.0.0.bias",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case, tmp_path):
    make, reason = WRONG[case]
    path = made.save(tmp_path / "w.pt", make(), made.sensitivity())
    with pytest.raises(ConfigError, match=reason) as caught:
        load_reconstructor(path)
    assert str(path) in str(caught.value)


def test_networks_that_are_missing_or_too_many_are_named(tmp_path):
    path = made.save(tmp_path / "w.pt", made.vsharp())
    with pytest.raises(ConfigError, match="holds no sensitivity_model"):
        load_reconstructor(path)
    made.save(path, made.vsharp(), settings=made.settings(refined=False))
    model, _ = load_reconstructor(path)
    assert type(model.sensitivity).__name__ == "GaussianMaps"
    made.save(path, made.vsharp(), made.sensitivity())
    with pytest.raises(ConfigError, match="tells of no sensitivity_model, the file has one"):
        load_reconstructor(path)
    made.save(path, made.vsharp(), made.sensitivity(), kspace_model={"a": torch.zeros(1)})
    with pytest.raises(ConfigError, match="holds kspace_model beside model, sensitivity_model"):
        load_reconstructor(path)
    torch.save(made.vsharp(), path)
    with pytest.raises(ConfigError, match="tensors of one network of DIRECT"):
        load_reconstructor(path)


def test_a_configuration_of_the_same_name_tells_what_weights_do_not(tmp_path):
    path = made.save(
        tmp_path / "w.pt", made.vsharp(), made.sensitivity(),
        made.settings(model={"initializer_dilations": [1, 2, 2, 3]}, share=None),
    )  # fmt: skip
    checkpoint = read_checkpoint(path)
    node = checkpoint.public_model()
    assert node["initializer"]["dilations"] == [1, 2, 2, 3] and node["start"]["scale"] == "one"
    assert "w.yaml" in checkpoint.note
    path.with_suffix(".yaml").rename(tmp_path / "w.yml")
    assert read_checkpoint(path).public_model() == node
    (tmp_path / "w.yml").rename(tmp_path / "published.yaml")  # the only one of this network
    (tmp_path / "others.yaml").write_text(yaml.safe_dump(made.settings("RecurrentVarNet")))
    (tmp_path / "broken.yaml").write_text("a: [")
    assert read_checkpoint(path).public_model() == node
    (tmp_path / "second.yaml").write_text(yaml.safe_dump(made.settings()))
    with pytest.raises(ConfigError, match=r"published.yaml and second.yaml differ .* w.yaml"):
        read_checkpoint(path)
    for name in ("published", "second"):
        (tmp_path / f"{name}.yaml").unlink()
    alone = read_checkpoint(path)
    assert alone.public_model()["start"]["scale"] == 0.995 and "no configuration" in alone.note


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (made.settings(model={"num_steps": 5}), "tells num_steps: 5, the tensors tell 2"),
        (made.settings(model={"image_unet_num_filters": 32}), "num_filters: 32, .* tell 2"),
        (made.settings(model={"image_init": "GRAPPA"}), "'GRAPPA'; expected sense or zero_filled"),
        (made.settings(model={"initializer_activation": "RELU"}), "PRELU, whose slope is in the"),
        (made.settings(model={"initializer_dilations": [1, 2]}), "4 convolutions, but 2 dilations"),
        (made.settings(model={"initializer_dilations": "12"}), "whole numbers, got 12"),
        (made.settings(model={"log_aux": 1}), "log_aux: expected a bool, got 1"),
        (made.settings(share="high"), "scale_percentile: expected a float, got high"),
        (made.settings(share=2.0), "scale must be a share in"),
        (made.settings("Unet2d"), "configuration of a VSharpNet"),
        ([1, 2], "configuration of a VSharpNet"),
    ],
)
def test_a_configuration_that_does_not_fit_is_told(settings, reason, tmp_path):
    path = made.save(tmp_path / "w.pt", made.vsharp(), made.sensitivity(), settings)
    with pytest.raises(ConfigError, match=reason):
        load_reconstructor(path)


def test_choices_of_the_command_line_hold_and_the_model_must_be_the_right_one(tmp_path, capsys):
    path = str(made.save(tmp_path / "w.pt", made.vsharp(), made.sensitivity()))
    method = build_method(chosen("reconstruct", "model=vsharp"), path, CPU)
    assert method.reconstructor.start.scale == 0.995 and method.transform.transforms == []
    assert "no configuration (.yaml) lies beside it" in capsys.readouterr().out
    words = ["model=vsharp", "++model.start.scale=0.99", "preprocessing=normalize"]
    method = build_method(chosen("reconstruct", *words), path, CPU)
    assert method.reconstructor.start.scale == 0.99 and len(method.transform.transforms) == 1
    assert not method.reconstructor.splitting.positive
    with pytest.raises(ConfigError, match="weights of a vsharp, but the model is VarNet; choose"):
        build_method(chosen("reconstruct", "model=varnet"), path, CPU)
    start, config = StartingWeights.read(path), chosen("train", "model=vsharp")
    start.adopt(config, ())
    assert config.model.iterations == 2 and config.model.regularizer.channels == 2


def convert(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["mrirecon convert", *map(str, words)])
    convert_command.main()


def test_from_the_command_line_to_our_own_checkpoint(tmp_path, monkeypatch, capsys):
    """The image of the file, and of what it was converted to, with its configuration gone."""
    sample, _ = slice_of()
    maps = made.sensitivity()
    path = made.save(
        tmp_path / "public.pt", made.legacy(made.vsharp(scales=2)), made.legacy(maps),
        made.settings(model={"image_init": "ZERO_FILLED"}),
    )  # fmt: skip
    expected = image(path, sample)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"], file["mask"] = sample.kspace[None].numpy(), sample.mask[0].numpy()
    done = run(
        "reconstruct", "input=scan.h5", "output=out", "formats=[hdf5]", "device=cpu",
        "model=vsharp", "checkpoint=public.pt", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "DIRECT's VSharpNet with the settings of public.yaml" in done.stdout
    with h5py.File(tmp_path / "out" / "scan.h5") as file:
        assert_same(torch.from_numpy(np.asarray(file["reconstruction"][0])), expected)
    convert(monkeypatch, path, tmp_path / "ours.ckpt")
    count = sum(value.numel() for value in (*made.vsharp(scales=2).values(), *maps.values()))
    shown = capsys.readouterr().out
    assert f"VSharp (iterations=2, steps=2, tied=False, positive=False), {count:,} weights" in shown
    path.unlink()
    path.with_suffix(".yaml").unlink()
    assert torch.equal(image(tmp_path / "ours.ckpt", sample), expected)
    with pytest.raises(SystemExit, match="is a checkpoint of mrirecon already"):
        convert(monkeypatch, tmp_path / "ours.ckpt", tmp_path / "again.ckpt")
    assert not (tmp_path / "again.ckpt").exists()
