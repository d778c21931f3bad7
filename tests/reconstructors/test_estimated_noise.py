"""Unknown noise is found in k-space, where the object is bright, too."""

import pytest
import torch

from mrirecon.fourier import fft
from mrirecon.reconstructors.parts.estimated_noise import estimated_noise, noise_std
from mrirecon.types import Sample
from tests import scenes


@pytest.mark.parametrize("sigma", [0.1, 3.0])
def test_noise_is_estimated_from_the_outermost_samples(sigma):
    generator = torch.Generator().manual_seed(0)
    drawn = torch.view_as_complex(torch.randn(2, 4, 64, 52, 2, generator=generator))
    mask = (torch.arange(52) < 40) & (torch.arange(52) % 2 == 0)  # partial Fourier
    kspace = drawn * torch.tensor([sigma, 2 * sigma])[:, None, None, None] * mask
    kspace[:, :, 28:36, 20:32] *= 1000
    kspace[:, :, :10] = 0  # an asymmetric echo, without telling
    sample = Sample(kspace, mask[None, None].expand(2, 1, 52))
    found = estimated_noise(sample)
    torch.testing.assert_close(found, torch.tensor([sigma, 2 * sigma]), rtol=0.1, atol=0.0)
    often = sample.replace(
        kspace=kspace / torch.where(torch.arange(52) < 26, 2.0, 1.0),
        weights=torch.where(torch.arange(52) < 26, 1.0, 0.25).expand(2, 1, 52),
    )
    torch.testing.assert_close(estimated_noise(often), found / 2, rtol=0.1, atol=0.0)
    assert estimated_noise(sample.replace(kspace=0 * kspace)).eq(0).all()


def lines(w, every, start=0):
    return ((torch.arange(w) % every == 0) & (torch.arange(w) >= start))[None] | (
        (torch.arange(w) - w // 2).abs() < 5
    )


MASKS = {
    "full": torch.ones(1, 54, dtype=torch.bool),
    "every fourth": lines(54, 4),
    "partial Fourier": lines(54, 2, 16),
    "asymmetric echo": (torch.arange(64) >= 16)[:, None] & lines(54, 2),
    "along the other axis": lines(64, 3).mT.contiguous(),
}


@pytest.fixture(scope="module")
def object_only():
    """Sharp edges on a coarse grid: signal reaches the edge of k-space."""
    return scenes.scan(matrix=(64, 54), slices=1, coils=4, snr=1e6)[0].kspace


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("part", "largest"), [(3e-2, 1.3), (3e-3, 2.9)])
def test_anatomy_at_the_edge_of_kspace_is_not_taken_for_noise(mask, part, largest, object_only):
    """The bounds are those of the docstring, for a signal-to-noise ratio of 30 and of 300."""
    brightness = scenes.scan(matrix=(64, 54), slices=1, snr=1e6)[0].target.quantile(0.9)
    sigma = float(brightness) * part
    drawn = torch.randn(*object_only.shape, 2, generator=torch.Generator().manual_seed(0))
    noisy = object_only + sigma * torch.view_as_complex(drawn)
    sample = Sample((noisy * MASKS[mask])[None], MASKS[mask][None])
    found = float(estimated_noise(sample)) / sigma
    assert 0.93 < found < largest
    assert noise_std(sample).equal(estimated_noise(sample))  # one estimate for all


@pytest.mark.parametrize("tiny", [0.0, 1e-16, 1e-8])
def test_padding_with_rounding_errors_is_no_measurement(tiny):
    """Files of exported k-space have padded lines of 1e-16; the noise of those is nothing."""
    g = torch.Generator().manual_seed(0)
    kspace = torch.view_as_complex(torch.randn(1, 8, 64, 60, 2, generator=g))
    kspace[..., 24:40, 20:40] += 50
    kspace[..., :8] *= tiny
    kspace[..., -7:] *= tiny
    kspace[..., :6, :] *= tiny
    for mask in (torch.ones(1, 1, 60), torch.rand(1, 64, 60, generator=g) < 0.5):
        sample = Sample(kspace * mask, mask.bool())
        assert float(estimated_noise(sample)) == pytest.approx(1, rel=0.08)


def test_a_receiver_filter_and_unequal_coils_are_allowed_for():
    g = torch.Generator().manual_seed(0)
    image = torch.view_as_complex(torch.randn(1, 4, 128, 96, 2, generator=g))
    gain = torch.tensor([0.5, 0.8, 1.2, 1.3])
    image = image * gain[:, None, None]
    image[..., :4, :] *= 0.3  # the filter falls off at both ends of the readout
    image[..., -4:, :] *= 0.3
    sample = Sample(fft(image), lines(96, 2)[None])
    sample = sample.replace(kspace=sample.kspace * sample.mask.unsqueeze(1))
    expected = float(gain.square().mean().sqrt())
    assert float(estimated_noise(sample)) == pytest.approx(expected, rel=0.05)
