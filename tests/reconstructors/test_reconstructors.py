import numpy as np
import pytest
import sigpy.mri.app
import torch

from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.learned.unet import UNet
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.sensitivity import Espirit, GivenMaps, LearnedMaps, LowResolutionMaps
from mrirecon.types import Sample
from tests.sensitivity.scene import batch, scene

METHODS = {
    "zero_filled": ZeroFilled,
    "cg_espirit": lambda: CgSense(Espirit()),
    "cg_low_resolution": lambda: CgSense(LowResolutionMaps()),
    "unet": lambda: UNet(channels=4, pools=2),
    "varnet": lambda: VarNet(2, 4, 2, LearnedMaps(2, 2)),
    "varnet_espirit": lambda: VarNet(2, 4, 2, Espirit()),
}


@pytest.fixture(params=METHODS)
def method(request):
    torch.manual_seed(0)
    return METHODS[request.param]().eval()


def test_image_has_the_full_grid_and_input_is_not_modified(method):
    sample, _, _ = scene((37, 45), lines=16)
    before = sample.kspace.clone()
    image = method(sample)
    assert image.shape == (37, 45)
    assert image.dtype == torch.complex64
    assert torch.equal(sample.kspace, before)


def test_members_of_a_batch_do_not_influence_one_another(method):
    # different masks, centres, noise levels and scales, as a collated batch may have
    first, _, _ = scene(lines=16)
    second, _, _ = scene(lines=13, every=3, noise=0.05, seed=1)
    second = second.replace(kspace=100 * second.kspace)
    with torch.no_grad():
        together = method(batch(first, second))
    for image, sample in zip(together, (first, second), strict=True):
        with torch.no_grad():
            alone = method(sample)
        torch.testing.assert_close(image, alone, rtol=0, atol=2e-4 * float(alone.abs().max()))


def test_empty_slice_stays_empty(method):
    sample, _, _ = scene(lines=16)
    images = method(batch(sample, sample.replace(kspace=torch.zeros_like(sample.kspace))))
    assert torch.isfinite(torch.view_as_real(images)).all()
    assert (images[1] == 0).all()


def test_one_coil_stays_finite(method):
    sample, _, _ = scene(coils=1, lines=16)
    image = method(sample)
    assert torch.isfinite(torch.view_as_real(image)).all()
    assert image.abs().max() > 0


@pytest.mark.parametrize("name", ["unet", "varnet", "varnet_espirit"])
def test_every_parameter_receives_a_finite_gradient_beside_an_empty_slice(name):
    model = METHODS[name]()
    sample, _, _ = scene(lines=16)
    model(batch(sample, sample.replace(kspace=0 * sample.kspace))).abs().sum().backward()
    for key, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all()
        # the first step starts at the measured k-space, so its data consistency has nothing to do
        assert (parameter.grad != 0).any() or key == "cascades.0.dc_weight"


def test_fully_sampled_zero_filled_image_is_the_root_sum_of_squares():
    sample, _, body = scene(noise=0)
    image = ZeroFilled()(sample)
    assert (image.imag == 0).all()
    assert (image.real[body] >= 1 - 1e-5).all()
    assert (image.real[~body] < 1e-5).all()


def normal_equation_error(image, sample, maps, regularization):
    """Check a solution without any operator of ours."""
    A = np.fft.fftshift
    maps, mask, y = maps.numpy(), sample.mask.numpy(), sample.kspace.numpy()

    def transform(x, function):
        return A(function(np.fft.ifftshift(x, (-2, -1)), norm="ortho"), (-2, -1))

    x = image.numpy()
    gram = (maps.conj() * transform(mask * transform(maps * x, np.fft.fft2), np.fft.ifft2)).sum(0)
    b = (maps.conj() * transform(mask * y, np.fft.ifft2)).sum(0)
    return np.linalg.norm(gram + regularization * x - b) / np.linalg.norm(b)


@pytest.mark.parametrize("shape", [(48, 40), (37, 45)])
def test_cg_sense_solves_the_normal_equations(shape):
    sample, maps, _ = scene(shape, lines=12, every=3)
    sample = sample.replace(maps=maps)
    image = CgSense(GivenMaps(), 1e-2, iterations=100, tolerance=1e-5)(sample)
    assert normal_equation_error(image, sample, maps, 1e-2) < 3e-5
    # the test would notice a forgotten conjugate
    assert normal_equation_error(image, sample, maps.conj().resolve_conj(), 1e-2) > 0.1


def test_cg_sense_agrees_with_sigpy():
    sample, maps, _ = scene(lines=12, every=3, noise=0.01)
    ours = CgSense(GivenMaps(), 1e-2, 100, 1e-6)(sample.replace(maps=maps)).numpy()
    theirs = sigpy.mri.app.SenseRecon(
        sample.kspace.numpy(), maps.numpy(), lamda=1e-2, max_iter=100, show_pbar=False
    ).run()
    assert np.linalg.norm(ours - theirs) < 1e-4 * np.linalg.norm(theirs)


def test_cg_sense_with_espirit_removes_the_aliasing():
    reference = ZeroFilled()(scene(noise=0)[0]).real
    sample, _, body = scene(lines=16, every=2)
    error = (CgSense(Espirit())(sample).abs() - reference)[body]
    aliased = (ZeroFilled()(sample).real - reference)[body]
    assert error.norm() < 0.02 * reference[body].norm()
    assert error.norm() < 0.1 * aliased.norm()


def test_regularization_is_independent_of_the_scale():
    sample, _, _ = scene(lines=16)
    method = CgSense(LowResolutionMaps(), 0.1)
    small = method(sample.replace(kspace=1e-6 * sample.kspace))
    torch.testing.assert_close(1e6 * small, method(sample), rtol=1e-3, atol=1e-4)


def test_varnet_autocast_keeps_the_physics_in_complex64():
    sample, _, _ = scene(lines=16)
    with torch.autocast("cpu", torch.bfloat16):
        assert METHODS["varnet"]()(sample).dtype == torch.complex64


def test_mask_may_be_shared_or_two_dimensional():
    sample, maps, _ = scene(lines=16)
    plane = Sample(sample.kspace, sample.mask.expand(48, 40).clone(), maps=maps)
    row = Sample(sample.kspace, sample.mask, maps=maps)
    for method in (CgSense(Espirit()), VarNet(1, 2, 2, LearnedMaps(2, 2))):
        torch.testing.assert_close(method(plane), method(row), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CgSense(GivenMaps(), -1.0), "regularization must not be negative, got -1.0"),
        (lambda: CgSense(GivenMaps(), iterations=0), "iterations must be at least 1, got 0"),
        (lambda: CgSense(GivenMaps(), tolerance=-1.0), "tolerance must not be negative"),
        (lambda: VarNet(cascades=0), "cascades must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
