"""Perturbations have the norm and the support that they say, and the worst is worse than chance."""

from dataclasses import replace

import pytest
import torch

from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.errors import ConfigError
from mrirecon.pipeline import Method
from mrirecon.reconstructors import CgSense, Grappa, L1Wavelet, TotalVariation, ZeroFilled
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.robustness import WorstCase
from mrirecon.robustness.ascent import GRADIENT, slope_of
from mrirecon.robustness.worst_case import TRANSFERRED, _harm
from mrirecon.sampling import EquispacedLines
from mrirecon.sensitivity import Espirit, GivenMaps
from mrirecon.sensitivity.base import unit_norm
from tests.robustness.cases import coil_images, smooth_case


def method_of(reconstructor, case):
    return Method(reconstructor, Compose([Normalize()]), case.sampling)


class NoGradient(Reconstructor):
    def forward(self, sample):
        with torch.no_grad():
            return ZeroFilled()(sample)


SHORT = {
    "cg_sense": (lambda: CgSense(Espirit(), iterations=5), GRADIENT),
    "l1_wavelet": (lambda: L1Wavelet(Espirit(), iterations=4, tolerance=0), GRADIENT),
    "total_variation": (lambda: TotalVariation(Espirit(), iterations=5, tolerance=0), GRADIENT),
    "zero_filled": (ZeroFilled, GRADIENT),
    "grappa": (Grappa, TRANSFERRED),
    "without": (NoGradient, TRANSFERRED),
}


def norm(kspace):
    return float(torch.linalg.vector_norm(kspace))


@pytest.mark.parametrize("name", [name for name in SHORT if name != "total_variation"])
def test_the_worst_perturbation_has_its_norm_lies_in_acquired_samples_and_does_most_harm(name):
    case = smooth_case(noise=0.3, sampling=EquispacedLines(2, acs=16))
    made, by = SHORT[name]
    method = method_of(made(), case)
    found = WorstCase(steps=3)(case, method, 1.0)
    harm, mask = _harm(method, case.scan()[0], case, case.reference()[0])
    before = case.slices[0].sample.kspace
    errors = []
    expected = 0.3 * (2 * 4 * int(mask.sum())) ** 0.5
    for other in (found.random, found.worst):
        change = other.slices[0].sample.kspace - before
        assert norm(change) == pytest.approx(expected, rel=1e-3)
        assert not change[:, ~mask].any()
        assert other.reference().equal(case.reference())
        with torch.no_grad():
            errors.append(float(harm(change)))
    random, worst = errors
    assert worst >= random * (1 - 1e-4)
    assert found.by == by
    with torch.no_grad():
        nothing = float(harm(torch.zeros_like(before)))
    assert worst - nothing > 1.5 * (random - nothing)
    assert found.of_noise == pytest.approx(1.0)
    assert found.of_data == pytest.approx(expected / norm(before[:, mask]), rel=1e-3)


@pytest.mark.parametrize("name", ["cg_sense", "l1_wavelet", "total_variation", "zero_filled"])
def test_gradients_are_those_of_differences(name):
    """Also where the image, its wavelets or its differences are zero."""
    case = smooth_case(noise=0.3)
    maps = unit_norm(coil_images())
    case = case.mapped(lambda one: one.disturbed(one.sample.kspace, maps=maps))
    reconstructor = SHORT[name][0]()
    if name != "zero_filled":
        reconstructor.sensitivity = GivenMaps()
    harm, mask = _harm(method_of(reconstructor, case), case.scan()[0], case, case.reference()[0])
    torch.manual_seed(0)
    place = 0.3 * torch.randn_like(case.slices[0].sample.kspace) * mask
    _, slope = slope_of(harm, place)
    assert slope is not None and not slope[:, ~mask].any()
    direction = slope / norm(slope)
    reach = 0.02 * norm(place)
    with torch.no_grad():
        ahead, behind = (float(harm(place + s * reach * direction)) for s in (1, -1))
    assert (ahead - behind) / (2 * reach) == pytest.approx(norm(slope), rel=0.03)


def test_norms_relative_to_the_data():
    case = smooth_case(noise=0.3)
    found = WorstCase(unit="data", steps=1)(case, method_of(ZeroFilled(), case), 0.1)
    mask = Undersample(case.sampling)(case.scan()[0]).mask
    before, after = (one.slices[0].sample.kspace for one in (case, found.worst))
    assert norm(after - before) == pytest.approx(0.1 * norm(before * mask), rel=1e-3)
    assert found.of_data == pytest.approx(0.1)


def test_equal_seeds_give_equal_perturbations():
    case = smooth_case(noise=0.3)
    method = method_of(ZeroFilled(), case)
    one, same, other = (WorstCase(steps=1)(case, method, 1.0, seed) for seed in (1, 1, 2))
    pairs = [(a.random.slices[0].sample.kspace, b.random.slices[0].sample.kspace)
             for a, b in ((one, same), (one, other))]  # fmt: skip
    assert pairs[0][0].equal(pairs[0][1]) and not pairs[1][0].equal(pairs[1][1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 0.0}, "worst case: a level is 0.0"),
        ({"context": 1}, "several planes together"),
        ({"joint": True}, "several planes together"),
        ({"steps": 0}, "steps"),
    ],
)
def test_what_cannot_be_attacked_is_refused(change, message):
    case = smooth_case(noise=0.3)
    reconstructor = ZeroFilled()
    for key in {"context", "joint"} & change.keys():
        setattr(reconstructor, key, change[key])
    with pytest.raises((ConfigError, ValueError), match=message):
        attack = WorstCase(steps=change.get("steps", 1))
        attack(case, method_of(reconstructor, case), change.get("level", 1.0))


def test_a_scan_without_noise_has_no_norm_relative_to_it():
    case = smooth_case()
    nothing = case.mapped(
        lambda one: replace(one, sample=one.sample.replace(noise=torch.tensor(0.0)))
    )
    with pytest.raises(ConfigError, match="has no noise that a norm could be relative to"):
        WorstCase(steps=1)(nothing, method_of(ZeroFilled(), nothing), 1.0)
