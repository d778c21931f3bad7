import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch

import mrirecon.operators
from mrirecon.errors import ShapeError
from mrirecon.fourier import fft
from mrirecon.operators import (
    Coils,
    FiniteDifference,
    Fourier,
    LinearOperator,
    NonUniformFourier,
    Sampling,
    SenseNormal,
    SymmetrizedGradient,
    TemporalDifference,
    Wavelet,
    Weights,
    sense,
)
from mrirecon.operators.base import Adjoint, Composition
from mrirecon.operators.nonuniform import Toeplitz
from tests.operators.adjointness import assert_adjoint, complex_randn

SIZES = [(8, 8), (7, 8), (9, 5)]


def _cases(h, w):
    maps = complex_randn(2, 3, h, w)
    rows = torch.rand(2, 1, w, generator=torch.Generator().manual_seed(0)) < 0.5
    image, coils = (2, h, w), (2, 3, h, w)
    wavelet = Wavelet((h, w), name="db2")
    places = torch.rand(20, 2, generator=torch.Generator().manual_seed(1)) - 0.5
    spokes = NonUniformFourier(places * torch.tensor([h, w]), (h, w))
    return {
        Coils: (Coils(maps), image, coils),
        Fourier: (Fourier(), coils, coils),
        Sampling: (Sampling(rows), coils, coils),
        Weights: (Weights(rows * 0.3), coils, coils),
        Adjoint: (Adjoint(Coils(maps)), coils, image),
        Composition: (sense(maps, rows), image, coils),
        SenseNormal: (SenseNormal.of(maps, rows * 0.7), image, image),
        FiniteDifference: (FiniteDifference(), image, (2, 2, h, w)),
        SymmetrizedGradient: (SymmetrizedGradient(), (2, 2, h, w), (2, 3, h, w)),
        TemporalDifference: (TemporalDifference(h % 2 == 0), coils, coils),
        Wavelet: (wavelet, image, (2, *wavelet.padded)),
        NonUniformFourier: (spokes, coils, (2, 3, 20)),
        Toeplitz: (spokes.toeplitz(places[:, 0] + 0.6), coils, coils),
    }


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("operator", _cases(8, 8), ids=lambda o: o.__name__)
def test_adjoint(operator, size):
    assert_adjoint(*_cases(*size)[operator])


def test_every_operator_has_a_case():
    modules = [
        importlib.import_module(f"mrirecon.operators.{m.name}")
        for m in pkgutil.iter_modules(mrirecon.operators.__path__)
    ]
    defined = {
        c
        for module in modules
        for _, c in inspect.getmembers(module, inspect.isclass)
        if issubclass(c, LinearOperator) and not inspect.isabstract(c)
    }
    missing = defined - _cases(8, 8).keys()
    assert not missing, f"add an adjointness case for {missing}"


class MissingConjugate(Coils):
    def adjoint(self, y):
        return (self.maps * y).sum(-3)


class SwappedShift(Fourier):
    def adjoint(self, y):
        axes = (-2, -1)
        shifted = torch.fft.fftshift(y, dim=axes)
        return torch.fft.ifftshift(torch.fft.ifft2(shifted, norm="ortho"), dim=axes)


class ForgetsToConjugateTheScalar(Sampling):
    def forward(self, x):
        return x.conj() * self.mask.unsqueeze(-3)


@pytest.mark.parametrize(
    ("wrong", "domain"),
    [
        (MissingConjugate(complex_randn(2, 3, 7, 8)), (2, 7, 8)),
        (SwappedShift(), (2, 3, 7, 8)),
        (ForgetsToConjugateTheScalar(torch.ones(2, 1, 8, dtype=torch.bool)), (2, 3, 7, 8)),
    ],
    ids=["missing conjugate", "swapped shift", "antilinear"],
)
def test_the_assertion_catches_planted_errors(wrong, domain):
    with pytest.raises(AssertionError):
        assert_adjoint(wrong, domain, (2, 3, 7, 8))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sense_norm_is_at_most_one_with_unit_maps(size):
    maps = complex_randn(1, 3, *size)
    maps = maps / torch.linalg.vector_norm(maps, dim=-3, keepdim=True)
    A = sense(maps, torch.ones(1, 1, size[1], dtype=torch.bool))
    x = complex_randn(1, *size)
    torch.testing.assert_close(A.gram(x), x)  # fully sampled: exactly one
    half = sense(maps, torch.arange(size[1])[None, None] % 2 == 0)
    assert torch.linalg.vector_norm(half(x)) <= torch.linalg.vector_norm(x)


def test_matches_sigpy():
    mr = pytest.importorskip("sigpy.mri")
    maps, x = complex_randn(3, 7, 8), complex_randn(7, 8)
    mask = torch.arange(8)[None] % 3 == 0
    theirs = mr.linop.Sense(maps.numpy(), weights=mask.expand(7, 8).numpy().astype(float))
    np.testing.assert_allclose(sense(maps, mask)(x).numpy(), theirs * x.numpy(), atol=1e-10)


def test_autograd_reaches_the_maps():
    maps = complex_randn(1, 3, 7, 8).requires_grad_()
    sense(maps, torch.ones(1, 1, 8, dtype=torch.bool))(
        complex_randn(1, 7, 8)
    ).abs().sum().backward()
    assert maps.grad.abs().min() > 0


def test_grid_mismatch_is_explained():
    with pytest.raises(ShapeError, match=r"share the grid .* \(2, 7, 9\) and \(2, 3, 7, 8\)"):
        Coils(complex_randn(2, 3, 7, 8))(complex_randn(2, 7, 9))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_fourier_is_unitary_and_centred(size):
    x = complex_randn(*size)
    torch.testing.assert_close(Fourier().H(Fourier()(x)), x)
    delta = torch.zeros(size, dtype=torch.complex128)
    delta[size[0] // 2, size[1] // 2] = 1
    constant = torch.full(size, (size[0] * size[1]) ** -0.5, dtype=torch.complex128)
    torch.testing.assert_close(fft(delta), constant)


def test_fourier_has_the_sign_of_the_signal_equation():
    """k(f) = sum_x rho(x) exp(-2 pi i f x / n): a shift by +1 pixel turns the phase backwards."""
    delta = torch.zeros(1, 8, dtype=torch.complex128)
    delta[0, 5] = 1
    frequency = torch.arange(8) - 4
    expected = torch.exp(-2j * torch.pi * frequency.double() / 8) / 8**0.5
    torch.testing.assert_close(fft(delta)[0], expected)
