"""The circulant preconditioner of SENSE."""

import pytest
import torch

from mrirecon.fourier import plain_ifft
from mrirecon.operators import CirculantInverse, NonUniformFourier, SenseNormal
from mrirecon.operators.circulant import LEAST
from mrirecon.solvers import solve_cg

H, W = 8, 6


def maps_and_weights(rows, generator):
    maps = torch.randn(3, H, W, dtype=torch.complex64, generator=generator)
    maps[:, :, 4] = 0  # a column that no coil sees
    weights = torch.rand(rows, W, generator=generator)
    return maps / torch.linalg.vector_norm(maps, dim=0).clamp_min(1e-9), weights


def eigenvalues(normal, axes):
    """By definition: the mean energy that is sampled of each wave where coils see it."""
    seen = (normal.maps != 0).any(0)
    found = torch.empty(H, W)
    for k in torch.cartesian_prod(torch.arange(H), torch.arange(W)).tolist():
        spectrum = torch.zeros(H, W, dtype=torch.complex64)
        if axes == (-1,):
            spectrum[:, k[1]] = 1
        else:
            spectrum[k[0], k[1]] = 1
        wave = plain_ifft(spectrum, axes) * seen
        sampled = (wave.conj() * normal(wave)).real.sum(axes) / wave.abs().square().sum(axes)
        found[k[0], k[1]] = sampled[k[0]] if axes == (-1,) else sampled
    return found


@pytest.mark.parametrize("rows", [H, 1])
def test_eigenvalues_tell_how_much_is_sampled_of_each_wave(rows):
    normal = SenseNormal(*maps_and_weights(rows, torch.Generator().manual_seed(0)))
    near = CirculantInverse.of(normal, 0.2)
    expected = eigenvalues(normal, (-1,) if rows == 1 else (-2, -1))
    torch.testing.assert_close(1 / near.inverse[..., 0] - 0.2, expected, rtol=1e-4, atol=1e-5)
    assert near.support[:, 4].sum() == 0 and near.support.sum() == 2 * H * (W - 1)
    small = CirculantInverse.of(normal, 0.001)
    torch.testing.assert_close(1 / small.inverse[..., 1] - LEAST, expected, rtol=1e-4, atol=1e-5)


def test_eigenvalues_along_a_trajectory():
    pytest.importorskip("finufft")
    generator = torch.Generator().manual_seed(1)
    maps, _ = maps_and_weights(H, generator)
    places = torch.rand(40, 2, generator=generator) * torch.tensor([H, W]) - torch.tensor(
        [H / 2, W / 2]
    )
    F = NonUniformFourier(places, (H, W))
    normal = SenseNormal(maps, F.spectrum(torch.rand(40, generator=generator)))
    near = CirculantInverse.of(normal, 0.2)
    expected = eigenvalues(normal, (-2, -1))
    torch.testing.assert_close(1 / near.inverse[..., 0] - 0.2, expected, rtol=2e-3, atol=2e-4)


def test_one_step_suffices_where_the_system_is_a_convolution():
    weights = (torch.arange(W) % 2 == 0).float().expand(H, W).contiguous()
    normal = SenseNormal(torch.ones(1, H, W, dtype=torch.complex64), weights)
    b = torch.randn(H, W, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    found = solve_cg(
        lambda x: normal(x) + 0.3 * x,
        b,
        iterations=9,
        tolerance=1e-5,
        precondition=CirculantInverse.of(normal, 0.3),
    )
    assert found.converged and int(found.iterations) == 1
    torch.testing.assert_close(normal(found.x) + 0.3 * found.x, b, rtol=1e-4, atol=1e-5)
