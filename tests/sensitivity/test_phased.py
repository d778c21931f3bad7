"""Maps with the object's phase: an image that is nearly real, and nothing else changed."""

import torch

from mrirecon.fourier import ifft
from mrirecon.reconstructors.cg_sense import CgSense
from mrirecon.sensitivity import Espirit, GivenMaps, PhasedMaps
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
