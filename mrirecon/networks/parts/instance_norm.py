"""Instance normalization and leaky ReLU in one step that keeps half the activations."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-5


def normalized_leaky_relu_(
    x: Float[Tensor, "b c h w"], slope: float = 0.2
) -> Float[Tensor, "b c h w"]:
    r"""Write ``leaky_relu(instance_norm(x), slope)`` over ``x`` and return it.

    Hooks on whatever made ``x`` see the written values. In a compiled graph ``x`` stays.

    Both have an inverse given one number per feature map, so only the result is kept for the
    gradient: the next convolution keeps it anyway (Rota Bulò et al., CVPR 2018). Statistics are
    float32 whatever the type of ``x``; twice differentiable it is not.

    Args:
        x: Feature maps to normalize, made by an operation whose gradient does not need them.
        slope: Slope of the negative part, positive.
    """
    if torch.compiler.is_compiling():  # compilers of some versions mistake what is written over
        y = x.to(_wide(x))
        y = y - y.mean((-2, -1), keepdim=True)
        y = y * ((y * y).mean((-2, -1), keepdim=True) + EPS).rsqrt()
        return F.leaky_relu(y, slope).to(x.dtype)
    result: Tensor = _NormalizedLeakyRelu.apply(x, slope)
    return result


def _wide(x: Tensor) -> torch.dtype:
    return torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else x.dtype


class _NormalizedLeakyRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float) -> Tensor:
        # sums are pairwise, so two passes are as exact as Welford's one and several times faster
        y = x.to(_wide(x))
        y.sub_(y.mean((-2, -1), keepdim=True))
        deviation = ((y * y).mean((-2, -1), keepdim=True) + EPS).rsqrt()
        # the deviation is positive: it may be divided by after the ReLU
        F.leaky_relu_(y, slope).mul_(deviation)
        if y is not x:
            x.copy_(y)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x, deviation)
        ctx.slope, ctx.dtype = slope, x.dtype
        return x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        y, deviation = ctx.saved_tensors
        g, y = g.to(deviation.dtype), y.to(deviation.dtype)
        # the slope and its inverse cancel in the product of gradient and normalized value
        correlation = (g * y).mean((-2, -1), keepdim=True)
        dx = torch.ops.aten.leaky_relu_backward(g, y, ctx.slope, True)
        dx.sub_(dx.mean((-2, -1), keepdim=True))
        normalized = F.leaky_relu(y, 1 / ctx.slope)
        dx.addcmul_(normalized, correlation, value=-1).mul_(deviation)
        return dx.to(ctx.dtype), None
