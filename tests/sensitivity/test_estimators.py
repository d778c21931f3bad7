import pytest
import torch

from mrirecon.fourier import fft, ifft
from mrirecon.sensitivity import CalibrationError, GivenMaps, LearnedMaps, LowResolutionMaps
from mrirecon.sensitivity.base import calibration_extent, in_center
from mrirecon.sensitivity.learned import _even_width
from mrirecon.types import Sample
from tests.sensitivity.scene import angles, batch, scene


def test_given_maps_are_passed_on_and_missing_ones_named():
    sample, maps, _ = scene()
    assert GivenMaps()(sample.replace(maps=maps)) is maps
    with pytest.raises(CalibrationError, match="sensitivity=espirit"):
        GivenMaps()(sample)


@pytest.mark.parametrize(
    ("size", "count", "first"), [(8, 4, 2), (9, 4, 3), (368, 29, 170), (5, 5, 0)]
)
def test_centre_follows_fastmri(size, count, first):
    marked = in_center(size, torch.tensor([count]))[0]
    assert marked.nonzero().flatten().tolist() == list(range(first, first + count))


def test_extent_is_told_or_found_for_each_member():
    first, second = scene(lines=15)[0], scene(lines=10)[0]
    both = batch(first, second)
    assert calibration_extent(both).tolist() == [[48, 15], [48, 10]]
    # the even columns of the pattern continue the first member's block by one line on both sides
    assert calibration_extent(both.replace(acs=None)).tolist() == [[48, 17], [48, 10]]


def test_low_resolution_maps_are_near_the_truth_with_unit_norm():
    sample, maps, body = scene(lines=16)
    ours = LowResolutionMaps()(sample)
    assert torch.allclose(torch.linalg.vector_norm(ours, dim=0), torch.ones(()), atol=1e-5)
    assert angles(ours, maps, body).square().mean().sqrt() < 0.1


@pytest.mark.parametrize("shape", [(12, 10), (11, 9)])
def test_low_resolution_window_adds_no_phase(shape):
    # symmetric k-space of a positive image: the maps must be real and positive as well
    h, w = shape
    kspace = torch.zeros(2, h, w, dtype=torch.complex64)
    kspace[:, h // 2, w // 2] = 4
    kspace[:, h // 2, [w // 2 - 1, w // 2 + 1]] = 1
    kspace[:, [h // 2 - 1, h // 2 + 1], w // 2] = 0.5
    maps = LowResolutionMaps()(Sample(kspace, torch.ones(1, w, dtype=torch.bool)))
    torch.testing.assert_close(maps, torch.full_like(maps, 0.5**0.5))


def test_low_resolution_maps_of_an_empty_slice_are_zero():
    kspace = torch.zeros(2, 12, 10, dtype=torch.complex64)
    assert (LowResolutionMaps()(Sample(kspace, torch.ones(1, 10, dtype=torch.bool))) == 0).all()


def test_low_resolution_uses_a_calibration_scan():
    sample, _, _ = scene()
    calibration = sample.kspace[:, 8:40, 8:32].clone()
    empty = sample.replace(kspace=0 * sample.kspace, calibration=calibration)
    torch.testing.assert_close(LowResolutionMaps()(empty), LowResolutionMaps()(sample))


def test_low_resolution_needs_a_centre():
    sample, _, _ = scene(lines=2, every=4)
    with pytest.raises(CalibrationError, match=r"at least 4 x 4 .* found 48 x 2"):
        LowResolutionMaps()(sample)
    with pytest.raises(ValueError, match="calibration must be at least 4 lines, got 1"):
        LowResolutionMaps(1)


def test_learned_maps_have_unit_norm_and_empty_slices_stay_zero():
    sample, _, _ = scene((37, 45), lines=9)
    maps = LearnedMaps(2, 2)(batch(sample, sample.replace(kspace=0 * sample.kspace)))
    norm = torch.linalg.vector_norm(maps, dim=-3)
    assert torch.allclose(norm[0], torch.ones(()), atol=1e-5)
    assert (norm[1] == 0).all()


def test_learned_maps_see_each_members_centre_only():
    first, second = scene(lines=15)[0], scene(lines=10)[0]
    network = LearnedMaps(2, 2).eval()
    together = network(batch(first, second))
    for maps, sample, count in zip(together, (first, second), (15, 10), strict=True):
        start = (40 - count + 1) // 2
        kept = torch.zeros_like(sample.kspace)
        kept[..., start : start + count] = sample.kspace[..., start : start + count]
        images = network.norm_unet(ifft(kept))
        expected = images / torch.linalg.vector_norm(images, dim=-3, keepdim=True)
        torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("lines", "width"), [(29, 28), (30, 30), (15, 14), (368, 368)])
def test_automatic_centre_is_fastmris_but_a_full_mask_uses_the_whole_width(lines, width):
    mask = torch.zeros(368, dtype=torch.bool)
    start = (368 - lines + 1) // 2
    mask[start : start + lines] = True
    assert _even_width(mask) == width
    assert _even_width(torch.ones(45, dtype=torch.bool)) == 45
    assert _even_width(torch.zeros(45, dtype=torch.bool)) == 1


@pytest.mark.parametrize("n", [24, 25])
@pytest.mark.parametrize("lines", [4, 5, 12, 13, 24])
def test_the_window_has_two_equal_sides(n, lines):
    """So it adds no phase: the maps of real images are real."""
    generator = torch.Generator().manual_seed(0)
    images = 2 + torch.rand(3, n, n, generator=generator) + 0j
    mask = in_center(n, torch.tensor(lines))[None]
    kspace = fft(images) * mask
    maps = LowResolutionMaps()(Sample(kspace, mask, acs=torch.tensor([n, lines])))
    assert maps.imag.abs().max() < 1e-5
    around, windows = (torch.arange(n) - n // 2).abs(), []
    for count in (min(n, 24), lines):
        reach = (count - 1) // 2  # on either side of the centre
        window = torch.cos(torch.pi * around / (count + 1)).square()
        windows.append(window * (around <= reach))
    blurred = ifft(kspace * windows[0][:, None] * windows[1])
    torch.testing.assert_close(maps, blurred / blurred.abs().square().sum(0).sqrt())
