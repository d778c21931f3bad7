"""Attention among the pixels that regular undersampling folds onto one another."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least


class AliasingAttention(nn.Module):
    r"""Every pixel attends to those that lie multiples of a fold of the field of view away.

    .. math:: x + P\sum_s \operatorname{softmax}_s(q_r \cdot k_s / \sqrt{c})\,v_s, \qquad
              q, k, v = D\,W_{q,k,v}(\operatorname{norm} x + p)

    With an acceleration of :math:`R`, pixels :math:`r, s = 1..R` are a distance of :math:`w / R`
    apart along ``w`` (Giannakopoulos et al., Sci Rep 14:10991, 2024). :math:`W` and :math:`P` are
    1 x 1 convolutions, :math:`D` a dilated one that the three share, and :math:`p` tells where a
    pixel is. Where :math:`R` does not divide ``w``, both ends are reflected.

    Args:
        channels: Features of the input and of the output.
        acceleration: Acceleration :math:`R`, which is the size of a group.
    """

    def __init__(self, channels: int, acceleration: int = 4) -> None:
        super().__init__()
        check_at_least(1, channels=channels, acceleration=acceleration)
        self.acceleration = acceleration
        self.query, self.key, self.value, self.projection = (
            nn.Conv2d(channels, channels, 1) for _ in range(4)
        )
        self.dilated = nn.Conv2d(channels, channels, 3, padding=2, dilation=2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return features of the same size."""
        channels, h, w = x.shape[-3:]
        y = F.instance_norm(x) + positions(h, w, x.device)
        q, k, v = (
            self._groups(self.dilated(layer(y))) for layer in (self.query, self.key, self.value)
        )
        similarity = torch.einsum("bchrw,bchsw->bhwrs", q * channels**-0.5, k)
        seen = torch.einsum("bhwrs,bchsw->bchrw", similarity.softmax(-1), v).flatten(-2)
        left = self._padding(w)[0]
        return x + self.projection(seen[..., left : left + w])

    def _padding(self, w: int) -> tuple[int, int]:
        missing = -w % self.acceleration
        return missing - missing // 2, missing // 2

    def _groups(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h r n"]:
        padded = F.pad(x, [*self._padding(x.shape[-1]), 0, 0], "reflect")
        return padded.unflatten(-1, (self.acceleration, -1))


def positions(h: int, w: int, device: torch.device | None = None) -> Float[Tensor, "h w"]:
    r"""Return :math:`\sin(i\,10000^{-2\lfloor j/2 \rfloor / w})` of row i and column j.

    A transformer would have cosines beside the sines; the code of the paper cuts them off.
    """
    rows = torch.arange(h, device=device, dtype=torch.float32)[:, None]
    columns = torch.arange(w, device=device)
    return (rows * 10000.0 ** (-2 * (columns // 2) / w)).sin()
