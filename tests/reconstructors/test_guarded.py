"""Learned methods that say when a scan is unlike what they have learned from."""

import json
import math
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
import yaml

import mrirecon as mr
from mrirecon import pipeline
from mrirecon.data import Normalize
from mrirecon.errors import ConfigError
from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.networks import NoiseLevelUnet
from mrirecon.reconstructors import CgSense, HqsNet, L1Wavelet, LocallyLowRank, Reconstructor
from mrirecon.reconstructors.learned.guarded import Guarded, guarded, watched
from mrirecon.reconstructors.parts.domain import Domain, InputStatistics
from mrirecon.sensitivity import GivenMaps
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.training.checkpoint import written_by
from mrirecon.weights import registry
from mrirecon.weights.safetensors_file import write_safetensors
from tests import scenes
from tests.accelerator import DEVICE, Accelerator
from tests.commands import mrirecon

ANY = {name: [0.0, math.inf] for name in ("noise", "sampled", "contrast", "residual")}
WIDE = Domain.of(ANY)
NARROW = replace(WIDE, contrast=(90.0, 100.0))  # of nothing that is tried here


def learned(**options) -> HqsNet:
    torch.manual_seed(0)
    denoiser = NoiseLevelUnet((4, 6), 1, images=2)
    return HqsNet(GivenMaps(), denoiser, iterations=2, **options)


def statistics(**changes) -> InputStatistics:
    usual = {"noise": [0.1], "sampled": [0.3], "contrast": [3.0], "residual": [1.0]} | changes
    return InputStatistics(**{name: torch.tensor(value) for name, value in usual.items()})


RANGES = Domain((0.01, 0.5), (0.1, 0.6), (2.0, 7.0), (0.5, 6.0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"noise": [0.6]}, r"^noise relative to .* object: 0\.6, learned 0\.01 to 0\.5$"),
        ({"noise": [1e-4]}, None),  # a better scan than any
        ({"sampled": [0.05]}, r"^part of k-space .*: 0\.05, learned 0\.1 to 0\.6$"),
        ({"sampled": [1.0]}, None),
        ({"contrast": [8.0]}, "^brightest pixels relative to the mean of the object: 8,"),
        ({"contrast": [1.0]}, "^brightest pixels relative to the mean of the object: 1,"),
        ({"residual": [9.0]}, "^difference of the image from the measured samples"),
        ({"residual": [0.0]}, None),
        ({"residual": [math.nan]}, "^difference .*: nan, learned"),  # no image at all
        ({"residual": [math.inf]}, "^difference .*: inf, learned"),
        ({"contrast": [math.nan], "residual": [math.nan]}, None),  # an empty slice
    ],
)
def test_reasons_are_told_in_words(changes, reason):
    (found,) = RANGES.reasons(statistics(**changes))
    if reason is None:
        assert found == []
    else:
        (told,) = found
        assert re.search(reason, told)


def test_each_member_has_its_own_reasons():
    found = RANGES.reasons(statistics(
        noise=[0.1, 0.7, 0.1], sampled=[0.3] * 3, contrast=[3.0] * 3, residual=[1.0, 8.0, 1.0],
    ))  # fmt: skip
    assert [len(member) for member in found] == [0, 2, 0]


def test_statistics_are_what_they_say():
    """Noise and size of a residual that are known; units, batches and weights do not matter."""
    sample = scenes.batch()
    h, w = sample.kspace.shape[-2:]
    image = torch.zeros(2, h, w, dtype=torch.complex64)
    found = InputStatistics.of(sample, sample.maps, image)
    rms = torch.view_as_real(sample.kspace).square().sum((-4, -3, -2, -1))
    rms = (rms / (2 * 4 * h * sample.mask.sum((-2, -1)))).sqrt()
    assert torch.allclose(found.residual, rms / torch.maximum(sample.noise, 1e-3 * rms), rtol=1e-4)
    assert torch.allclose(found.sampled, sample.mask.float().mean((-2, -1)))
    assert (found.contrast > 1).all() and (found.noise > 0).all()
    alone = InputStatistics.of(sample.map(lambda t: t[1]), sample.maps[1], image[1])
    louder = sample.divided(torch.tensor(1e-4))
    averaged = sample.replace(weights=torch.full_like(sample.mask, 0.5, dtype=torch.float32))
    twice = averaged.replace(noise=sample.noise / 2**0.5)
    for other in (InputStatistics.of(s, sample.maps, image) for s in (louder, twice)):
        for name in ("noise", "contrast", "residual"):
            assert torch.allclose(getattr(other, name), getattr(found, name), rtol=1e-3), name
            assert torch.allclose(getattr(alone, name), getattr(found, name)[1:], rtol=1e-4), name


def test_large_images_have_statistics_too(monkeypatch):
    """torch.quantile takes no more than 2^24 numbers."""

    def refused(*_):
        raise RuntimeError("quantile() input tensor is too large")

    monkeypatch.setattr(torch.Tensor, "quantile", refused)
    sample = scenes.batch()
    found = InputStatistics.of(sample, sample.maps, torch.zeros_like(sample.kspace[:, 0]))
    assert (found.contrast > 1).all()


def test_a_single_coil_with_all_samples_is_nothing_to_warn_of():
    scan = scenes.scan(coils=1, slices=1, with_maps=True)
    method = Guarded(learned(), replace(WIDE, sampled=(0.1, 0.6)))
    made = pipeline.run(scan, pipeline.Method(method, Normalize()))
    assert made.warnings == ()
    few = pipeline.Method(method, Normalize(), mr.EquispacedLines(6, acs=2))
    assert len(pipeline.run(scan, few).warnings) == 0  # 0.2 of all samples
    beyond = Guarded(learned(), replace(WIDE, sampled=(0.9, 1.0)))
    (told,) = pipeline.run(scan, replace(few, reconstructor=beyond)).warnings
    assert "part of k-space that was measured: 0.2" in told


def test_a_complete_slice_that_is_kept_is_nothing_to_warn_of():
    mask = torch.ones(2, 1, 36, dtype=torch.bool)
    mask[1, :, 3] = False
    sample = scenes.batch(mask=mask)
    sample = sample.replace(kspace=sample.kspace * mask.unsqueeze(1))
    outside = {}
    for combination in ("rss", "sense"):
        method = Guarded(learned(combination=combination), NARROW, CgSense(GivenMaps()))
        with torch.no_grad(), method.watched() as watch:
            found = method(sample)
        outside[combination] = [key for key, _ in watch.outside]
        if combination == "rss":
            complete = root_sum_of_squares(ifft(sample.kspace))[0]
            assert torch.allclose(found[0].abs(), complete, rtol=1e-4, atol=1e-5)
    assert outside == {"rss": [sample.key[1]], "sense": list(sample.key)}


def test_empty_slices_are_nothing_to_warn_of():
    plane = scenes.undersampled(scenes.scan(with_maps=True))
    for sample in (scenes.empty(scenes.batch()), scenes.unmeasured(plane)):
        method = Guarded(learned(), NARROW, CgSense(GivenMaps()))
        with torch.no_grad(), watched(method) as told:
            assert method(sample).abs().max() == 0
        assert told == []


def test_the_fallback_is_chosen_for_each_slice(monkeypatch):
    sample = scenes.batch()
    method = Guarded(learned(combination="rss"), WIDE, CgSense(GivenMaps()))
    asked = []
    usual = InputStatistics.of

    def second_is_bright(*given):
        asked.append(1)
        found = usual(*given)
        return replace(found, contrast=torch.tensor([3.0, 95.0])[: len(found.contrast)])

    monkeypatch.setattr(InputStatistics, "of", second_is_bright)
    object.__setattr__(method, "domain", RANGES_OF_CONTRAST)
    with torch.no_grad(), watched(method) as told:
        found = method(sample)
    with torch.no_grad():
        large = method.on_canvas(sample, (60, 50))
        assert torch.equal(found[0], method.reconstructor(sample)[0])
        assert torch.equal(found[1], CgSense(GivenMaps())(sample)[1])
        assert torch.equal(large[0], method.reconstructor.on_canvas(sample, (60, 50))[0])
        assert torch.equal(large[1], CgSense(GivenMaps()).on_canvas(sample, (60, 50))[1])
    assert len(asked) == 2  # once for each image
    (text,) = told
    assert "1 of 2 planes (number 1) are unlike" in text
    assert text.endswith("CgSense has reconstructed them instead")


RANGES_OF_CONTRAST = replace(WIDE, contrast=(0.0, 10.0))


def test_without_anybody_who_asks_nothing_is_measured(monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(InputStatistics, "of", never)
    with torch.no_grad():
        sample = scenes.batch()
        method = Guarded(learned(), NARROW)
        assert torch.equal(method(sample), method.reconstructor(sample))


def test_all_planes_are_told_in_images_and_warnings():
    scan = scenes.scan(slices=10, with_maps=True)
    method = pipeline.Method(Guarded(learned(), NARROW), Normalize(), scenes.PATTERN)
    made = pipeline.run(scan, method, pipeline.Request(batch_size=3))
    (told,) = made.warnings
    assert told.startswith("10 of 10 planes (number 0, 1, 2, 3, 4, 5, 6, 7 and 2 more) are unlike")
    assert "in number 0, brightest pixels relative to the mean" in told
    assert "may be wrong; fallback=l1_wavelet" in told
    assert told in made.results[0].header.notes
    assert made.results[0].provenance.method == "HqsNet"
    again = pipeline.run(scan, method, pipeline.Request(mr.Selection(slices=3)))
    assert again.warnings[0].startswith("1 of 1 planes (number 3) are unlike")


def test_on_a_device_as_on_the_host():
    scan = scenes.scan(with_maps=True)
    fallback = CgSense(GivenMaps(), iterations=6, tolerance=0.0)  # does not stop by rounding
    with Accelerator():
        made = [
            pipeline.run(scan, pipeline.Method(
                Guarded(learned(), NARROW, fallback).to(device), Normalize(),
                scenes.PATTERN, torch.device(device),
            ))
            for device in (DEVICE, "cpu")
        ]  # fmt: skip
    volumes = [one.results[0].volume for one in made]
    assert torch.dist(*volumes) < 1e-5 * volumes[1].norm()  # sums over fewer coils on a CPU
    assert made[0].warnings == made[1].warnings != ()


@pytest.mark.parametrize("told", [
    [], "noise", {}, {"noise": [0, 1]}, ANY | {"noise": [1]}, ANY | {"noise": [2, 1]},
    ANY | {"noise": [math.nan, 1]}, ANY | {"noise": ["0", "1"]}, ANY | {"noise": 3},
    ANY | {"noise": None}, ANY | {"more": [0, 1]},
])  # fmt: skip
def test_what_is_no_domain_is_refused(told):
    with pytest.raises(ConfigError, match=r"a\.safetensors: what the weights have learned from"):
        guarded(learned(), told, "a.safetensors")


def test_who_can_serve_as_a_fallback():
    assert isinstance(guarded(learned(), ANY, "", L1Wavelet(GivenMaps())), Guarded)
    assert isinstance(guarded(learned(), None, ""), HqsNet)
    for other in (learned(), LocallyLowRank(GivenMaps())):
        with pytest.raises(ConfigError, match=f"{type(other).__name__} cannot serve"):
            guarded(learned(), ANY, "", other)
    for method in (learned(), CgSense(GivenMaps())):
        with pytest.raises(ConfigError, match=f"what {type(method).__name__} has learned from"):
            guarded(method, None, "", L1Wavelet(GivenMaps()))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small network with a recipe, that has learned from nothing like it."""
    node = {
        "_target_": "mrirecon.reconstructors.HqsNet",
        "sensitivity": {"_target_": "mrirecon.sensitivity.Espirit"},
        "denoiser": {"_target_": "mrirecon.networks.NoiseLevelUnet", "channels": [4, 6],
                     "blocks": 1, "images": 2},
        "iterations": 2, "combination": "rss",
    }  # fmt: skip
    recipe = {"model": node, "preprocessing": {"_target_": "mrirecon.data.Normalize"}}
    domain = {name: list(ends) for name, ends in vars(NARROW).items()}
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    facts = {"mrirecon": written_by(), "recipe": recipe, "domain": domain}
    write_safetensors(path, learned().state_dict(), facts)
    return path


def test_from_the_command_line(weights, tmp_path):
    scan = scenes.scan(slices=1)
    write_ismrmrd(tmp_path / "scan.h5", scan, AcquisitionOptions(sampling=scenes.PATTERN))
    words = ("reconstruct", "input=scan.h5", "formats=[hdf5]")
    shown = mrirecon(
        *words, "output=a", f"checkpoint={weights}", "fallback=cg_sense", folder=tmp_path
    )
    assert "WARNING: 1 of 1 planes (number 0) are unlike what the weights have learned" in shown
    assert "CgSense has reconstructed them instead" in shown
    mrirecon(*words, "output=b", "model=cg_sense", folder=tmp_path)
    (one,), (other,) = (list((tmp_path / name).glob("*.h5")) for name in "ab")
    with h5py.File(one) as a, h5py.File(other) as b:
        assert np.array_equal(a["reconstruction"][()], b["reconstruction"][()])
        places = (a, a["provenance"])
        told = json.dumps([[key, str(v)] for place in places for key, v in place.attrs.items()])
    assert "small.safetensors (SHA-256 " in told and "have learned from" in told
    refused = mrirecon(
        *words, "output=c", f"checkpoint={weights}", "image=complex", folder=tmp_path, fails=True
    )
    assert "images of HqsNet have no phase" in refused and "model.combination=sense" in refused


def test_from_python(weights):
    scan = scenes.scan(slices=1)
    method = mr.load(weights, fallback="cg_sense")
    with pytest.warns(UserWarning, match="CgSense has reconstructed them"):
        found = mr.reconstruct(scan, method, sampling=scenes.PATTERN)
    assert np.array_equal(found, mr.reconstruct(scan, "cg_sense", sampling=scenes.PATTERN))
    with pytest.warns(UserWarning, match="fallback=l1_wavelet"):
        mr.reconstruct(scan, weights, sampling=scenes.PATTERN)
    with pytest.raises(ConfigError, match="choose one of cg_sense, l1_wavelet"):
        mr.load(weights, fallback="varnet")
    with pytest.raises(ConfigError, match="what PlugAndPlay has learned from"):
        mr.load("pnp", fallback="l1_wavelet")
    assert (
        yaml.safe_load(method.config)["fallback"]["_target_"] == "mrirecon.reconstructors.CgSense"
    )
    given = mr.load(weights, fallback=CgSense(mr.Espirit()))
    assert yaml.safe_load(given.config) == {"fallback": "an object of the class CgSense"}
    assert mr.load(weights).config == ""
    pnp = mr.load("pnp")
    images = mr.reconstruct(scan, pnp, sampling=scenes.PATTERN)
    assert images.provenance.checkpoint.startswith("denoiser.safetensors (SHA-256 ")
    assert "PlugAndPlay" in images.provenance.config
    whole = mr.load("zero_filled", fallback=None)
    assert isinstance(whole.reconstructor, Reconstructor) and not whole.checkpoint
    own = mr.PlugAndPlay(mr.PhasedMaps(mr.Espirit()), pnp.reconstructor.denoiser)
    assert np.iscomplexobj(mr.reconstruct(scan, own, phase=True).array)


def test_an_object_with_weights_of_the_package_is_guarded(weights, tmp_path, monkeypatch):
    (tmp_path / "pretrained.safetensors").write_bytes(weights.read_bytes())
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    denoiser = NoiseLevelUnet((4, 6), 1, images=2)
    method = HqsNet(mr.Espirit(), denoiser, iterations=2, weights="pretrained")
    with pytest.warns(UserWarning, match="unlike what the weights have learned from"):
        found = mr.reconstruct(scenes.scan(slices=1), method, sampling=scenes.PATTERN)
    assert found.provenance.method == "HqsNet"
