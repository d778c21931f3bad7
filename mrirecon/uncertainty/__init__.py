"""How far an image can be relied on: the spread of several images, and calibrated bounds."""

from mrirecon.uncertainty.ensemble import Ensemble
from mrirecon.uncertainty.spread import Spread

__all__ = ["Ensemble", "Spread"]
