"""How far an image can be relied on: the spread of several images, and calibrated bounds."""

from mrirecon.uncertainty.calibration import Calibration
from mrirecon.uncertainty.calibration_file import read_calibration, write_calibration
from mrirecon.uncertainty.ensemble import Ensemble
from mrirecon.uncertainty.readouts import Extent, Readout, VolumeAbove
from mrirecon.uncertainty.spread import Spread

__all__ = [
    "Calibration",
    "Ensemble",
    "Extent",
    "Readout",
    "Spread",
    "VolumeAbove",
    "read_calibration",
    "write_calibration",
]
