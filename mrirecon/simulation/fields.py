"""Smooth random functions of position: sums of plane waves with a band of wavelengths."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

Points = Float32[np.ndarray, "3 point"]
Values = Float32[np.ndarray, "point"]


@dataclass(frozen=True)
class RandomField:
    r"""A stationary random function :math:`f(p) = \sqrt{2/K}\sum_k \sin(k\cdot p + \phi_k)`.

    Mean zero, unit variance, defined everywhere without a grid.

    Attributes:
        waves: Wave vectors in rad/mm.
        phases: Phases in rad.
    """

    waves: Float32[np.ndarray, "wave 3"]
    phases: Float32[np.ndarray, "wave 1"]

    @classmethod
    def draw(
        cls, rng: np.random.Generator, count: int, shortest: float, longest: float
    ) -> "RandomField":
        """Draw ``count`` waves of isotropic direction and wavelengths in mm."""
        direction = rng.standard_normal((count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        wavelength = np.exp(rng.uniform(np.log(shortest), np.log(longest), (count, 1)))
        waves = (direction * 2 * np.pi / wavelength).astype(np.float32)
        return cls(waves, rng.uniform(0, 2 * np.pi, (count, 1)).astype(np.float32))

    def __call__(self, points: Points) -> Values:
        """Evaluate at ``points`` (mm)."""
        gain = float(np.sqrt(2 / len(self.waves)))
        return self._arguments(points).sin_().sum(dim=0).mul_(gain).numpy()

    def distance(self, points: Points) -> Values:
        r"""First-order distance to the nearest sheet :math:`f = 0`, :math:`|f|/|\nabla f|`, in mm.

        Zero sets of random fields are smooth, space-filling sheets: the shape of cortical sulci.
        """
        arguments = self._arguments(points)
        value = arguments.sin().sum(dim=0).abs_()
        slope = torch.from_numpy(self.waves).T @ arguments.cos_()
        return (value / slope.square_().sum(dim=0).add_(1e-6).sqrt_()).numpy()

    def _arguments(self, points: Points) -> Float32[Tensor, "wave point"]:
        phases, waves = torch.from_numpy(self.phases), torch.from_numpy(self.waves)
        return torch.addmm(phases, waves, torch.from_numpy(points))
