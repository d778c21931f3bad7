"""Weights of DIRECT: the same images as its networks make, and refusals that name what is wrong."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mrirecon.data.collate import collate
from mrirecon.fourier import fft
from mrirecon.loading import load_reconstructor
from mrirecon.networks import DilatedCnn, SeriesUnet
from mrirecon.reconstructors import ModulatedNetwork, VSharp
from mrirecon.sensitivity import GivenMaps
from mrirecon.types import Sample
from tests.toolkits import made, restated

H, W, COILS = 18, 22, 3
CENTER = 5
TOLD = torch.tensor([2.0, 23.0], dtype=torch.float64)
"""R and percents in the centre of the slice below: its lines are 3 apart, and 5 of 22 central."""


def slice_of(h=H, w=W, coils=COILS, seed=3):
    """k-space of coil images with a smooth object, sampled in every third column and the centre."""
    rng = np.random.RandomState(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
    body = (x**2 + y**2 < 0.8) * (1 + 0.3 * np.sin(5 * x) * np.cos(4 * y)) * np.exp(1j * x)
    coil = [np.exp(-((x - a) ** 2) - (y - b) ** 2 + 1j * a * y) for a, b in rng.randn(coils, 2)]
    images = torch.from_numpy(np.stack(coil) * body * 1e-4)
    mask = torch.zeros(1, w, dtype=torch.bool)
    mask[:, 1::3] = True
    start = (w - CENTER + 1) // 2
    center = torch.zeros(w, dtype=torch.bool)
    center[start : start + CENTER] = True
    mask |= center
    kspace = (fft(images.to(torch.complex64)) + 1e-6 * torch.from_numpy(
        rng.randn(coils, h, w).astype(np.complex64))) * mask  # fmt: skip
    return Sample(kspace, mask, acs=torch.tensor([h, CENTER])), center


def doubled(weights):
    return {name: value.double() for name, value in weights.items()}


def image(path, sample):
    """What our method makes of a file, in the units of the raw data."""
    model, transform = load_reconstructor(path)
    batch = transform(sample.map(lambda tensor: tensor[None]))
    with torch.no_grad():
        return model(batch)[0].abs()


def assert_same(result, expected, tolerance=3e-5):
    """Random networks magnify rounding; in double precision both agree to 1e-14."""
    assert result.shape == expected.shape
    assert (result - expected).abs().max() < tolerance * expected.abs().max()


VSHARP = {
    "published": ({}, {}, {}),
    "shared": ({"shared": True, "bias": False}, {}, {"image_init": "SENSE"}),
    "sum": ({"scales": 3}, {"start": "sum", "scales": 3}, {"image_init": "ZERO_FILLED"}),
    "relu": ({"slope": False}, {"last": F.relu}, {"initializer_activation": "RELU"}),
    "leaky": (
        {"slope": False, "scales": 2},
        {"last": F.leaky_relu, "scales": 2},
        {"initializer_activation": "LEAKY_RELU"},
    ),
    "normalized": ({"norm": True}, {"norm": True}, {}),
    "modulated": ({"told": (4, 3), "bias": False}, {"told": TOLD.log()}, {}),
    "modulated at the input": (
        {"told": (4,), "only": 2, "bias": False}, {"told": TOLD.log()}, {"log_aux": True},
    ),
    "modulated without logarithm": (
        {"told": (3,), "bias": False}, {"told": TOLD / torch.tensor([1, 100])}, {"log_aux": False},
    ),
}  # fmt: skip


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
@pytest.mark.parametrize("case", VSHARP)
def test_vsharp_makes_the_image_of_direct(case, old, tmp_path):
    sizes, options, told = VSHARP[case]
    weights, maps = made.vsharp(**sizes), made.sensitivity()
    names = made.legacy if old else dict
    junk = {"optimizer": {"state": {0: {"exp_avg": torch.zeros(9)}}}, "scaler": {}}
    path = made.save(
        tmp_path / "w.pt", names(weights), names(maps), made.settings(model=told), **junk
    )
    sample, center = slice_of()
    y = sample.kspace.to(torch.complex128)
    divisor = restated.scale(y, 0.995)
    S = restated.maps(doubled(maps), y, center)
    expected = restated.vsharp(doubled(weights), y / divisor, sample.mask, S, **options) * divisor
    assert_same(image(path, sample), expected.float())


RECURRENT = {
    "published": ({}, {}, {}),
    "uncentred": ({"scales": 3}, {"scales": 3, "centered": False}, {}),
    "shared": (
        {"blocks": 1, "layers": 1},
        {"steps": 3},
        {"num_steps": 3, "initializer_initialization": "sense"},
    ),
    "sum": ({"norm": True}, {"norm": True, "start": "sum"},
            {"initializer_initialization": "zero_filled"}),
    "zeros": ({"learned": False}, {"start": None}, {}),
}  # fmt: skip


@pytest.mark.parametrize("shape", [(H, W), (17, 21)])
@pytest.mark.parametrize("case", RECURRENT)
def test_recurrent_network_makes_the_image_of_direct(case, shape, tmp_path):
    """Files for the plain transform have another phase, which our readers take away."""
    sizes, options, told = RECURRENT[case]
    weights, maps = made.recurrent(**sizes), made.sensitivity()
    centered = options.get("centered", True)
    operator = "fft2" if centered else "fft2(centered=False)"
    path = made.save(
        tmp_path / "w.pt", weights, maps,
        made.settings("RecurrentVarNet", told, share=0.99, operator=operator),
    )  # fmt: skip
    sample, center = slice_of(*shape)
    y = sample.kspace.to(torch.complex128)
    if not centered:
        turns = [(torch.arange(n).double() - n // 2) * (n // 2) / n for n in shape]
        y = y * torch.exp(-2j * torch.pi * (turns[0][:, None] + turns[1]))
    divisor = restated.scale(y, 0.99)
    S = restated.maps(doubled(maps), y, center, centered)
    options = {"steps": 2, **options}
    expected = restated.recurrent(doubled(weights), y / divisor, sample.mask, S, **options)
    assert_same(image(path, sample), (expected * divisor).float())


def test_members_of_a_batch_have_filters_of_their_own(tmp_path):
    """Two slices that were sampled differently, together and one after the other."""
    weights = made.vsharp(told=(4, 3), bias=False)
    path = made.save(tmp_path / "w.pt", weights, made.sensitivity())
    model, _ = load_reconstructor(path)
    first, _ = slice_of()
    second = slice_of(seed=4)[0].replace(acs=torch.tensor([H, 3]))
    batch = collate([first, second])
    with torch.no_grad():
        together = model(batch)
        alone = torch.cat([model(collate([one])) for one in (first, second)])
    assert_same(torch.view_as_real(together), torch.view_as_real(alone), 1e-5)
    told = [module for module in model.modules() if isinstance(module, ModulatedNetwork)]
    assert len(told) == 3 and not torch.equal(*told[0].sampling(batch))
    for module in told:
        module.sampling.acceleration = 8.0
    with torch.no_grad():
        assert (model(batch) - together).abs().max() > 1e-3 * together.abs().max()


def test_modulated_networks_learn(tmp_path):
    weights = made.vsharp(told=(4,), only=2, bias=False)
    path = made.save(tmp_path / "w.pt", weights, made.sensitivity())
    model, _ = load_reconstructor(path)
    sample, _ = slice_of()
    (1e4 * model(collate([sample]))).abs().square().sum().backward()
    gains = model.denoisers[0].gains["unet/down_sample_layers/0/layers/0"]
    assert all(one.grad.abs().max() > 0 for one in gains.parameters())
    assert model.initializer.network.layers[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_vsharp_of_series_makes_the_images_of_direct(old, tmp_path):
    """All frames together, which share the scale; fewer of them than the U-Net can halve."""
    weights, maps = made.series(), made.sensitivity()
    names = made.legacy(weights) if old else made.series_names(weights)
    path = made.save(tmp_path / "w.pt", names, maps, made.settings("VSharpNet3D", share=0.99))
    frames = [slice_of(seed=seed)[0] for seed in (3, 4, 5)]
    _, center = slice_of()
    y = torch.stack([one.kspace for one in frames], 1).to(torch.complex128)
    y[:, 1] *= 0.1  # a dark frame
    batch = collate(
        [one.replace(kspace=y[:, t].to(torch.complex64)) for t, one in enumerate(frames)]
    )
    y = batch.kspace.transpose(0, 1).to(torch.complex128)
    S = torch.stack([restated.maps(doubled(maps), y[:, t], center) for t in range(3)], 1)
    divisor = restated.scale(y, 0.99)
    expected = restated.vsharp(doubled(weights), y / divisor, frames[0].mask, S) * divisor
    model, _ = load_reconstructor(path)
    assert model.joint
    with torch.no_grad():
        assert_same(model(batch).abs(), expected.float())


def test_networks_of_series_and_of_slices_do_not_mix():
    with pytest.raises(ValueError, match="must both see all frames at once, or both one"):
        VSharp(GivenMaps(), SeriesUnet(3, 2, 1), 2, 2)
    with pytest.raises(ValueError, match="a stack of 3 images to one image, and SeriesUnet"):
        VSharp(GivenMaps(), SeriesUnet(2, 2, 1), 2, 2, initializer=DilatedCnn(joint=True))
