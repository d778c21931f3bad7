"""Undersampling patterns."""

from mrirecon.sampling.base import DrawnMask, SamplingPattern, achieved_acceleration, scan_rng
from mrirecon.sampling.cells import cells
from mrirecon.sampling.coverage import Coverage
from mrirecon.sampling.curriculum import Curriculum
from mrirecon.sampling.lines import (
    EquispacedFractionLines,
    EquispacedLines,
    MagicFractionLines,
    MagicLines,
    RandomLines,
)
from mrirecon.sampling.mixed import MixedPatterns
from mrirecon.sampling.two_phase_encodings import Gaussian2d, PoissonDisc

__all__ = [
    "Coverage",
    "Curriculum",
    "DrawnMask",
    "EquispacedFractionLines",
    "EquispacedLines",
    "Gaussian2d",
    "MagicFractionLines",
    "MagicLines",
    "MixedPatterns",
    "PoissonDisc",
    "RandomLines",
    "SamplingPattern",
    "achieved_acceleration",
    "cells",
    "scan_rng",
]
