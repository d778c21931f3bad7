"""Receive arrays of circular loops around head or torso, by the law of Biot and Savart."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float, Float64
from scipy.special import ellipe, ellipkm1

from mrirecon.errors import ConfigError

_MU0 = 4e2 * np.pi  # µT mm / A
_WIRE = 4.0  # mm: closer to the conductor the field is that of a thick wire


@dataclass(frozen=True)
class CoilArray:
    """Circular receive loops.

    Attributes:
        centers: Loop centres in LPS mm.
        normals: Unit vectors along the loops' axes.
        radii: Loop radii in mm.
    """

    centers: Float64[np.ndarray, "coil 3"]
    normals: Float64[np.ndarray, "coil 3"]
    radii: Float64[np.ndarray, "coil"]

    def __len__(self) -> int:
        return len(self.radii)

    def field(self, points: Float[np.ndarray, "point 3"]) -> Float64[np.ndarray, "coil point 3"]:
        """Magnetic field per unit current at ``points`` (LPS mm), in µT/A."""
        offset = points[None] - self.centers[:, None]
        axial = np.einsum("cpi,ci->cp", offset, self.normals)
        outward = offset - axial[..., None] * self.normals[:, None]
        radial = np.maximum(np.linalg.norm(outward, axis=-1), 1e-3)
        along, across = loop_field(self.radii[:, None], radial, axial)
        return along[..., None] * self.normals[:, None] + (across / radial)[..., None] * outward

    def sensitivity(
        self, points: Float[np.ndarray, "point 3"]
    ) -> Complex128[np.ndarray, "coil point"]:
        r"""Receive sensitivity at ``points`` (LPS mm), in µT/A, with the main field along S.

        By reciprocity a loop receives precessing magnetisation in proportion to
        :math:`B_x - iB_y` of the field that a unit current in it would make (Hoult, Concepts Magn
        Reson 12:173, 2000).
        """
        field = self.field(points)
        return field[..., 0] - 1j * field[..., 1]


def loop_field(
    radius: Float64[np.ndarray, "*#shape"],
    radial: Float64[np.ndarray, "*#shape"],
    axial: Float64[np.ndarray, "*#shape"],
) -> tuple[Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*shape"]]:
    r"""Axial and radial field of a circular current loop, in µT per ampere.

    .. math::
        B_z = \frac{\mu_0}{2\pi\sqrt{(a+\rho)^2+z^2}}
              \left[K(m) + \frac{a^2-\rho^2-z^2}{(a-\rho)^2+z^2}E(m)\right],\quad
        B_\rho = \frac{\mu_0\,z}{2\pi\rho\sqrt{(a+\rho)^2+z^2}}
              \left[-K(m) + \frac{a^2+\rho^2+z^2}{(a-\rho)^2+z^2}E(m)\right]

    with :math:`m = 4a\rho/((a+\rho)^2+z^2)` (Smythe, Static and Dynamic Electricity, 1950, §7.10).
    The distance to the conductor is bounded below by 4 mm.

    Args:
        radius: Loop radius a in mm.
        radial: Distance from the loop's axis in mm, above zero.
        axial: Distance from the loop's plane in mm.
    """
    far = (radius + radial) ** 2 + axial**2
    near = np.maximum((radius - radial) ** 2 + axial**2, _WIRE**2)
    first = ellipkm1(np.minimum(near / far, 1.0))
    second = ellipe(np.maximum(1.0 - near / far, 0.0))
    common = _MU0 / (2 * np.pi * np.sqrt(far))
    squares = radial**2 + axial**2
    along = common * (first + (radius**2 - squares) / near * second)
    across = common * axial / radial * ((radius**2 + squares) / near * second - first)
    return along, across


def head_array(coils: int, rng: np.random.Generator | None = None) -> CoilArray:
    """Arrange ``coils`` loops on a helmet around the head, in one to three rings.

    Neighbours in a ring overlap a little, as arrays that decouple geometrically do. With ``rng``
    the array is turned about S at random and its elements are displaced by some millimetres.

    Raises:
        ConfigError: When ``coils`` is not in 1..32.
    """
    counts, azimuth = _rings(coils, (8, 20))
    elevations = {1: (12.0,), 2: (-6.0, 30.0), 3: (-22.0, 8.0, 42.0)}[len(counts)]
    elevation = np.deg2rad(np.repeat(elevations, counts))
    spacing = np.concatenate([np.full(n, 2 * np.pi * 129.0 / max(n, 4)) for n in counts])
    if rng is not None:
        azimuth = azimuth + 2 * np.pi * rng.random() + rng.normal(0.0, 0.04, coils)
        elevation = elevation + rng.normal(0.0, 0.04, coils)
        spacing = spacing * rng.uniform(0.93, 1.05, coils)
    outward = np.stack(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ],
        axis=-1,
    )
    centers = outward * np.array([120.0, 138.0, 126.0]) + np.array([0.0, 0.0, 8.0])
    return CoilArray(centers, -outward, np.clip(0.56 * spacing, 30.0, 85.0))


def torso_array(coils: int, rng: np.random.Generator | None = None) -> CoilArray:
    """Arrange ``coils`` loops around the chest and the upper abdomen, in one to three rings.

    With ``rng`` the array is turned about S at random and its elements are displaced.

    Raises:
        ConfigError: When ``coils`` is not in 1..32.
    """
    counts, azimuth = _rings(coils, (4, 16))
    heights = {1: (-25.0,), 2: (-80.0, 30.0), 3: (-125.0, -25.0, 70.0)}[len(counts)]
    height = np.repeat(heights, counts)
    spacing = np.concatenate([np.full(n, 2 * np.pi * 165.0 / max(n, 4)) for n in counts])
    if rng is not None:
        azimuth = azimuth + 2 * np.pi * rng.random() + rng.normal(0.0, 0.04, coils)
        height = height + rng.normal(0.0, 6.0, coils)
        spacing = spacing * rng.uniform(0.93, 1.05, coils)
    outward = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(coils)], axis=-1)
    centers = outward * np.array([188.0, 142.0, 0.0]) + np.array([-45.0, 35.0, 0.0])
    centers[:, 2] = height
    return CoilArray(centers, -outward, np.clip(0.56 * spacing, 40.0, 95.0))


def _rings(coils: int, most: tuple[int, int]) -> tuple[list[int], Float64[np.ndarray, "coil"]]:
    """Return how many loops each ring has, and the angle of each loop about S.

    ``most`` tells how many loops one ring and two rings have at most; more make three.
    """
    if not 1 <= coils <= 32:
        raise ConfigError(f"coils is {coils}; a simulated array has 1 to 32 loops")
    rings = 1 + sum(coils > limit for limit in most)
    counts = [coils // rings + (ring < coils % rings) for ring in range(rings)]
    azimuth = np.concatenate(
        [2 * np.pi * (np.arange(n) + 0.5 * (ring % 2)) / n for ring, n in enumerate(counts)]
    )
    return counts, azimuth
