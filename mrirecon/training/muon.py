"""Muon: an optimizer whose updates of weight matrices are orthogonal."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from mrirecon.errors import ConfigError

# Raise small singular values fast; all end between 0.68 and 1.13 or so, which is near enough.
_QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    r"""Momentum, orthogonalized for every weight matrix; AdamW for biases, gains and step lengths.

    .. math:: B \leftarrow \mu B + G, \qquad W \leftarrow (1 - \eta\lambda) W
              - 0.2\,\eta\sqrt{\max(m, n)}\; U V^H, \quad U \Sigma V^H = G + \mu B

    (Jordan et al., "Muon", 2024.) The factor gives updates the size of AdamW's, so that one
    learning rate serves both and rates found for AdamW can be kept (Liu et al., arXiv:2502.16982).
    A kernel of a convolution counts as the matrix ``(out, in * kernel)``; what has a single row or
    column goes to AdamW.

    Args:
        params: Real parameters to train.
        lr: Learning rate :math:`\eta`.
        momentum: Momentum :math:`\mu`, the share of :math:`B` that stays.
        weight_decay: Weight decay :math:`\lambda`, of all parameters.
        iterations: Number of Newton-Schulz steps instead of a singular value decomposition.
        betas: Decay of AdamW's averages.
        eps: Small number in the denominator of AdamW.

    Raises:
        ConfigError: When no parameter is a matrix, as under FSDP, which flattens them.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        iterations: int = 5,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
    ) -> None:
        if lr < 0 or weight_decay < 0 or iterations < 1:
            raise ValueError(
                "lr and weight_decay must not be negative and iterations be positive, got "
                f"{lr}, {weight_decay}, {iterations}"
            )
        if not all(0 <= rate < 1 for rate in (momentum, *betas)):
            raise ValueError(f"momentum and betas must lie in [0, 1), got {momentum}, {betas}")
        params = list(params)
        if any(p.is_complex() for p in params):
            raise ConfigError("optimizer: Muon knows real parameters only; choose adamw")
        matrices = [p for p in params if _is_matrix(p)]
        if not matrices:
            raise ConfigError(
                "optimizer: Muon found no weight matrix (FSDP flattens them); choose adamw"
            )
        others = [p for p in params if not _is_matrix(p)]
        groups = [{"params": matrices, "orthogonal": True}]
        groups += [{"params": others, "orthogonal": False}] if others else []
        options = {
            "lr": lr, "momentum": momentum, "weight_decay": weight_decay,
            "iterations": iterations, "betas": betas, "eps": eps,
        }  # fmt: skip
        super().__init__(groups, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Update the parameters that have a gradient; returns what ``closure`` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                p.mul_(1 - group["lr"] * group["weight_decay"])
            (self._orthogonal if group["orthogonal"] else self._adam)(params, group)
        return loss

    def _orthogonal(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Matrices of one size are orthogonalized together: unrolled networks have many."""
        alike: dict[tuple[torch.Size, torch.device], list[tuple[Tensor, Tensor]]] = {}
        for p in params:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            momentum = state["momentum"].mul_(group["momentum"]).add_(p.grad)
            update = p.grad.add(momentum, alpha=group["momentum"]).flatten(1)
            alike.setdefault((update.shape, update.device), []).append((p, update))
        for (shape, _), members in alike.items():
            updates = orthogonalized(torch.stack([u for _, u in members]), group["iterations"])
            for (p, _), update in zip(members, updates, strict=True):
                p.sub_(update.view_as(p), alpha=0.2 * group["lr"] * max(shape) ** 0.5)

    def _adam(self, params: list[Tensor], group: dict[str, Any]) -> None:
        first, second = group["betas"]
        for p in params:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state |= {"step": 0, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
            state["step"] += 1
            mean = state["mean"].lerp_(p.grad, 1 - first)
            square = state["square"].lerp_(p.grad.square(), 1 - second)
            size = (square / (1 - second ** state["step"])).sqrt() + group["eps"]
            p.addcdiv_(mean, size, value=-group["lr"] / (1 - first ** state["step"]))


def orthogonalized(
    matrices: Float[Tensor, "*b m n"], iterations: int = 5
) -> Float[Tensor, "*b m n"]:
    r"""Return nearly :math:`U V^H` of each :math:`U \Sigma V^H`; zero stays zero.

    Newton-Schulz iteration of fifth order in float32 (Jordan et al., 2024).
    """
    a, b, c = _QUINTIC
    wide = matrices.shape[-1] >= matrices.shape[-2]
    x = (matrices if wide else matrices.mT).float()
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp_min(1e-20)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.mT).to(matrices.dtype)


def _is_matrix(p: Tensor) -> bool:
    return p.ndim > 1 and min(p.shape[0], p[0].numel()) > 1
