"""The assertion that every linear operator must pass."""

import torch

from mrirecon.operators import LinearOperator


def complex_randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


def assert_adjoint(A: LinearOperator, domain, codomain):
    """Shapes, <Ax, y> = <x, A^H y>, linearity over the complex numbers, vjp = adjoint, gram.

    In double precision, so that the tolerance is rounding and nothing else.
    """
    x, y = complex_randn(*domain, seed=1), complex_randn(*codomain, seed=2)
    assert A(x).shape == y.shape, f"A maps {tuple(x.shape)} to {tuple(A(x).shape)}"
    assert A.H(y).shape == x.shape, f"A.H maps {tuple(y.shape)} to {tuple(A.H(y).shape)}"
    close = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(
        torch.vdot(A(x).flatten(), y.flatten()), torch.vdot(x.flatten(), A.H(y).flatten()), **close
    )
    a, b = complex(2, 1), complex(-1, 3)
    other = complex_randn(*domain, seed=3)
    torch.testing.assert_close(A(a * x + b * other), a * A(x) + b * A(other), **close)
    _, vjp = torch.func.vjp(A.forward, x)
    torch.testing.assert_close(vjp(y)[0], A.H(y), **close)
    _, vjp = torch.func.vjp(A.adjoint, y)
    torch.testing.assert_close(vjp(x)[0], A(x), **close)
    torch.testing.assert_close(A.gram(x), A.H(A(x)), **close)
    torch.testing.assert_close(A.H.H(x), A(x), **close)
