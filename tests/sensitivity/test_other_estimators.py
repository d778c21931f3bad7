import sys

import pytest
import torch

from mrirecon.errors import ConfigError
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.soft_sense import CoilSets, SoftSense
from mrirecon.sensitivity import (
    CalibrationError,
    Espirit,
    GivenMaps,
    LowResolutionMaps,
    Nlinv,
    SigpyEspirit,
    SigpyJsense,
    Walsh,
    calibration_fit,
)
from tests.operators.adjointness import assert_adjoint
from tests.sensitivity.scene import angles, batch, scene
from tests.sensitivity.test_espirit_options import folded

ESTIMATORS = {
    "walsh": (Walsh, 0.012),
    "nlinv": (Nlinv, 0.008),
    "sigpy_espirit": (SigpyEspirit, 0.02),
    "sigpy_jsense": (SigpyJsense, 0.02),
}


@pytest.fixture(params=ESTIMATORS)
def case(request):
    return ESTIMATORS[request.param]


@pytest.mark.parametrize("shape", [(48, 40), (37, 45)])
def test_finds_the_true_maps_with_unit_norm(case, shape):
    make, bound = case
    sample, maps, body = scene(shape, noise=2e-3, lines=24)
    ours = make()(sample)
    norm = torch.linalg.vector_norm(ours, dim=0)
    assert torch.allclose(norm[norm > 0], torch.ones(()), atol=1e-4)
    assert angles(ours, maps, body & (norm > 0)).square().mean().sqrt() < bound


def test_empty_slices_one_coil_and_batches(case):
    make, _ = case
    first, second = scene(lines=24)[0], scene(lines=20, seed=1)[0]
    empty = first.replace(kspace=0 * first.kspace)
    maps = make()(batch(first, empty, second))
    assert (maps[1] == 0).all() and maps.isfinite().all()
    for number, sample in ((0, first), (2, second)):
        torch.testing.assert_close(maps[number], make()(sample), rtol=1e-3, atol=1e-3)
    single, _, _ = scene(coils=1, lines=24)
    assert make()(single).abs().max() <= 1 + 1e-5


def test_too_little_calibration_data_is_named(case):
    make, _ = case
    with pytest.raises(CalibrationError, match=r"at least .* found 48 x 2"):
        make()(scene(lines=2)[0])


def test_sigpy_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "sigpy.mri.app", None)
    with pytest.raises(ConfigError, match="pip install sigpy"):
        SigpyEspirit()(scene()[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Walsh(kernel=2), "kernel must be at least 3, got 2"),
        (lambda: Walsh(calibration=10), "at least the kernel of 16, got 10"),
        (lambda: Walsh(crop=1.0), "crop must lie in"),
        (lambda: Nlinv(calibration=4), "calibration must be at least 8 lines, got 4"),
        (lambda: Nlinv(newton=0), "must be at least 1, got 0"),
        (lambda: SigpyJsense(kernel=30), "got 30 and 24"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_fit_tells_good_maps_from_bad_ones():
    sample, maps, _ = scene(noise=1e-3, lines=24)
    good = calibration_fit(sample, maps.unsqueeze(-4))
    bad = calibration_fit(sample, maps.conj().unsqueeze(-4))
    assert good.residual < 0.02 < 0.2 < bad.residual
    assert good.null_energy == 0
    none = calibration_fit(sample, 0 * maps.unsqueeze(-4))
    assert none.residual == 0 and none.null_energy == 1
    empty = calibration_fit(sample.replace(kspace=0 * sample.kspace), maps.unsqueeze(-4))
    assert empty.residual == 0 and empty.null_energy == 0


def test_fit_of_two_sets_explains_what_one_does_not():
    maps = Espirit(sets=2).map_sets(folded())
    one, two = (calibration_fit(folded(), maps[:n]).residual for n in (1, 2))
    assert two < 0.3 * one


def test_coil_sets_have_an_adjoint():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 4, 7, 6, dtype=torch.complex128, generator=generator)
    assert_adjoint(CoilSets(maps), (2, 3, 7, 6), (2, 4, 7, 6))


def test_soft_sense_with_one_set_is_cg_sense():
    sample, maps, _ = scene(lines=16, noise=0.01)
    sample = sample.replace(maps=maps)
    soft = SoftSense(GivenMaps(), iterations=60, tolerance=1e-6)(sample)
    plain = CgSense(GivenMaps(), iterations=60, tolerance=1e-6)(sample)
    torch.testing.assert_close(soft, plain, rtol=1e-3, atol=1e-3)


def test_soft_sense_removes_what_one_set_leaves_of_a_folded_object():
    full = folded()
    mask = torch.zeros_like(full.mask)
    mask[:, ::2] = True
    mask[:, 12:36] = True
    sample = full.replace(kspace=full.kspace * mask, mask=mask, acs=torch.tensor([64, 24]))
    wanted = torch.linalg.vector_norm(SoftSense(Espirit(sets=2))(full)[None], dim=0)

    def error(method):
        image = method(sample).abs()
        return float((image - wanted).norm() / wanted.norm())

    one, two = error(CgSense(Espirit())), error(SoftSense(Espirit(sets=2)))
    assert two < 0.5 * one
    first = SoftSense(Espirit(sets=2), combine="first")(sample)
    assert first.abs().le(SoftSense(Espirit(sets=2))(sample).abs() + 1e-5).all()


def test_low_resolution_has_one_set():
    assert LowResolutionMaps().map_sets(scene()[0]).shape == (1, 4, 48, 40)
