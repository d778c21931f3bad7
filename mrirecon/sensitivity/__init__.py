"""Estimators of coil sensitivities; each maps a Sample to maps of unit root-sum-of-squares."""

from mrirecon.sensitivity.base import CalibrationError, SensitivityEstimator
from mrirecon.sensitivity.espirit import Espirit
from mrirecon.sensitivity.given import GivenMaps
from mrirecon.sensitivity.learned import LearnedMaps
from mrirecon.sensitivity.low_resolution import LowResolutionMaps

__all__ = [
    "CalibrationError",
    "Espirit",
    "GivenMaps",
    "LearnedMaps",
    "LowResolutionMaps",
    "SensitivityEstimator",
]
