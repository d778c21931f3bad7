"""The Fourier transform at any points against its own sum, and its derivatives."""

import copy
import math

import pytest
import torch

from mrirecon.fourier import fft
from mrirecon.operators.nonuniform import NonUniformFourier

pytest.importorskip("finufft")
SHAPES = [(12, 10), (9, 13), (6, 5, 8)]


def made(shape, samples=40, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(samples, len(shape), generator=generator, dtype=torch.float64) - 0.5
    return (unit * torch.tensor(shape)).to(dtype)


def matrix(trajectory, shape):
    """The operator as a matrix (sample, pixel)."""
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape))
    phase = trajectory.double() / torch.tensor(shape) @ grid.T
    return torch.polar(torch.ones_like(phase), -2 * math.pi * phase) / math.prod(shape) ** 0.5


def noise(*shape, seed=1, dtype=torch.complex128):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "error"), [(torch.complex128, 1e-8), (torch.complex64, 3e-5)])
def test_against_the_sum(shape, dtype, error):
    places = made(shape)
    operator, explicit = NonUniformFourier(places, shape), matrix(places, shape)
    x, y = noise(2, 3, *shape, dtype=dtype), noise(2, 3, 40, seed=2, dtype=dtype)
    expected = x.reshape(2, 3, -1).to(torch.complex128) @ explicit.T
    assert (operator(x) - expected).norm() < error * expected.norm()
    back = (y.to(torch.complex128) @ explicit.conj()).reshape(2, 3, *shape)
    assert (operator.H(y) - back).norm() < error * back.norm()
    inner = [(operator(x).conj() * y).sum(), (x.conj() * operator.H(y)).sum()]
    assert abs(inner[0] - inner[1]) < 10 * error * abs(inner[0])


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_on_the_grid_it_is_the_plain_transform(shape):
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    x = noise(3, *shape)
    found = NonUniformFourier(grid, shape)(x)
    torch.testing.assert_close(found, fft(x).reshape(3, -1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_normal_operator_is_a_convolution(shape, weighted):
    places = made(shape)
    operator, x = NonUniformFourier(places, shape), noise(2, *shape)
    weights = torch.rand(40, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weights = weights if weighted else torch.ones(40, dtype=torch.float64)
    expected = operator.H(weights * operator(x))
    found = operator.toeplitz(weights if weighted else None)(x)
    assert (found - expected).norm() < 1e-6 * expected.norm()


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2)])
def test_derivatives(shape):
    places = made(shape, 4).requires_grad_()
    x = noise(1, *shape).requires_grad_()
    y = noise(1, 4, seed=4).requires_grad_()

    def forward(x, places):
        return NonUniformFourier(places, shape, 1e-12)(x)

    def adjoint(y, places):
        return NonUniformFourier(places, shape, 1e-12).H(y)

    assert torch.autograd.gradcheck(forward, (x, places))
    assert torch.autograd.gradcheck(adjoint, (y, places))
    assert torch.autograd.gradgradcheck(lambda x: forward(x, places.detach()), (x,))


def test_plans_serve_again_and_copies_have_their_own():
    operator = NonUniformFourier(made((8, 8)), (8, 8))
    x = noise(2, 8, 8)
    first = operator(x)
    assert len(operator._plans._known) == 1
    torch.testing.assert_close(operator(x), first)
    assert len(operator._plans._known) == 1
    torch.testing.assert_close(copy.deepcopy(operator)(x), first)


@pytest.mark.parametrize(
    ("places", "shape", "words"),
    [
        (torch.zeros(3, 2), (4, 4, 4), "as many as the image"),
        (torch.zeros(3, 1), (4,), "2 or 3 axes"),
        (torch.full((3, 2), torch.nan), (4, 4), "not finite"),
    ],
)
def test_what_is_no_trajectory(places, shape, words):
    with pytest.raises(ValueError, match=words):
        NonUniformFourier(places, shape)
