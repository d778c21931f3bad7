import pytest
import torch

from mrirecon.half_precision import HIGHEST, narrowed, physical, widened
from tests import scenes


def sample(factor=1.0):
    scan = scenes.scan(slices=3)
    return scan[1].divided(torch.tensor(1 / factor)).replace(scale=None)


def parts(x):
    return torch.view_as_real(x)


@pytest.mark.parametrize("factor", [1e-12, 1.0, 3e7])
def test_rounding_is_that_of_eleven_bits_in_any_unit(factor):
    before = sample(factor)
    half = narrowed(before)
    assert half.kspace.dtype == torch.complex32
    assert HIGHEST / 2 < parts(half.kspace).float().abs().max() <= HIGHEST
    after = physical(half)
    assert after.kspace.dtype == torch.complex64 and after.scale is None
    error = parts(after.kspace - before.kspace).abs()
    floor = 2.0**-25 * parts(before.kspace).abs().max() / HIGHEST * 2  # half the smallest step
    assert (error <= 2.0**-11 * parts(before.kspace).abs() + floor).all()
    assert error.max() > 0  # it is rounded
    assert after.target.equal(before.target) and after.peak == before.peak


def test_a_slice_stays_in_one_unit():
    before = sample().replace(noise=torch.tensor(0.3))
    half = narrowed(before)
    for field in ("target", "peak", "noise"):
        assert (getattr(half, field) * half.scale).equal(getattr(before, field)), field
    wide = widened(half)
    assert wide.scale == half.scale
    torch.testing.assert_close(wide.kspace * wide.scale, before.kspace, rtol=1e-3, atol=1e-8)


def test_empty_slices_and_single_precision_stay_as_they_are():
    empty = sample().replace(kspace=torch.zeros_like(sample().kspace))
    half = narrowed(empty)
    assert half.scale == 1 and not parts(half.kspace).any()
    told = sample().replace(scale=torch.tensor(3.0))
    assert physical(told) is told and widened(told).kspace.equal(told.kspace)


def test_maps_and_neighbours_are_widened_too():
    before = sample()
    before = before.replace(maps=before.kspace / before.kspace.norm(dim=0, keepdim=True))
    half = narrowed(before)
    near = half.map(lambda tensor: tensor[None])
    wide = widened(half.replace(neighbors=near))
    for found in (wide, wide.neighbors):
        assert found.kspace.dtype == found.maps.dtype == torch.complex64
    torch.testing.assert_close(wide.maps, before.maps, rtol=0, atol=2.0**-11)
