"""The checks of shapes and types that run in every test."""

import pytest
import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon import fourier
from tests import runtime_types


@runtime_types.checked(typechecker=runtime_types.TYPECHECKER)
def added(a: Float32[Tensor, "y x"], b: Float32[Tensor, "y x"], lost=0) -> Float32[Tensor, "y x"]:
    return (a + b)[lost:]


@runtime_types.checked(typechecker=runtime_types.TYPECHECKER)
def rows(a: Float32[Tensor, "y x"]):
    yield from a


def test_another_shape_precision_or_type_is_checked_after_the_right_ones():
    ones = torch.ones(3, 4)
    for _ in range(2):
        added(ones, ones)
    with pytest.raises(TypeError, match="parameter"):
        added(ones, torch.ones(4, 4))
    for wrong in ones[0], ones.double(), ones.numpy(), None:
        with pytest.raises(TypeError, match="parameter"):
            added(ones, wrong)


def test_what_was_refused_is_refused_again_and_so_are_results():
    ones = torch.ones(3, 4)
    for _ in range(2):
        with pytest.raises(TypeError, match="return"):
            added(ones, ones, 1)


def test_the_next_test_checks_again():
    ones = torch.ones(3, 4)
    added(ones, ones, 0)
    assert len(added(ones, ones, 1)) == 2  # the same types and shapes: not checked again
    runtime_types.forget()
    with pytest.raises(TypeError, match="return"):
        added(ones, ones, 1)


def test_generators_are_checked():
    assert len(list(rows(torch.ones(3, 4)))) == 3
    with pytest.raises(TypeError, match="rows"):
        list(rows(torch.ones(3)))


def test_the_package_is_checked():
    with pytest.raises(TypeError, match="parameter"):
        fourier.fft(torch.ones(3, 4))
