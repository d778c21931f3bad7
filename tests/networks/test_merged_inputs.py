"""The convolution of several inputs is that of their concatenation, and so are its gradients."""

import pytest
import torch
from torch.nn import functional as F

from mrirecon.networks.parts.merged_inputs import merged_convolution


def parts_of(batch: int, widths: tuple[int, ...], dtype: torch.dtype = torch.float64):
    """Return inputs, weights and bias of a convolution to three outputs."""
    generator = torch.Generator().manual_seed(0)
    shapes = [*((batch, c, 6, 5) for c in widths), (3, sum(widths), 3, 3), (3,)]
    *inputs, weight, bias = (
        torch.randn(s, dtype=dtype, generator=generator).requires_grad_() for s in shapes
    )
    return inputs, weight, bias


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("widths", [(2, 4), (4, 1, 2)])
def test_merged_convolution_is_that_of_the_concatenation(batch, widths):
    inputs, weight, bias = parts_of(batch, widths)
    expected = F.conv2d(torch.cat(inputs, 1), weight, bias, padding=1)
    result = merged_convolution(tuple(inputs), weight, bias)
    torch.testing.assert_close(result, expected)
    g = torch.linspace(-1, 2, result.numel(), dtype=result.dtype).reshape(result.shape)
    found, reference = (
        torch.autograd.grad(y, [*inputs, weight, bias], g) for y in (result, expected)
    )
    torch.testing.assert_close(found, reference)


def test_gradients_of_merged_inputs_lie_with_their_channels_together():
    inputs, weight, _ = parts_of(1, (2, 4))
    found = torch.autograd.grad(merged_convolution(tuple(inputs), weight).sum(), inputs)
    assert {g.stride(1) for g in found} == {1}


def test_frozen_weights_get_no_gradient():
    inputs, weight, _ = parts_of(1, (2, 4))
    weight.requires_grad_(False)
    merged_convolution(tuple(inputs), weight).sum().backward()
    assert weight.grad is None and all(x.grad is not None for x in inputs)


def test_autocast_may_have_left_inputs_of_two_types():
    inputs, weight, _ = parts_of(1, (2, 4), torch.float32)
    one = inputs[0].detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        result = merged_convolution((one, inputs[1]), weight)
    result.float().sum().backward()
    assert result.dtype is one.grad.dtype is torch.bfloat16
    assert inputs[1].grad.dtype is weight.grad.dtype is torch.float32
