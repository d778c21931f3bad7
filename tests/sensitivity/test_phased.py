"""Maps with the object's phase: an image that is nearly real, and nothing else changed."""

import pytest
import torch

from mrirecon.evaluation.noise_maps.replicas import _with_fixed_calibration
from mrirecon.fourier import ifft
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.sampling.calibration import center_slice, centered_slice
from mrirecon.sensitivity import Espirit, GivenMaps, LowResolutionMaps, PhasedMaps
from tests.sensitivity.scene import scene


def real_share(maps, kspace, where):
    image = (maps.conj() * ifft(kspace)).sum(-3)[where]
    return float(image.real.clamp_min(0).square().sum() / image.abs().square().sum())


def test_the_image_becomes_real_and_positive():
    full, maps, body = scene(every=1)  # all is measured, a phase of 0.6 x - 0.4 y rad
    turned = maps * torch.polar(torch.ones(()), torch.tensor(2.0))
    sample = scene(lines=12)[0].replace(maps=turned)
    assert real_share(turned, full.kspace, body) < 0.3
    assert real_share(PhasedMaps(GivenMaps())(sample), full.kspace, body) > 0.999
    assert real_share(PhasedMaps(Espirit(kernel=5))(sample), full.kspace, body) > 0.99


def test_only_the_phase_of_maps_and_image_changes():
    sample = scene(lines=12)[0]
    plain, phased = Espirit(kernel=5), PhasedMaps(Espirit(kernel=5))
    a, b = plain(sample), phased(sample)
    torch.testing.assert_close(a.abs(), b.abs())
    torch.testing.assert_close(a[:1].conj() * a, b[:1].conj() * b)
    one, other = CgSense(plain)(sample), CgSense(phased)(sample)
    torch.testing.assert_close(one.abs(), other.abs(), atol=1e-4, rtol=1e-3)


def test_every_set_is_turned_and_an_empty_slice_stays_as_it_is():
    sample, maps, _ = scene(lines=12)
    assert PhasedMaps(Espirit(kernel=5, sets=2)).map_sets(sample).shape == (2, 4, 48, 40)
    empty = sample.replace(kspace=torch.zeros_like(sample.kspace), maps=maps)
    torch.testing.assert_close(PhasedMaps(GivenMaps())(empty), maps)


@pytest.mark.parametrize("lines", [12, 13])
@pytest.mark.parametrize("shape", [(48, 40), (47, 40), (48, 41), (47, 41)], ids=str)
def test_a_calibration_on_a_grid_of_its_own_has_its_centre_where_the_image_has(shape, lines):
    """One sample beside it, the phase of the maps turns once across the field of view."""
    full, maps, body = scene(shape, every=1)
    sample = scene(shape, lines=lines)[0].replace(maps=maps)
    with_block = _with_fixed_calibration(sample)
    for estimator in (GivenMaps(), Espirit(kernel=5), LowResolutionMaps()):
        inside, own = PhasedMaps(estimator)(sample), PhasedMaps(estimator)(with_block)
        assert real_share(own, full.kspace, body) > 0.99
        turn = (inside.conj() * own).sum(-3)[body]
        assert turn.angle().abs().max() < 0.1


def test_the_centre_of_a_block_is_that_of_the_grid():
    for size in range(1, 20):
        for count in range(1, size + 1):
            block, whole = centered_slice(size, count), center_slice(size, count)
            width = block.stop - block.start
            assert whole.start <= block.start and block.stop <= whole.stop
            assert block.start + width // 2 == size // 2
            assert width == count - (size % 2 == 1 and count % 2 == 0)
