"""Weights with which the adjoint is nearly the inverse."""

import math

import pytest
import torch

from mrirecon.operators.density import iterated_density, radial_density
from mrirecon.operators.nonuniform import NonUniformFourier

pytest.importorskip("finufft")


def radial(spokes, samples, width):
    """Diameters through k-space, (spoke, sample, axis)."""
    angle = torch.arange(spokes, dtype=torch.float64) * math.pi / spokes
    radius = (torch.arange(samples, dtype=torch.float64) - samples // 2) * (width / samples)
    direction = torch.stack([angle.cos(), angle.sin()], -1)
    return radius[:, None] * direction[:, None, :]


def blob(size):
    """A smooth object, well inside of the field of view, with a spectrum inside of the disc."""
    y, x = torch.meshgrid(*[torch.arange(size, dtype=torch.float64) - size // 2] * 2, indexing="ij")
    image = torch.exp(-((y - 3) ** 2 + (x + 2) ** 2) / 18) + torch.exp(
        -((y + 5) ** 2) / 8 - x**2 / 30
    )
    return image.to(torch.complex128)


def error(weights, operator, image):
    found = operator.H(weights * operator(image))
    return float((found - image).norm() / image.norm())


@pytest.mark.parametrize(("samples", "most"), [(64, 0.03), (65, 0.03), (128, 0.008)])
def test_areas_of_spokes_make_the_adjoint_an_inverse(samples, most):
    """Better so with the square of the distance between samples."""
    places = radial(72, samples, 32)
    operator = NonUniformFourier(places.reshape(-1, 2), (32, 32))
    assert error(radial_density(places, (32, 32)).reshape(-1), operator, blob(32)) < most
    plain = torch.full((places.shape[0] * samples,), 1 / 72, dtype=torch.float64)
    assert error(plain, operator, blob(32)) > 0.3


def test_repeated_smoothing_finds_weights_as_good():
    places = radial(72, 64, 32)  # with the usual oversampling
    operator = NonUniformFourier(places.reshape(-1, 2), (32, 32))
    areas = error(radial_density(places, (32, 32)).reshape(-1), operator, blob(32))
    assert error(iterated_density(operator, 30), operator, blob(32)) < areas


def test_a_full_grid_weighs_one():
    grid = torch.stack(torch.meshgrid(*[torch.arange(8.0) - 4] * 2, indexing="ij"), -1)
    operator = NonUniformFourier(grid.reshape(-1, 2).double(), (8, 8))
    torch.testing.assert_close(iterated_density(operator), torch.ones(64, dtype=torch.float64))


def test_volumes_of_spokes_in_space():
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(400, 3, generator=generator, dtype=torch.float64)
    direction /= direction.norm(dim=-1, keepdim=True)
    radius = torch.arange(-4, 4, dtype=torch.float64)
    weights = radial_density(radius[:, None] * direction[:, None], (8, 8, 8))
    # together about the volume of the ball; the outermost ring is met on one side only
    ball = 4 / 3 * math.pi * (3.5**3 + (4.5**3 - 3.5**3) / 2)
    assert float(weights.sum()) == pytest.approx(ball)
