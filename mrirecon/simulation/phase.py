"""Smooth phase of the object: receive chain, flow and field inhomogeneity."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mrirecon.geometry import Vector

HEAD_AIR = ((0.0, -68.0, -28.0), (62.0, 8.0, -38.0), (-62.0, 8.0, -38.0))
"""Sinuses and ear canals, in LPS mm."""
TORSO_AIR = ((-110.0, 10.0, 5.0), (30.0, 5.0, -50.0), (25.0, 60.0, -10.0))
"""Borders of the lungs to the liver, to the stomach and to the heart, in LPS mm."""


@dataclass(frozen=True)
class ObjectPhase:
    r"""Phase in rad at LPS positions.

    :math:`\phi = \sum_{|\alpha| \le 2} c_\alpha\,(p/100)^\alpha + 2\pi\,t\,\Delta f(p)`, where the
    off-resonance :math:`\Delta f` has bumps beside air: above the sinuses and the ear canals of a
    head, below the lungs of a torso. It stays where it is when the object moves.

    Attributes:
        coefficients: Coefficients of 1, x, y, z and the six products of second order.
        sources: Centres of off-resonance in LPS mm.
        strengths: Phase that off-resonance has made there, in rad.
        reach: Width of each bump in mm.
    """

    coefficients: Float64[np.ndarray, "term"]
    sources: Float64[np.ndarray, "source 3"]
    strengths: Float64[np.ndarray, "source"]
    reach: Float64[np.ndarray, "source"]

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        dephasing_time: float,
        air: tuple[Vector, Vector, Vector] = HEAD_AIR,
    ) -> "ObjectPhase":
        """Draw a phase; off-resonance acts for ``dephasing_time`` (ms) around ``air`` (LPS mm)."""
        spread = np.array([np.pi] + [0.8] * 3 + [0.4] * 6)
        sources = np.array(air)
        hertz = rng.normal((70.0, 45.0, 45.0), 12.0)
        return cls(
            coefficients=spread * rng.normal(0.0, 1.0, 10),
            sources=sources + rng.normal(0.0, 4.0, (3, 3)),
            strengths=2 * np.pi * hertz * dephasing_time * 1e-3,
            reach=rng.uniform(22.0, 32.0, 3),
        )

    def __call__(self, points: Float64[np.ndarray, "3 point"]) -> Float64[np.ndarray, "point"]:
        """Evaluate at ``points`` (LPS mm)."""
        x, y, z = points / 100.0
        terms = np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, y * z, z * x])
        squared = np.square(points[:, None] - self.sources.T[:, :, None]).sum(axis=0)
        bumps = np.exp(-squared / (2 * np.square(self.reach)[:, None]))
        return np.einsum("t,tp->p", self.coefficients, terms) + np.einsum(
            "s,sp->p", self.strengths, bumps
        )
