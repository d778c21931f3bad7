"""Public weights become a checkpoint that needs nothing else."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mrirecon.config import build
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.unet import UNet
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.sensitivity import LearnedMaps
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.toolkits.fastmri import public_model
from mrirecon.training.checkpoint import read_checkpoint
from tests import scenes
from tests.commands import run
from tests.golden.reference import filled, golden, sample

SCRIPT = Path(__file__).parents[2] / "data_scripts" / "convert_checkpoint.py"


def convert(*arguments, folder, fails=False):
    done = run(SCRIPT, *arguments, folder=folder)
    assert "Traceback" not in done.stderr and bool(done.returncode) == fails, done.stderr
    return done.stderr if fails else done.stdout


def varnet():
    return filled(VarNet(2, 4, 2, LearnedMaps(2, 2)))


def unet():
    return filled(UNet(4, 3), "unet.")


@pytest.mark.parametrize(
    ("model", "prefix", "name"),
    [(varnet, "varnet.", "varnet/even/told"), (unet, "unet.", "unet/even")],
    ids=["varnet", "unet"],
)
@pytest.mark.parametrize("lightning", [False, True])
def test_output_is_fastmris(model, prefix, name, lightning, tmp_path):
    bare = {key.removeprefix("unet."): value for key, value in model().state_dict().items()}
    state = bare
    if lightning:
        state = {prefix + key: value for key, value in bare.items()}
        state = {"state_dict": {**state, "loss.w": torch.ones(1)}, "epoch": 3}
    torch.save(state, tmp_path / "public.pt")
    shown = convert("public.pt", "new/ours.ckpt", folder=tmp_path)
    assert "channels=4" in shown and f"{sum(v.numel() for v in bare.values()):,}" in shown
    checkpoint = read_checkpoint(tmp_path / "new" / "ours.ckpt")
    built = build(checkpoint.recipe.model, Reconstructor, "model")
    built.load_state_dict(checkpoint.weights)
    batch = sample("even").map(lambda tensor: tensor[None])
    image = built.eval()(batch)[0].real.detach().numpy()
    assert np.linalg.norm(image - golden(name)) < 1e-5 * np.linalg.norm(golden(name))
    again = convert("public.pt", "new/ours.ckpt", folder=tmp_path, fails=True)
    assert "exists already" in again
    convert("public.pt", "new/ours.ckpt", "--overwrite", folder=tmp_path)


def test_the_public_sizes_are_recognized():
    with torch.device("meta"):
        state = VarNet().state_dict()
        unet = UNet(channels=256).state_dict()
    assert len(state) == 324
    with torch.device("meta"):
        built = build(public_model(state), Reconstructor, "model")
    shapes = {name: value.shape for name, value in built.state_dict().items()}
    assert shapes == {name: value.shape for name, value in state.items()}
    assert public_model(unet)["channels"] == 256 and public_model(unet)["pools"] == 4


def test_mistakes_are_explained(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    assert "not the weights of fastMRI's" in convert("other.pt", "x.ckpt", folder=tmp_path, fails=1)
    state = varnet().state_dict()
    torch.save({k: v for k, v in state.items() if "dc_weight" not in k}, tmp_path / "part.pt")
    assert "dc_weight" in convert("part.pt", "x.ckpt", folder=tmp_path, fails=1)
    torch.save({k: v for k, v in state.items() if "sens" not in k}, tmp_path / "half.pt")
    assert "lack sens_net.norm" in convert("half.pt", "x.ckpt", folder=tmp_path, fails=1)
    assert not (tmp_path / "x.ckpt").exists()


def test_reconstruct_needs_nothing_but_the_checkpoint(tmp_path):
    scan = scenes.scan(0, slices=1)
    write_ismrmrd(tmp_path / "scan.h5", scan, AcquisitionOptions(sampling=scenes.PATTERN))
    torch.save(varnet().state_dict(), tmp_path / "public.pt")
    convert("public.pt", "ours.ckpt", folder=tmp_path)
    options = ["model=varnet", "model.cascades=2", "model.channels=4", "model.pools=2",
               "model.sensitivity.channels=2", "model.sensitivity.pools=2"]  # fmt: skip
    volumes = []
    for output, choice in (
        ("ours", ["checkpoint=ours.ckpt"]),
        ("by_model", ["checkpoint=public.pt", *options]),
    ):
        done = run(
            "reconstruct", "input=scan.h5", "device=cpu", f"output={output}", "formats=[hdf5]",
            *choice, folder=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with h5py.File(tmp_path / output / "scan.h5") as file:
            volumes.append(file["reconstruction"][()])
    np.testing.assert_allclose(volumes[0], volumes[1], rtol=1e-5, atol=1e-5 * volumes[1].max())
    assert volumes[0].std() > 0
