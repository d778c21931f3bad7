import pytest
import torch

from mrirecon.data.coil_compression import CompressCoils, CompressCoilsGeometrically, Whiten
from mrirecon.data.collate import collate
from mrirecon.errors import ConfigError
from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.sensitivity import Espirit, GivenMaps
from tests.sensitivity.scene import scene

STEPS = {
    "svd": CompressCoils(5),
    "geometric": CompressCoilsGeometrically(5),
    "whiten": Whiten(torch.diag(torch.arange(1.0, 9.0)).to(torch.complex64)),
}


def sample_with_maps(**options):
    sample, maps, body = scene(coils=8, **options)
    return sample.replace(maps=maps, calibration=sample.kspace[:, 12:36, 8:32]), body


def white(shape, seed=0):
    noise = torch.randn(*shape, 2, generator=torch.Generator().manual_seed(seed))
    return torch.view_as_complex(noise)


@pytest.mark.parametrize("name", ["svd", "geometric"])
@pytest.mark.parametrize("lines", [None, 16])
def test_compression_keeps_the_image(name, lines):
    sample, body = sample_with_maps(noise=0, lines=lines)
    compressed = STEPS[name](sample)
    assert compressed.kspace.shape == (5, 48, 40) and compressed.maps.shape == (5, 48, 40)
    assert compressed.calibration.shape == (5, 24, 24)
    before, after = (root_sum_of_squares(ifft(s.kspace)) for s in (sample, compressed))
    assert (before - after).norm() < 0.02 * before.norm()
    norm = root_sum_of_squares(compressed.maps)
    torch.testing.assert_close(norm, torch.ones_like(norm))
    whole, fewer = (CgSense(GivenMaps(), 1e-3)(s).abs()[body] for s in (sample, compressed))
    assert (whole - fewer).norm() < 0.04 * whole.norm()


def test_geometric_compression_needs_fewer_coils():
    sample, _ = sample_with_maps(noise=0)
    reference = root_sum_of_squares(ifft(sample.kspace))
    error = {
        name: float((root_sum_of_squares(ifft(step(sample).kspace)) - reference).norm())
        for name, step in (("one", CompressCoils(3)), ("many", CompressCoilsGeometrically(3)))
    }
    assert error["many"] < 0.7 * error["one"]


def test_aligned_virtual_coils_are_smooth_enough_for_espirit():
    sample, body = sample_with_maps(noise=1e-3, lines=20)
    sample = sample.replace(maps=None, calibration=None)
    image = CgSense(Espirit())(CompressCoilsGeometrically(5)(sample)).abs()[body]
    reference = CgSense(Espirit())(sample).abs()[body]
    assert (image - reference).norm() < 0.05 * reference.norm()


@pytest.mark.parametrize("step", [CompressCoils(8), CompressCoilsGeometrically(8)])
def test_all_virtual_coils_are_a_rotation(step):
    sample, _ = sample_with_maps()
    rotated = step(sample)
    before, after = (root_sum_of_squares(ifft(s.kspace)) for s in (sample, rotated))
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        CgSense(GivenMaps())(sample), CgSense(GivenMaps())(rotated), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("step", [CompressCoils(4), CompressCoilsGeometrically(4)])
def test_noise_stays_white(step):
    sample, _ = sample_with_maps()
    noise = white((8, 48, 40), seed=5)  # not that in the scene, which the matrices have seen
    louder = sample.replace(kspace=sample.kspace + 1e-3 * noise, calibration=sample.kspace)
    difference = 1e3 * (step(louder).kspace - step(louder.replace(kspace=sample.kspace)).kspace)
    flat = difference.flatten(1)
    covariance = flat @ flat.mH / flat.shape[1]
    torch.testing.assert_close(covariance, 2 * torch.eye(4) + 0j, rtol=0, atol=0.2)


def test_energy_chooses_the_number_of_coils():
    sample, _ = sample_with_maps()
    few, more = (CompressCoils(8, energy)(sample).kspace for energy in (0.9, 0.999))
    assert 1 <= len(few) < len(more) < 8
    share = few.abs().square().sum() / sample.kspace.abs().square().sum()
    assert share > 0.88


@pytest.mark.parametrize("name", STEPS)
def test_works_on_batches(name):
    first, _ = sample_with_maps(lines=16)
    second, _ = sample_with_maps(lines=13, every=3, seed=1)
    together = STEPS[name](collate([first, second]))
    for i, alone in enumerate((first, second)):
        expected = STEPS[name](alone)
        for field, value in expected.tensors().items():
            if field in ("kspace", "maps", "calibration"):  # vectors are unique up to their phase
                value, found = (
                    root_sum_of_squares(value),
                    root_sum_of_squares(getattr(together, field)[i]),
                )
                torch.testing.assert_close(found, value, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", STEPS)
def test_empty_slices_stay_empty(name):
    sample, _ = sample_with_maps()
    empty = STEPS[name](sample.map(lambda t: t if t.dtype == torch.bool else torch.zeros_like(t)))
    assert all((t == 0).all() for t in (empty.kspace, empty.maps, empty.calibration))


def test_whitening():
    sample, _ = sample_with_maps()
    mixing = white((8, 8)) + 4 * torch.eye(8)
    noise = (mixing @ white((8, 48 * 40), 1)).reshape(8, 48, 40)
    step = Whiten(2 * mixing @ mixing.mH)
    flat = step(sample.replace(kspace=noise)).kspace.flatten(1)
    covariance = flat @ flat.mH / flat.shape[1]
    torch.testing.assert_close(covariance, 2 * torch.eye(8) + 0j, rtol=0, atol=0.2)
    assert step(sample).noise == 1
    with pytest.raises(ConfigError, match="not positive definite"):
        Whiten(torch.zeros(2, 2, dtype=torch.complex64))
    with pytest.raises(ConfigError, match="the noise covariance has 2 coils"):
        Whiten(torch.eye(2).to(torch.complex64))(sample)


def test_geometric_compression_refuses_what_it_would_mix():
    sample, _ = sample_with_maps()
    mask = torch.rand(48, 40, generator=torch.Generator().manual_seed(0)) > 0.5
    with pytest.raises(ConfigError, match="needs a fully sampled readout"):
        CompressCoilsGeometrically()(sample.replace(mask=mask))
    with pytest.raises(ConfigError, match="different weights"):
        CompressCoilsGeometrically()(sample.replace(weights=torch.rand(48, 40)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CompressCoils(0), "coils must be at least 1, got 0"),
        (lambda: CompressCoils(energy=0.0), "energy must lie in"),
        (lambda: CompressCoilsGeometrically(calibration=0), "calibration must be at least 1 line"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
