"""The level of the noise that the fit of an image tells."""

import pytest
import torch

from mrirecon.data import Compose, Normalize, Undersample
from mrirecon.reconstructors.parts.estimated_noise import estimated_noise
from mrirecon.reconstructors.parts.fitted_noise import fitted_noise, with_noise
from mrirecon.sampling import EquispacedLines, PoissonDisc
from mrirecon.sensitivity import Espirit
from tests import scenes


def undersampled(pattern, snr, coils=8, subject=5):
    """Return a slice of which the noise is not known, and what it is."""
    scan = scenes.scan(subject=subject, matrix=(96, 96), slices=1, coils=coils, snr=snr)
    sample = Compose([Undersample(pattern), Normalize()])(scan[0])
    assert sample.noise is not None
    return sample.replace(noise=None), float(sample.noise)


@pytest.mark.parametrize("snr", [8.0, 40.0, 200.0])
@pytest.mark.parametrize("pattern", [EquispacedLines(3, acs=16), PoissonDisc(4.0)], ids=repr)
def test_the_level_is_right_at_every_snr(pattern, snr):
    sample, true = undersampled(pattern, snr)
    found = float(fitted_noise(sample, Espirit()(sample)))
    assert 0.95 * true < found < 1.25 * true
    if isinstance(pattern, PoissonDisc) and snr == 200:
        assert float(estimated_noise(sample)) > 2 * true


def test_one_coil_has_the_level_of_its_samples():
    sample, true = undersampled(PoissonDisc(4.0), 8.0, coils=1)
    found = float(fitted_noise(sample, Espirit()(sample)))
    assert found == pytest.approx(float(estimated_noise(sample)), rel=1e-6)
    assert found < 1.4 * true


def test_averages_count():
    """Noise is told of the best-averaged samples; the rest has more."""
    sample, true = undersampled(PoissonDisc(3.0), 60.0)
    generator = torch.Generator().manual_seed(0)
    seldom = torch.rand(sample.kspace.shape[-2:], generator=generator) < 0.5
    noise = torch.randn(sample.kspace.shape, generator=generator, dtype=torch.complex64)
    kspace = sample.kspace + (3 * 2) ** 0.5 * true * noise * (seldom & sample.mask)
    averaged = sample.replace(kspace=kspace, weights=torch.where(seldom, 0.25, 1.0))
    found = float(fitted_noise(averaged, Espirit()(averaged)))
    assert found == pytest.approx(true, rel=0.15)


def test_members_units_and_what_is_known():
    sample = scenes.batch().replace(noise=None)
    maps = Espirit()(sample)
    both = fitted_noise(sample, maps)
    alone = fitted_noise(sample.map(lambda x: x[1:]).replace(key=sample.key[1:]), maps[1:])
    louder = fitted_noise(sample.divided(torch.tensor(1e-3)), maps)
    assert torch.allclose(both[1:], alone, rtol=1e-3)
    assert torch.allclose(louder, both * 1e3, rtol=1e-3)
    assert (fitted_noise(scenes.empty(sample), maps) == 0).all()
    known = sample.replace(noise=torch.full((len(both),), 0.5))
    assert with_noise(known, maps) is known
    assert torch.equal(with_noise(sample, maps).noise, both)


def test_a_full_scan_has_the_level_of_its_edge():
    sample = scenes.scan(subject=5, matrix=(64, 64), slices=1, coils=4, snr=20.0)[0]
    sample = sample.replace(noise=None)
    assert torch.equal(fitted_noise(sample, Espirit()(sample)), estimated_noise(sample))
