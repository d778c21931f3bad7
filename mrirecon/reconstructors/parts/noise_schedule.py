"""How strong denoiser and data are in each iteration, from noise and sampling of the scan."""

import math

import torch
from jaxtyping import Float32
from torch import Tensor, nn

FIRST = 0.12
"""Error of the first image, relative to the brightness of the object."""
PRIOR = 0.3
"""Weight of the denoised image against the data, in units of the ratio of their variances."""
PACE = 10.0
"""How much faster a schedule learns than the weights of a network."""
NOISE_RANGE = (1e-3, 0.5)
DENSITY_RANGE = (0.05, 1.0)


class NoiseSchedule(nn.Module):
    r"""Levels :math:`\sigma_k` that fall from the aliasing to the noise, and weights of the prior.

    .. math:: \sigma_k = \sigma_1^{1 - t_k}\,\sigma^{t_k}\,e^{a_k\cdot f}, \qquad
              \lambda_k = 0.3\,\tfrac{\sigma^2}{\sigma_k^2}\,e^{b_k\cdot f}, \qquad
              t_k = \tfrac{k - 1}{K - 1}

    with :math:`\sigma_1 = \max(0.12, \sigma)` and :math:`f` made of 1, the logarithm of the noise
    :math:`\sigma` and that of the sampling density. :math:`a_k` and :math:`b_k` are learned and
    zero before. Outside of the range of training, :math:`f` stays at its end.

    Args:
        iterations: Number of iterations :math:`K`.
    """

    def __init__(self, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.levels = nn.Parameter(torch.empty(iterations, 3))
        self.weights = nn.Parameter(torch.empty(iterations, 3))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin with the schedule of plug-and-play methods."""
        nn.init.zeros_(self.levels)
        nn.init.zeros_(self.weights)

    def forward(
        self, noise: Float32[Tensor, "*b 1 1"], density: Float32[Tensor, "*b 1 1"]
    ) -> tuple[Float32[Tensor, "*b k"], Float32[Tensor, "*b k"]]:
        r"""Return :math:`\sigma_k` and :math:`\lambda_k`.

        Args:
            noise: Standard deviation of each real component, of a fully sampled image in units of
                the brightness of the object.
            density: Part of k-space that was measured.
        """
        base = falling_levels(noise, self.iterations).log()
        noise, density = noise[..., 0].float(), density[..., 0].float()
        features = torch.stack(
            [torch.ones_like(noise), _place(noise, NOISE_RANGE), _place(density, DENSITY_RANGE)], -1
        )
        levels = base + PACE * (features * self.levels).sum(-1)
        weights = 2 * (noise.log() - levels) + PACE * (features * self.weights).sum(-1)
        return levels.exp(), PRIOR * weights.exp()


def falling_levels(last: Float32[Tensor, "*b 1 1"], iterations: int) -> Float32[Tensor, "*b k"]:
    """Return levels that fall geometrically from that of the first image to the last one."""
    last = last[..., 0].float()
    t = torch.linspace(0, 1, iterations, device=last.device) if iterations > 1 else 1.0
    return last.clamp_min(FIRST) ** (1 - t) * last**t


def _place(value: Tensor, extent: tuple[float, float]) -> Tensor:
    """Return where a logarithm lies in a range: -1 at the beginning, 1 at the end."""
    low, high = map(math.log, extent)
    return (2 * (value.log() - low) / (high - low) - 1).clamp(-1, 1)
