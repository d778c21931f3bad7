"""Weights of PromptMR: the image that its network makes, and refusals that name what is wrong."""

import sys

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mrirecon.commands import convert as convert_command
from mrirecon.commands.adoption import StartingWeights
from mrirecon.commands.method import build_method
from mrirecon.config import build
from mrirecon.data.collate import collate
from mrirecon.data.neighbors import with_neighbors
from mrirecon.errors import ConfigError, ShapeError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.inference import reconstruct_scan
from mrirecon.loading import load_reconstructor
from mrirecon.networks import NormalizedImages, PromptUnet
from mrirecon.readers import open_scan
from mrirecon.reconstructors import PromptMR
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.readout_crop import cut_readout
from mrirecon.training.checkpoint import read_checkpoint
from mrirecon.types import Sample
from tests.test_config import composed
from tests.test_loading import chosen
from tests.toolkits import restated_promptmr as restated
from tests.toolkits.test_direct import assert_same

COILS = 3


def stack(slices, h, w, odd=False):
    """k-space of adjacent slices, and its lines: every third, and in the middle six or seven."""
    rng = np.random.RandomState(slices)
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
    coils = [np.exp(-((x - a) ** 2) - (y - b) ** 2 + 1j * a * y) for a, b in rng.randn(COILS, 2)]
    bodies = [
        ((x**2 + y**2 < 0.6 + 0.05 * s) * (1 + 0.4 * np.sin(5 * x + 2 * s) * np.cos(4 * y)))
        for s in range(slices)
    ]
    images = torch.from_numpy(np.stack([[c * b for c in coils] for b in bodies]) * 1e-4)
    noise = 1e-6 * (rng.randn(*images.shape) + 1j * rng.randn(*images.shape))
    mask = torch.zeros(w, dtype=torch.bool)
    mask[w // 2 % 3 :: 3] = True
    mask[w // 2 - 3 : w // 2 + 3 + odd] = True
    mask[w // 2 + 3 + odd] = mask[w // 2 - 4] = False
    return (
        fft(images.to(torch.complex64)) + torch.from_numpy(noise.astype(np.complex64))
    ) * mask, mask


def image(path, kspace, mask):
    """What our method makes of the slice in the middle, in the units of the raw data."""
    model, transform = load_reconstructor(path)
    slices = [Sample(one, mask[None]) for one in kspace]
    middle = len(slices) // 2
    sample = with_neighbors(slices[middle], slices[:middle] + slices[middle + 1 :])
    batch = transform(collate([sample]))
    with torch.no_grad():
        made = model(batch)
    assert not made.imag.any()
    return made[0].real * batch.scale


CASES = {
    "knees": ({"attention": False}, (26, 22)),
    "heart": ({"images": 5}, (24, 29)),
    "a slice": ({"images": 1, "cascades": 1}, (23, 32)),
}


@pytest.mark.parametrize("bare", [False, True], ids=["lightning", "bare"])
@pytest.mark.parametrize("case", CASES)
def test_the_image_is_that_of_promptmr(case, bare, tmp_path):
    sizes, grid = CASES[case]
    weights = restated.made(**sizes)
    path = restated.save(tmp_path / "w.ckpt", weights)
    if bare:
        torch.save(weights, path)
    kspace, mask = stack(sizes.get("images", 3), *grid)
    expected = restated.reconstructed(weights, kspace.to(torch.complex128), mask).float()
    result = image(path, kspace, mask)
    assert_same(result, expected, 2e-5)
    if len(kspace) > 1:  # the neighbours matter, and so does their order
        turned = image(path, kspace.flip(0), mask)
        assert (turned - expected).abs().max() > 0.01 * expected.abs().max()


@pytest.mark.parametrize("attention", [False, True])
def test_every_number_of_a_file_is_used_and_kept(attention, tmp_path):
    weights = restated.made(attention=attention)
    found = read_checkpoint(restated.save(tmp_path / "w.ckpt", weights))
    given, kept = (
        torch.cat([value.flatten() for value in some.values()]).sort().values
        for some in (weights, found.named())
    )
    assert torch.equal(given, kept)
    node = found.public_model()
    assert node["iterations"] == 2 and node["regularizer"]["body"]["channels"] == [4, 8, 8, 12]
    assert node["sensitivity"]["center"] == "found"


def test_the_published_sizes_are_told_by_their_tensors():
    """The numbers of weights are those of the authors' list: 80 and 82 million."""
    for name, millions in (("", 79.643645), ("heart", 81.528317)):
        heart = [
            "++model.context=2", "++model.regularizer.images=5", "++model.readout=null",
            "++model.regularizer.body.reduction=4", "++model.sensitivity.network.body.reduction=4",
        ] if name else []  # fmt: skip
        config = composed("reconstruct", "model=promptmr_kspace", *heart)
        with torch.device("meta"):
            model = build(config.model, Reconstructor, "model")
        slopes = sum(isinstance(one, torch.nn.PReLU) for one in model.modules())
        count = sum(value.numel() for value in model.parameters())
        # there all blocks share one slope, but the first of each network has its own
        assert count - slopes + len(model.cascades) + 2 == round(1e6 * millions)


def without(name):
    return {key: value for key, value in restated.made().items() if name not in key}


def edited(**changes):
    return {**restated.made(), **{name.replace("__", "."): v for name, v in changes.items()}}


def moved():
    """A cascade that is number 3, without a number 2."""
    return {
        key.replace("cascades.1.", "cascades.3."): value for key, value in restated.made().items()
    }


LAST = "cascades.1.model.unet.conv_last.weight"
WRONG = {
    "a bias": (lambda: without("1.model.unet.enc_level2.down.bias"),
               r"missing: cascades.1.model.unet.enc_level2.down.bias"),
    "half an attention": (lambda: without("bottleneck.1.CA.conv_du.2"),
                          "missing: .*bottleneck.1.CA.conv_du.2.weight"),
    "no skips": (lambda: without("skip_attn3"), "missing: .*skip_attn3.skip_attn.0.body.0.weight"),
    "two skips": (lambda: edited(cascades__0__model__unet__skip_attn1__skip_attn__1=torch.ones(1)),
                  "unexpected: cascades.0.model.unet.skip_attn1.skip_attn.1"),
    "another size": (lambda: {**restated.made(), LAST: torch.ones(6, 8, 5, 5)},
                     r"conv_last.weight \(6, 8, 5, 5\), not \(6, 4, 5, 5\)"),
    "another network": (lambda: edited(momentum=torch.ones(1)), "unexpected: momentum"),
    "a gap": (moved, r"cascades.N have the numbers \[0, 3\]; expected one or more, from 0 on"),
    "no maps": (lambda: without("sens_net"), "sens_net.norm_unet.unet.feat_extract.weight is miss"),
    "no bottom": (lambda: without("bottleneck"), r"bottleneck.N have the numbers \[\]"),
    "even": (lambda: restated.made(images=2), "takes 2 complex images; expected an odd number"),
    "a list": (lambda: edited(momentum=[1.0]), "momentum is a list, expected a tensor"),
    "a view": (lambda: {**restated.made(), LAST: torch.zeros(1).expand(6, 4, 5, 5)},
               "has 600 numbers, but not as many are in the file"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case, tmp_path):
    make, reason = WRONG[case]
    path = restated.save(tmp_path / "w.ckpt", make())
    with pytest.raises(ConfigError, match=reason) as caught:
        load_reconstructor(path)
    assert str(path) in str(caught.value)


def test_a_name_that_is_there_twice_is_told(tmp_path):
    state = {"promptmr.cascades.0.dc_weight": torch.ones(1), "cascades.0.dc_weight": torch.ones(1)}
    torch.save({"state_dict": state}, tmp_path / "w.ckpt")
    with pytest.raises(ConfigError, match=r"holds cascades.0.dc_weight twice"):
        load_reconstructor(tmp_path / "w.ckpt")


def test_its_successor_is_refused_by_name(tmp_path):
    """Settings of PromptMR+ are of no harm with weights that are PromptMR's."""
    told = {"hyper_parameters": {"n_history": 11, "adaptive_input": True}}
    path = restated.save(tmp_path / "w.ckpt", edited(momentum=torch.ones(1)), **told)
    with pytest.raises(ConfigError, match=r"momentum; its settings \(adaptive_input, n_history\) .*"
                       r"PromptMR\+, .* noncommercial .* not supported; take"):  # fmt: skip
        load_reconstructor(path)
    restated.save(path, restated.made(), **told)
    assert len(load_reconstructor(path)[0].cascades) == 2


def test_published_settings_are_taken_unless_others_are_chosen(tmp_path, capsys):
    cpu = torch.device("cpu")
    path = str(restated.save(tmp_path / "w.ckpt", restated.made()))
    model = build_method(chosen("reconstruct", "model=promptmr_kspace"), path, cpu).reconstructor
    assert (model.context, model.context_along, model.readout) == (1, "slices", 384)
    assert "it sees 3 adjacent slices, the readout cut to 384 rows" in capsys.readouterr().out
    words = ["model=promptmr_kspace", "++model.context_along=frames", "++model.readout=null"]
    model = build_method(chosen("reconstruct", *words), path, cpu).reconstructor
    assert (model.context, model.context_along, model.readout) == (1, "frames", None)
    with pytest.raises(ConfigError, match=r"weights of a promptmr_kspace, but the model is Deep"):
        build_method(chosen("reconstruct", "model=promptmr"), path, cpu)
    config = chosen("train", "model=promptmr_kspace")
    StartingWeights.read(path).adopt(config, ())
    assert config.model.iterations == 2
    path = restated.save(tmp_path / "heart.ckpt", restated.made(images=5))
    model, _ = load_reconstructor(path)
    assert (model.context, model.context_along, model.readout) == (2, "half_cycle", None)


def test_from_a_raw_file_to_the_image_and_to_our_own_checkpoint(tmp_path, monkeypatch):
    """The readout is cut to 384 rows, the last slice repeated, the centre of 7 lines made even."""
    weights = restated.made(attention=False, cascades=1)
    restated.save(tmp_path / "w.ckpt", weights)
    kspace, mask = stack(2, 392, 22, odd=True)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"], file["mask"] = kspace.numpy(), mask.numpy()
        file["reconstruction_rss"] = np.ones((2, 200, 20), np.float32)  # tells the size
    cut = fft(center_fit(ifft(kspace), (384, 22))).to(torch.complex128) * mask
    seen = torch.stack([cut[0], cut[1], cut[1]])
    expected = center_fit(restated.reconstructed(weights, seen, mask), (200, 20)).float()
    scan = open_scan(tmp_path / "scan.h5")
    volume = reconstruct_scan(scan, *load_reconstructor(tmp_path / "w.ckpt"))
    assert_same(volume[1], expected, 2e-5)
    words = [tmp_path / "w.ckpt", tmp_path / "ours.ckpt"]
    monkeypatch.setattr(sys, "argv", ["mrirecon convert", *map(str, words)])
    convert_command.main()
    (tmp_path / "w.ckpt").unlink()
    model, transform = load_reconstructor(tmp_path / "ours.ckpt")
    again = reconstruct_scan(scan, model, transform)
    assert torch.equal(again, volume)
    model.readout = 100  # less than the field of view of the reconstruction
    narrow = reconstruct_scan(scan, model, transform, planes=[1])
    assert (narrow != 0).all() and not torch.equal(narrow[0], volume[1])


def test_a_readout_is_cut_where_that_changes_nothing_else():
    """The rows that are kept are the same, and every place of the record fits the new grid."""
    kspace, mask = stack(1, 21, 16)
    sample = Sample(kspace, mask[None, None], acs=torch.tensor([[21, 6]]), maps=kspace)
    cut = cut_readout(sample, 14)
    torch.testing.assert_close(ifft(cut.kspace), center_fit(ifft(kspace), (14, 16)))
    assert cut.acs.tolist() == [[14, 6]] and cut.maps.shape == (1, COILS, 14, 16)
    assert cut.mask is sample.mask
    points = sample.replace(mask=mask.expand(1, 21, 16))
    averaged = sample.replace(weights=torch.rand(1, 21, 16))
    for other in (points, averaged, sample.replace(calibration=kspace)):
        assert cut_readout(other, 14) is other
    assert cut_readout(sample, 21) is sample


def test_an_empty_slice_stays_empty_and_networks_of_another_kind_are_refused(tmp_path):
    model, _ = load_reconstructor(restated.save(tmp_path / "w.ckpt", restated.made()))
    kspace, mask = stack(3, 24, 20)
    empty = [Sample(torch.zeros_like(one), mask[None]) for one in kspace]
    with torch.no_grad():
        assert not model(collate([with_neighbors(empty[1], [empty[0], empty[2]])])).any()
    body = model.cascades[0].model.network.body
    with pytest.raises(ValueError, match=r"regularizer.images must be 5 in this method, got 3"):
        PromptMR(model.sensitivity, model.cascades[0].model, context=2)
    with pytest.raises(ValueError, match="kernel must be odd, got 4"):
        NormalizedImages(body, kernel=4)
    with pytest.raises(ValueError, match=r"set condition=0 and history=0 .* has 3 and 0"):
        NormalizedImages(PromptUnet((4, 8), (4,), encoder=(1, 1), decoder=(1,), condition=3))
    with pytest.raises(ShapeError, match=r"takes 3 images in the axis before \(h, w\), got"):
        model.cascades[0].model(kspace[:2, 0])


def test_other_ways_to_store_the_same_weights(tmp_path):
    """Parallel training, safetensors, and half precision, which is widened."""
    weights = restated.made(cascades=1)
    expected = read_checkpoint(restated.save(tmp_path / "w.ckpt", weights)).named()
    for form in ("module.promptmr.", "module."):
        torch.save({f"{form}{name}": value for name, value in weights.items()}, tmp_path / "p.pt")
        assert_equal(read_checkpoint(tmp_path / "p.pt").named(), expected)
    save_file(weights, tmp_path / "p.safetensors")
    assert_equal(read_checkpoint(tmp_path / "p.safetensors").named(), expected)
    torch.save({name: value.half() for name, value in weights.items()}, tmp_path / "p.pt")
    model, _ = load_reconstructor(tmp_path / "p.pt")
    assert {value.dtype for value in model.parameters()} == {torch.float32}


def assert_equal(some, others):
    assert some.keys() == others.keys()
    assert all(torch.equal(some[name], others[name]) for name in some)
