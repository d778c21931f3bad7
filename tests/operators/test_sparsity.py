"""Wavelets and differences as transforms; the fast normal operator against the plain one."""

import pytest
import torch

from mrirecon.fourier import center_phases, fft, plain_fft
from mrirecon.operators import (
    FiniteDifference,
    SenseNormal,
    SymmetrizedGradient,
    Wavelet,
    adjoint_image,
    least_squares,
    sense_normal,
)
from tests import scenes
from tests.operators.adjointness import complex_randn

SHAPES = [(64, 48), (33, 31), (9, 5), (40, 372)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["haar", "db2", "db4"])
def test_wavelets_keep_norms_and_invert(shape, name):
    W, x = Wavelet(shape, name=name), complex_randn(2, *shape)
    c = W(x)
    assert c.shape[-2:] == W.padded
    torch.testing.assert_close(W.H(c), x)
    torch.testing.assert_close(c.abs().square().sum(), x.abs().square().sum())


def test_wavelets_are_onto_where_nothing_is_padded():
    W, c = Wavelet((64, 48)), complex_randn(64, 48)
    torch.testing.assert_close(W(W.H(c)), c)


@pytest.mark.parametrize(("name", "moments"), [("haar", 1), ("db2", 2), ("db4", 4)])
def test_wavelets_have_their_vanishing_moments(name, moments):
    y = torch.linspace(-1, 1, 64).double()
    image = (y[:, None] ** (moments - 1) * torch.ones(64) + 0j).to(torch.complex128)
    c = Wavelet((64, 64), 1, name)(image)
    details = c[32 + 4 :]  # the first few see the jump across the periodic edge
    assert details.abs().max() < 1e-6
    assert c[:32].abs().max() > 0.1


def test_wavelets_agree_with_pywavelets_away_from_the_edges():
    pywt = pytest.importorskip("pywt")
    x = torch.zeros(96, 96, dtype=torch.complex128)
    x[40:56, 40:56] = complex_randn(16, 16)
    ours = Wavelet((96, 96), 1, "db4")(x)
    low, details = pywt.dwt2(x.numpy(), "db4", mode="zero")
    for theirs, mine in zip((low, *details), _quarters(ours), strict=True):
        torch.testing.assert_close(mine, torch.from_numpy(theirs[:48, :48]), rtol=1e-8, atol=1e-8)


def _quarters(c):
    top, bottom = c.chunk(2)
    return top.chunk(2, 1)[0], bottom.chunk(2, 1)[0], top.chunk(2, 1)[1], bottom.chunk(2, 1)[1]


def test_differences_of_slopes_are_constant_and_of_those_zero():
    y, x = torch.meshgrid(torch.arange(7.0), torch.arange(6.0), indexing="ij")
    image = (2 * y - 3 * x + 0j).to(torch.complex128)
    gradient = FiniteDifference()(image)
    assert gradient[0, :-1].eq(2).all() and gradient[1, :, :-1].eq(-3).all()
    assert gradient[0, -1].eq(0).all() and gradient[1, :, -1].eq(0).all()
    field = torch.stack([0 * image + 2, 0 * image - 3])
    assert SymmetrizedGradient()(field)[:, 1:-1, 1:-1].abs().max() == 0


@pytest.mark.parametrize("size", [8, 7, 10])
def test_phases_centre_the_plain_transform(size):
    x = complex_randn(3, size)
    image, kspace = center_phases(size, x)
    torch.testing.assert_close(kspace * plain_fft(image * x, (-1,)), fft(x, (-1,)))


def weighted(sample, full):
    mask = sample.mask.expand(*sample.kspace.shape[:-3], *sample.kspace.shape[-2:])
    drop = torch.rand(mask.shape, generator=torch.Generator().manual_seed(0)) < 0.7
    mask = mask & drop if full else sample.mask
    weights = torch.rand(mask.shape, generator=torch.Generator().manual_seed(1)) * mask
    return sample.replace(mask=mask, weights=weights, kspace=sample.kspace * mask.unsqueeze(-3))


@pytest.mark.parametrize("matrix", [(40, 36), (33, 31), (40, 31)])
@pytest.mark.parametrize("kind", ["lines", "full rows", "weighted lines", "weighted grid"])
def test_fast_normal_equations_are_the_plain_ones(matrix, kind):
    sample = scenes.batch(scenes.scan(matrix=matrix, with_maps=True))
    if kind == "full rows":
        sample = sample.replace(mask=sample.mask.expand(-1, *matrix))
    elif kind != "lines":
        sample = weighted(sample, kind == "weighted grid")
    A, y = least_squares(sample, sample.maps)
    normal = sense_normal(sample, sample.maps)
    assert normal.separable == (kind != "weighted grid")
    x = complex_randn(2, *matrix).to(torch.complex64)
    torch.testing.assert_close(normal(x), A.gram(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(adjoint_image(sample, sample.maps), A.H(y), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("rows", [1, 6])
def test_gradients_of_the_normal_operator_are_those_of_finite_differences(rows):
    x, maps = complex_randn(2, 6, 5), complex_randn(2, 3, 6, 5)
    weights = torch.rand(2, rows, 5, generator=torch.Generator().manual_seed(0)).double()
    x.requires_grad_(), maps.requires_grad_()

    def normal(x, maps):
        return SenseNormal.of(maps, weights)(x)

    assert torch.autograd.gradcheck(normal, (x, maps), check_forward_ad=True)
    with pytest.raises(NotImplementedError, match="weights"):
        SenseNormal.of(maps, weights.requires_grad_())(x).abs().sum().backward()


def test_wavelets_multiply_all_rows_at_once():
    W = Wavelet((128, 96), 3, "db2")
    x = torch.randn(128, 96, dtype=torch.complex64)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        W.H(W(x))
    calls = sum(event.count for event in profile.key_averages())
    assert calls < 3000  # with a product for each row, many times as many
