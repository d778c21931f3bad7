"""Convolution of several inputs as if they were concatenated, with a faster gradient."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from mrirecon.networks.parts.channels import channels_last


def merged_convolution(
    inputs: tuple[Float[Tensor, "b _ h w"], ...],
    weight: Float[Tensor, "outputs channels odd odd"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "b outputs h w"]:
    """Convolve the concatenation of inputs along the channels, which is not kept.

    The result has the size of the inputs, beyond whose edges are zeros. Twice differentiable it
    is not.

    Args:
        inputs: Feature maps, with all channels of the weights together.
        weight: Weights for the channels in the order of the inputs.
        bias: Number added to each output; None adds none.
    """
    if torch.compiler.is_compiling():  # which finds gradients of its own
        return F.conv2d(torch.cat(inputs, 1), weight, bias, padding=weight.shape[-1] // 2)
    y: Tensor = _MergedConvolution.apply(weight, *inputs)
    return y if bias is None else y + bias.to(y.dtype)[:, None, None]


class _MergedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(weight, *inputs)
        ctx.padding = weight.shape[-1] // 2
        parts = weight.split([x.shape[1] for x in inputs], 1)
        y = F.conv2d(inputs[0], parts[0], padding=ctx.padding)
        for x, part in zip(inputs[1:], parts[1:], strict=True):
            y += F.conv2d(x, part, padding=ctx.padding)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        # Processors compute as many features of a result at once as a vector has numbers: 18 take
        # as long as 32. All channels of the inputs together fill vectors better than those of one
        # input or of the output, so both gradients are convolutions whose result has these.
        weight, *inputs = (x.to(g.dtype) for x in ctx.saved_tensors)  # autocast ended before
        turned = weight.flip(2, 3).transpose(0, 1)
        dw = None
        if ctx.needs_input_grad[0]:
            dw = conv2d_weight(g, turned.shape, torch.cat(inputs, 1), padding=ctx.padding)
            dw = dw.transpose(0, 1).flip(2, 3)
        dx = F.conv2d(g, turned, padding=ctx.padding).split([x.shape[1] for x in inputs], 1)
        return dw, *(channels_last(part) for part in dx)
