"""Estimators of coil sensitivities; each maps a Sample to maps of unit root-sum-of-squares."""

from mrirecon.sensitivity.base import CalibrationError, SensitivityEstimator
from mrirecon.sensitivity.cached import CachedMaps
from mrirecon.sensitivity.espirit import Espirit
from mrirecon.sensitivity.gaussian import GaussianMaps
from mrirecon.sensitivity.given import GivenMaps
from mrirecon.sensitivity.learned import LearnedMaps
from mrirecon.sensitivity.low_resolution import LowResolutionMaps
from mrirecon.sensitivity.nlinv import Nlinv
from mrirecon.sensitivity.phased import PhasedMaps
from mrirecon.sensitivity.residual import CalibrationFit, calibration_fit
from mrirecon.sensitivity.sigpy_maps import SigpyEspirit, SigpyJsense
from mrirecon.sensitivity.unet_maps import UnetMaps
from mrirecon.sensitivity.walsh import Walsh

__all__ = [
    "CachedMaps",
    "CalibrationError",
    "CalibrationFit",
    "Espirit",
    "GaussianMaps",
    "GivenMaps",
    "LearnedMaps",
    "LowResolutionMaps",
    "Nlinv",
    "PhasedMaps",
    "SensitivityEstimator",
    "SigpyEspirit",
    "SigpyJsense",
    "UnetMaps",
    "Walsh",
    "calibration_fit",
]
