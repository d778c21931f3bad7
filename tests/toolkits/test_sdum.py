"""Weights of SDUM: the image that its network makes, and refusals that name what is wrong."""

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mrirecon.commands import convert as convert_command
from mrirecon.commands.method import build_method
from mrirecon.config import build
from mrirecon.data.collate import collate
from mrirecon.data.neighbors import with_neighbors
from mrirecon.errors import ConfigError, ShapeError
from mrirecon.fourier import fft
from mrirecon.inference import reconstruct_scan
from mrirecon.loading import load_reconstructor
from mrirecon.networks import AffineUnet, CascadedRestormer
from mrirecon.readers import open_scan
from mrirecon.reconstructors import Sdum
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.sdum import central, pattern_of
from mrirecon.sensitivity.base import CalibrationError
from mrirecon.training.checkpoint import read_checkpoint
from mrirecon.types import Sample
from tests.readers.array_files import cmrxrecon
from tests.test_config import composed
from tests.test_loading import chosen
from tests.toolkits import restated_sdum as restated
from tests.toolkits.test_direct import assert_same
from tests.toolkits.test_promptmr import assert_equal

COILS = 3


def series(frames, h, w, pattern):
    """k-space of frames of a moving object, its samples, and the centre of the first maps."""
    rng = np.random.RandomState(frames)
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
    coils = [np.exp(-((x - a) ** 2) - (y - b) ** 2 + 1j * a * y) for a, b in rng.randn(COILS, 2)]
    bodies = [
        (x**2 + y**2 < 0.6) * (1 + 0.4 * np.sin(5 * x + t) * np.cos(4 * y)) for t in range(frames)
    ]
    images = torch.from_numpy(np.stack([[c * b for c in coils] for b in bodies]) * 1e-4)
    middle, center = slice(w // 2 - 3, w // 2 + 4), torch.zeros(h, w, dtype=torch.bool)
    mask = torch.zeros(frames, h, w, dtype=torch.bool)
    # the centre has a line less than are measured, on either axis
    rows, columns = slice((h - (h - 1) + 1) // 2, h), slice((w - 6 + 1) // 2, (w - 6 + 1) // 2 + 6)
    if pattern == "uniform":
        mask[:, :, w // 2 % 5 :: 5] = True
    elif pattern == "gaussian":
        mask |= torch.from_numpy(rng.rand(frames, 1, w) < 0.3)
    else:
        mask |= torch.from_numpy(rng.rand(frames, h, w) < 0.3)
        middle, columns = (slice(h // 2 - 4, h // 2 + 3), middle), columns
        rows = slice((h - 6 + 1) // 2, (h - 6 + 1) // 2 + 6)
    if pattern == "radial":
        mask[:, h // 2 - 5] = mask[:, h // 2 + 3] = False
        mask[:, :, w // 2 - 4] = mask[:, :, w // 2 + 4] = False
        mask[(slice(None), *middle)] = True
    else:
        mask[:, :, w // 2 - 4] = mask[:, :, w // 2 + 4] = False
        mask[:, :, middle] = True
    center[rows, columns] = True
    return fft(images.to(torch.complex64)) * mask[:, None], mask, center


def image(model, transform, kspace, mask):
    """What our method makes of the frame in the middle, in the units of the raw data."""
    lines = bool((mask == mask[:, :1]).all())
    frames = [Sample(k, m[:1] if lines else m) for k, m in zip(kspace, mask, strict=True)]
    middle = len(frames) // 2
    sample = with_neighbors(frames[middle], frames[:middle] + frames[middle + 1 :])
    batch = transform(collate([sample]))
    with torch.no_grad():
        return model(batch)[0].real * batch.scale


CASES = {
    "uniform": ("uniform", (38, 33), {}),
    "radial": ("radial", (36, 41), {"frames": 3}),
    "told": ("gaussian", (37, 40), {"told": True}),
    "one weight": ("uniform", (36, 40), {"grid": None, "cascades": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_image_is_that_of_sdum(case, tmp_path):
    pattern, grid, sizes = CASES[case]
    weights = restated.made(**sizes)
    told = sizes.get("told", False)
    prefix = "module.recon_model." if told else ""
    model, transform = load_reconstructor(restated.save(tmp_path / "w.pt", weights, prefix))
    kspace, mask, center = series(sizes.get("frames", 5), *grid, pattern)
    assert pattern_of(mask) == pattern
    number = ("uniform", "gaussian", "radial").index(pattern)
    kind = None
    if told:
        model.acceleration, model.acquisition = 16, "T1w"
        kind = (number * 3 + 1) * 9 + 7
    expected = restated.reconstructed(
        weights, kspace.to(torch.complex128).mT, mask.mT, number, center.mT, kind
    ).mT
    assert_same(image(model, transform, kspace, mask), expected.float())
    turned = image(model, transform, kspace.flip(0), mask.flip(0))
    assert (turned - expected).abs().max() > 1e-3 * expected.abs().max()
    if told:
        model.acquisition = "LGE"
        other = image(model, transform, kspace, mask)
        assert (other - expected).abs().max() > 1e-4 * expected.abs().max()


def test_every_number_of_a_file_is_used_and_kept(tmp_path):
    weights = restated.made(told=True)
    found = read_checkpoint(restated.save(tmp_path / "w.pt", weights))
    given, kept = (
        torch.cat([value.flatten() for value in some.values()]).sort().values
        for some in (weights, found.named())
    )
    assert torch.equal(given, kept)
    node = found.public_model()
    assert node["network"]["expansion"] == 2.67 and node["maps"] == [4, 6, 8]
    assert node["network"]["heads"] == [1, 2, 4] and node["grid"] == [30, 52]


@pytest.mark.parametrize(
    ("words", "count"),
    [((), 227_707_332), (("++model.iterations=1", "++model.network.told=true"), 758_914_380 // 18)],
)
def test_the_published_sizes_are_those_of_its_authors(words, count):
    """The numbers of weights of their networks of 6 cascades, and of one of 18."""
    with torch.device("meta"):
        config = composed("reconstruct", "model=sdum_coils", *words)
        model = build(config.model, Reconstructor, "model")
    assert sum(value.numel() for value in model.parameters()) == count


def without(name):
    return {key: value for key, value in restated.made().items() if name not in key}


def edited(**changes):
    return {**restated.made(), **changes}


REDUCE = "cascades.1.recon_model.reduces.0.weight"
WRONG = {
    "norm": (lambda: without("1.recon_model.encoders.1.1.norm2.bias"),
             "missing: cascades.1.recon_model.encoders.1.1.norm2.bias"),
    "maps": (lambda: without("1.coil_sensitivity_model.conv_net.unet.upcat_2.upsample"),
             "missing: cascades.1.coil_sensitivity_model.conv_net.unet.upcat_2.upsample.deconv"),
    "weights": (lambda: without("cascades.1.dc_weight_map"), "missing: cascades.1.dc_weight_map"),
    "another network": (lambda: edited(gate=torch.ones(1)), "unexpected: gate"),
    "a gap": (lambda: without("encoders.1."), r"encoders.N have the numbers \[0, 2\]"),
    "even": (lambda: restated.made(frames=4), "takes 4 complex images; expected an odd number"),
    "a list": (lambda: edited(gate=[1.0]), "gate is a list, expected a tensor"),
    "a size": (lambda: edited(**{REDUCE: torch.ones(8, 8, 1, 1)}),
               r"reduces.0.weight \(8, 8, 1, 1\), not \(8, 16, 1, 1\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case, tmp_path):
    make, reason = WRONG[case]
    path = restated.save(tmp_path / "w.pt", make())
    with pytest.raises(ConfigError, match=reason) as caught:
        load_reconstructor(path)
    assert str(path) in str(caught.value)


def test_choices_hold_and_another_model_is_refused(tmp_path, capsys):
    path = str(restated.save(tmp_path / "w.pt", restated.made(told=True)))
    words = ["model=sdum_coils", "++model.acquisition=LGE", "++model.pattern=radial"]
    method = build_method(chosen("reconstruct", *words), path, torch.device("cpu"))
    assert (method.reconstructor.acquisition, method.reconstructor.pattern) == ("LGE", "radial")
    assert "model.acquisition=Cine (or another)" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="weights of a sdum_coils, but the model is DeepUnr"):
        build_method(chosen("reconstruct", "model=sdum"), path, torch.device("cpu"))


def test_from_a_raw_file_to_the_image_and_to_our_own_checkpoint(tmp_path, monkeypatch):
    """Two slices of three frames, of which the first follows the last again and again."""
    weights = restated.made(cascades=1)
    restated.save(tmp_path / "w.pt", weights)
    kspace, mask, center = series(3, 36, 40, "uniform")
    volume = torch.stack([kspace, kspace.flip(0)], 1)
    cmrxrecon(tmp_path / "scan.mat", "kus", volume.numpy())
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "w.pt"), str(tmp_path / "ours.ckpt")])
    convert_command.main()
    scan = open_scan(tmp_path / "scan.mat")
    model, transform = load_reconstructor(tmp_path / "ours.ckpt")
    made = reconstruct_scan(scan, model, transform)
    window = [1, 2, 0, 1, 2]  # around the first frame
    expected = restated.reconstructed(
        weights, kspace[window].to(torch.complex128).mT, mask[window].mT, 0, center.mT
    ).mT
    assert_same(made[0], expected.float())
    assert torch.equal(made, reconstruct_scan(scan, *load_reconstructor(tmp_path / "w.pt")))


def test_sampling_is_told_by_its_mask():
    lines = torch.zeros(2, 8, 40, dtype=torch.bool)
    lines[0, :, 3::4] = lines[1, :, 1::4] = True
    lines[:, :, 16:24] = True
    assert pattern_of(lines) == "uniform"
    partial = lines.clone()
    partial[:, :3] = False  # an asymmetric echo
    assert pattern_of(partial) == "uniform"
    assert pattern_of(torch.ones(1, 8, 40, dtype=torch.bool)) == "uniform"
    irregular = torch.zeros(1, 8, 40, dtype=torch.bool)
    irregular[:, :, [0, 3, 5, 11, 14, 19, 20, 21, 25, 33, 37]] = True
    assert pattern_of(irregular) == "gaussian"
    lines[1, 2, 5] ^= True
    assert pattern_of(lines) == "radial"


def test_the_centre_grows_along_the_readout_first():
    mask = torch.zeros(9, 12, dtype=torch.bool)
    mask[3:6] = mask[:, 5:8] = True
    assert central(mask).sum() == 8 * 2  # of 9 rows and 3 columns
    assert central(torch.zeros(4, 4, dtype=torch.bool)).all()
    mask[4, 6] = False
    with pytest.raises(CalibrationError, match="centre of k-space was not measured in all frames"):
        central(mask)


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"network.images must be 5 in this method, got 3"):
        Sdum(CascadedRestormer(3, (4, 8), (1, 1), (1, 1), 1))
    with pytest.raises(ValueError, match="need a number for every level, at least two levels"):
        CascadedRestormer(3, (4,), (1,), (1,))
    with pytest.raises(ValueError, match="number of the protocol, and it is missing"):
        CascadedRestormer(1, (4, 8), (1, 1), (1, 1), 1, told=True)(torch.zeros(1, 1, 8, 8) + 0j)
    with pytest.raises(ShapeError, match=r"\(31, 7\) are too small to be halved 3 times"):
        AffineUnet(2, 2, (2, 2, 2, 2))(torch.zeros(1, 2, 31, 7))
    with pytest.raises(ValueError, match="each of two levels or more"):
        AffineUnet(2, 2, (2,))


def test_other_ways_to_store_the_same_weights(tmp_path):
    """With what training needs beside them, as one of several copies, and as safetensors."""
    weights = restated.made(cascades=1)
    expected = read_checkpoint(restated.save(tmp_path / "w.pt", weights)).named()
    state = {f"module.{name}": value for name, value in weights.items()}
    told = {"best_metric": -1, "optimizer_state_dict": {"state": {}, "param_groups": []}}
    torch.save({"net_state_dict": state, **told}, tmp_path / "p.pt")
    assert_equal(read_checkpoint(tmp_path / "p.pt").named(), expected)
    save_file(weights, tmp_path / "p.safetensors")
    assert_equal(read_checkpoint(tmp_path / "p.safetensors").named(), expected)
