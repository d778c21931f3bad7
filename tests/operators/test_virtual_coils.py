"""Fewer coils with the same normal operator."""

import torch

from mrirecon.operators import SenseNormal
from mrirecon.operators.virtual_coils import virtual_coils
from mrirecon.solvers.base import energy

COILS, H, W = 12, 6, 40


def smooth_maps():
    """Coils around the image, of unit norm, and a column that none of them sees."""
    angle = (2 * torch.pi * torch.arange(COILS) / COILS)[:, None, None]
    y, x = torch.linspace(-1, 1, H)[:, None], torch.linspace(-1, 1, W)
    far = (y - 1.3 * angle.sin()).square() + (x - 1.3 * angle.cos()).square()
    maps = torch.polar(torch.exp(-far), angle + x * angle.sin())
    maps[..., 3] = 0
    return maps / torch.linalg.vector_norm(maps, dim=0).clamp_min(1e-9)


def noise(*shape):
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


def normal(maps):
    weights = torch.rand(1, W, generator=torch.Generator().manual_seed(1))
    return SenseNormal.of(maps, weights)


def test_fewer_coils_have_the_same_normal_operator():
    maps, x = smooth_maps(), noise(H, W)
    fewer = virtual_coils(maps)
    assert len(fewer) <= 9 < COILS
    torch.testing.assert_close(normal(fewer)(x), normal(maps)(x), rtol=0, atol=1e-6)
    # three more left out would change it
    assert (normal(fewer[3:])(x) - normal(maps)(x)).abs().max() > 1e-6


def test_what_only_dim_pixels_of_a_row_see_is_kept():
    maps, x = smooth_maps(), noise(H, W)
    maps[..., W // 2 :] = 1e-4 * noise(COILS, H, W)[..., W // 2 :]
    dim = normal(virtual_coils(maps))(x)[..., W // 2 :], normal(maps)(x)[..., W // 2 :]
    torch.testing.assert_close(*dim, rtol=0, atol=1e-6 * float(dim[1].abs().max()))


def test_maps_that_have_nothing_in_common_keep_their_number():
    maps, x = noise(COILS, H, W) / COILS**0.5, noise(H, W)
    kept = virtual_coils(maps)
    assert kept is maps and normal(kept)(x).isfinite().all()


def test_the_gradient_with_respect_to_the_maps_stays():
    x, gradients = noise(H, W), []
    for fewer in (lambda maps: maps, virtual_coils):
        maps = smooth_maps().requires_grad_()
        energy(normal(fewer(maps))(x), (-2, -1)).backward()
        gradients.append(maps.grad)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-3 * float(gradients[0].abs().max()))


def test_empty_maps_and_those_that_are_not_numbers_go_through():
    assert torch.equal(
        virtual_coils(torch.zeros_like(smooth_maps())).sum(0), torch.zeros(H, W) + 0j
    )
    broken = smooth_maps()
    broken[0, 2, 7] = torch.nan
    assert normal(virtual_coils(broken))(noise(H, W))[2].isnan().any()
