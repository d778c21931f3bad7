"""Lines that were measured more often than others: more data never makes the image worse."""

import pytest
import torch

from mrirecon.operators import data_weights, noise_variance, penalty_share
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.l1_wavelet import L1Wavelet
from mrirecon.reconstructors.classical.locally_low_rank import LocallyLowRank
from mrirecon.reconstructors.classical.sigpy import SigpySense
from mrirecon.reconstructors.classical.soft_sense import SoftSense
from mrirecon.reconstructors.classical.spirit import Spirit
from mrirecon.reconstructors.classical.tgv import Tgv
from mrirecon.reconstructors.classical.total_variation import TotalVariation
from mrirecon.reconstructors.parts.data_consistency import ProximalStep
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.kspace_consistency import HardProjection, SoftStep
from mrirecon.sensitivity import GivenMaps
from mrirecon.types import Sample
from tests import scenes

GIVEN = GivenMaps()
METHODS = {
    "cg_sense": CgSense(GIVEN, 3e-3),
    "soft_sense": SoftSense(GIVEN, 3e-3),
    "l1_wavelet": L1Wavelet(GIVEN, cycle_spinning=False),
    "total_variation": TotalVariation(GIVEN),
    "anisotropic": TotalVariation(GIVEN, isotropic=False),
    "tgv": Tgv(GIVEN),
    "locally_low_rank": LocallyLowRank(GIVEN, shifting=False),
    "sigpy_sense": SigpySense(GIVEN),
}
COUNTS = {
    "centre x 16": lambda w: torch.where(torch.arange(w) == w // 2, 16.0, 1.0),
    "centre x 200": lambda w: torch.where(torch.arange(w) == w // 2, 200.0, 1.0),
    "calibration x 16": lambda w: torch.where((torch.arange(w) - w // 2).abs() < 5, 16.0, 1.0),
    "edge x 16": lambda w: torch.where((torch.arange(w) - w // 2).abs() > 5, 16.0, 1.0),
    "all but one x 8": lambda w: torch.where(torch.arange(w) == w // 2 + 1, 1.0, 8.0),
    "every second x 4": lambda w: 1.0 + 3.0 * (torch.arange(w) % 4 // 2),
    "all x 16": lambda w: torch.full((w,), 16.0),
}


@pytest.fixture(scope="module")
def noise_free():
    """Undersampled k-space without noise: a larger error is a bias."""
    return scenes.batch(scenes.scan(matrix=(48, 40), slices=1, with_maps=True, snr=1e6))


def averaged(sample: Sample, counts: torch.Tensor) -> Sample:
    """Say that the lines were measured so often, as the readers do: relative to the most often."""
    weights = counts / counts[sample.mask[0, 0]].max()
    return sample.replace(weights=(weights * sample.mask[0, 0])[None, None])


def error(image, reference):
    return float((image - reference).norm() / reference.norm())


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("name", METHODS)
@torch.no_grad()
def test_lines_measured_more_often_do_not_make_others_count_less(name, counts, noise_free):
    if name == "sigpy_sense":
        pytest.importorskip("sigpy")
    method, target = METHODS[name], noise_free.target
    once = error(method(noise_free).abs(), target)
    often = error(method(averaged(noise_free, COUNTS[counts](40))).abs(), target)
    assert often < 1.05 * once  # of what depends on the step at which the iteration ends


@pytest.mark.parametrize("counts", COUNTS)
@torch.no_grad()
def test_noise_is_weighed_and_never_grows(counts):
    """The mean of n lines has 1/n of the variance; all others have the same noise as before."""
    sample = scenes.batch(scenes.scan(matrix=(48, 40), slices=1, with_maps=True, snr=1e6))
    often = COUNTS[counts](40)
    generator = torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(sample.kspace.shape, dtype=torch.complex64, generator=generator)
    noise = noise * sample.mask.unsqueeze(-3)
    method = CgSense(GIVEN, regularization=1e-2)
    reference = method(sample)

    def deviation(counts):
        drawn = sample.replace(kspace=sample.kspace + noise * counts.rsqrt())
        kept = sample if (counts == counts[0]).all() else averaged(sample, counts)
        drawn = drawn.replace(weights=kept.weights)
        return error(method(drawn), method(kept)), error(method(drawn), reference)

    spread, wrong = deviation(often)
    spread_once, wrong_once = deviation(torch.ones(40))
    assert wrong < 1.02 * wrong_once
    assert spread < 1.02 * spread_once


NOISY = METHODS | {
    "cg_sense auto": CgSense(GIVEN),
    "soft_sense auto": SoftSense(GIVEN, "auto"),
    "l1_wavelet auto": L1Wavelet(GIVEN, "auto", cycle_spinning=False),
    "locally_low_rank auto": LocallyLowRank(GIVEN, "auto", shifting=False),
    "spirit": Spirit(),
}


@pytest.mark.parametrize("sigma", [0.02, 0.1])
@pytest.mark.parametrize("name", NOISY)
@torch.no_grad()
def test_the_mean_of_more_acquisitions_is_never_worse(name, sigma, noise_free):
    """Noise is drawn once, so that the same samples differ by its size only."""
    if name == "sigpy_sense":
        pytest.importorskip("sigpy")
    generator = torch.Generator().manual_seed(0)
    noise = sigma * torch.randn(noise_free.kspace.shape, dtype=torch.complex64, generator=generator)
    middle = torch.arange(40) == 20
    errors: list[float] = []
    for often in (1.0, 2.0, 16.0, 200.0):
        counts = torch.where(middle, often, 1.0)
        drawn = noise_free.replace(
            kspace=noise_free.kspace + noise * counts.rsqrt() * noise_free.mask.unsqueeze(-3),
            noise=torch.tensor([sigma / 2**0.5 / often**0.5]),
        )
        image = NOISY[name](averaged(drawn, counts) if often > 1 else drawn)
        errors.append(error(image.abs(), noise_free.target))
    # SURE takes one of the coefficients' own magnitudes, so its threshold moves in small jumps
    assert max(errors[1:]) <= errors[0] * (1.003 if name == "l1_wavelet auto" else 1.0)


@torch.no_grad()
def test_steps_of_networks_towards_the_data_stay_what_they_were(noise_free):
    """All lines but the centre would hardly be looked at by a network trained without weights."""
    many = averaged(noise_free, COUNTS["centre x 200"](40))
    maps, start = noise_free.maps, 0.8 * CgSense(GIVEN)(noise_free)
    plain, weighted = (DataTerm.of(s, maps) for s in (noise_free, many))
    for layer in (ProximalStep(), ProximalStep(1e-3)):
        torch.testing.assert_close(layer(start, weighted), layer(start, plain))
    for layer in (SoftStep(), HardProjection()):
        changed = 0.5 * noise_free.kspace
        assert torch.equal(layer(changed, many), layer(changed, noise_free))


def test_weights_are_relative_to_what_is_usual():
    mask = torch.tensor([[[True, True, True, False, True, True]], [[True] * 6]])
    weights = torch.tensor([[[1.0, 0.1, 0.1, 0.0, 0.05, 0.1]], [[1.0, 1, 1, 0.5, 0.01, 1]]])
    sample = Sample(torch.zeros(2, 1, 1, 6) + 0j, mask, weights=weights)
    expected = torch.tensor([[[1.0, 1, 1, 0, 0.5, 1]], [[1.0, 1, 1, 0.5, 0.25, 1]]])
    torch.testing.assert_close(data_weights(sample), expected)
    assert penalty_share(sample).flatten().tolist() == [0.5, 0.25]
    assert data_weights(sample.replace(weights=None)).equal(mask.float())
    assert data_weights(sample.replace(mask=mask & False)).equal(torch.zeros(2, 1, 6))
    # of the first slice, usual samples have ten times the variance of the best one
    variance = noise_variance(sample.map(lambda x: x[:1]), torch.tensor([2.0]))
    assert variance.item() == pytest.approx(4 * (1 + 3 * 10 + 0.25 * 20) / 4.5)
