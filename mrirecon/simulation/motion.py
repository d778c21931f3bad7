r"""Motion of simulated people whose displacement is known everywhere and at any time.

Each motion tells where the tissue that is now at a point lies at rest,

.. math:: X(p, t) = p + u(p, t),

so that the moving object is :math:`\rho(X(p, t))` without any interpolation, on any grid. Points
are in LPS mm with the axis of the heart at x = y = 0, times in ms; at time 0 everything is at rest:
the end of diastole, and of expiration.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from mrirecon.arguments import check_not_negative
from mrirecon.errors import ConfigError
from mrirecon.simulation.fields import Points, Values

_MOST = 1.1
"""Largest contraction of a heart; with twice of it some points would be at one place."""
_SYSTOLE, _FILLED = 0.35, 0.8
"""When a heart is smallest, and when it is at rest again, in heart beats."""
_SPINE = (-45.0, 105.0)
"""Where the spine is, at x and y in mm, which does not breathe."""
_CAVITY = (-45.0, 35.0, 150.0, 100.0)
"""Centre and semi-axes along x and y, in mm, of the ribs, which hardly breathe."""


@dataclass(frozen=True)
class Motion(ABC):
    """A periodic motion.

    Attributes:
        period: Time after which it repeats itself, in ms.
        variation: Standard deviation, from subject to subject, of the period and of the extent of
            the motion, relative to them.
    """

    period: float
    variation: float = 0.0

    def __post_init__(self) -> None:
        check_not_negative(variation=self.variation)
        if not self.period > 0:
            raise ConfigError(f"period is {self.period}; expected a time in ms above zero")
        if self.variation > 0.3:
            raise ConfigError(f"variation is {self.variation}; expected at most 0.3")

    @abstractmethod
    def displacement(self, points: Points, time: float) -> Points:
        """Return how far from each point its tissue lies at rest, in mm."""

    @abstractmethod
    def of_subject(self, rng: np.random.Generator) -> "Motion":
        """Return the motion of one subject, as the variation allows."""

    def _factors(self, rng: np.random.Generator) -> tuple[float, float]:
        period, extent = np.exp(self.variation * rng.standard_normal(2).clip(-2, 2))
        return float(period), float(extent)


@dataclass(frozen=True)
class Breathing(Motion):
    r"""The organs go down with the diaphragm and come up again; spine, ribs and skin stay.

    The extent is :math:`\sin^{4}(\pi t/T)`: a breather rests at the end of expiration (Lujan et
    al., Med Phys 26:715, 1999, shifted in time). The displacement is the same for a whole organ
    and decays smoothly towards chest, pelvis, spine and wall.

    Attributes:
        amplitude: Largest way of the organs below the diaphragm towards the feet, in mm.
        anterior: Largest way of the same organs towards the front, in mm.
    """

    period: float = 4000.0
    amplitude: float = 15.0
    anterior: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(amplitude=self.amplitude, anterior=self.anterior)
        if self.amplitude > 40 or self.anterior > 8:
            raise ConfigError(
                f"amplitude is {self.amplitude} mm, anterior is {self.anterior} mm; expected at "
                "most 40 and 8 mm"
            )

    def extent(self, time: float) -> float:
        """Return the way of the organs relative to the largest one."""
        return float(np.sin(np.pi * time / self.period) ** 4)

    def displacement(self, points: Points, time: float) -> Points:
        # tissue that has gone down and to the front comes from above and behind
        way = np.array([0.0, self.anterior, self.amplitude], np.float32)
        return way[:, None] * np.float32(self.extent(time)) * _breathes(points)

    def of_subject(self, rng: np.random.Generator) -> "Breathing":
        period, extent = self._factors(rng)
        return replace(
            self,
            period=self.period * period,
            amplitude=min(self.amplitude * extent, 40.0),
            anterior=min(self.anterior * extent, 8.0),
        )


@dataclass(frozen=True)
class Beating(Motion):
    r"""The left ventricle contracts and twists about its axis, which goes along z.

    In polar coordinates around the axis, with :math:`g(r) = e^{-(r/w)^2}` and the phase
    :math:`s(t)` of the contraction in [0, 1],

    .. math:: R = r\,(1 + a\,s\,g(r)), \qquad \Theta = \theta - \tau\,s\,g(r).

    The cavity shrinks, and the wall, outside of :math:`w/\sqrt2`, thickens, as it does in people
    (:math:`a = 0.8`: by four tenths). Towards base and apex both decay.

    Attributes:
        contraction: Parameter :math:`a`; 0.8 empties half of the cavity.
        twist: Parameter :math:`\tau` in degrees.
        width: Parameter :math:`w` in mm, a little less than the radius of the cavity at rest.
    """

    period: float = 900.0
    contraction: float = 0.8
    twist: float = 15.0
    width: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(contraction=self.contraction)
        if self.contraction > _MOST:
            raise ConfigError(f"contraction is {self.contraction}; expected at most {_MOST}")
        if not self.width > 0:
            raise ConfigError(f"width is {self.width}; expected a length in mm above zero")

    def extent(self, time: float) -> float:
        """Return the contraction relative to the largest one."""
        beat = (time / self.period) % 1.0
        if beat < _SYSTOLE:
            return float(1 - np.cos(np.pi * beat / _SYSTOLE)) / 2
        relaxed = min((beat - _SYSTOLE) / (_FILLED - _SYSTOLE), 1.0)
        return float(1 + np.cos(np.pi * relaxed)) / 2

    def displacement(self, points: Points, time: float) -> Points:
        x, y, z = points
        squared = (np.square(x) + np.square(y)) / np.float32(self.width**2)
        share = np.float32(self.extent(time)) * np.exp(-squared - np.square(np.square(z / 60)))
        scale = 1 + np.float32(self.contraction) * share
        angle = -np.float32(np.deg2rad(self.twist)) * share
        c, s = scale * np.cos(angle) - 1, scale * np.sin(angle)
        return np.stack([c * x - s * y, s * x + c * y, np.zeros_like(z)])

    def of_subject(self, rng: np.random.Generator) -> "Beating":
        period, contraction = self._factors(rng)
        contraction = min(self.contraction * contraction, _MOST)
        return replace(self, period=self.period * period, contraction=contraction)


def _breathes(points: Points) -> Values:
    """Return how much of the largest displacement each point has."""
    x, y, z = points
    along = np.exp(-np.square((z + 60) / 120))
    spine = np.square(x - np.float32(_SPINE[0])) + np.square(y - np.float32(_SPINE[1]))
    away = 1 - np.exp(-spine / np.float32(2 * 28.0**2))
    a, b = np.float32(_CAVITY[2]), np.float32(_CAVITY[3])
    radius = np.hypot((x - np.float32(_CAVITY[0])) / a, (y - np.float32(_CAVITY[1])) / b)
    inside = np.clip((np.float32(0.98) - radius) / np.float32(0.28), 0, 1)
    smooth: Values = along * away * inside * inside * (3 - 2 * inside)
    return smooth
