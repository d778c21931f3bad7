"""Undersampling patterns."""

from mrirecon.sampling.base import DrawnMask, SamplingPattern, achieved_acceleration, scan_rng
from mrirecon.sampling.cells import cells
from mrirecon.sampling.coverage import Coverage
from mrirecon.sampling.curriculum import Curriculum
from mrirecon.sampling.kt_lines import KtGaussian, KtGolden, KtUniform
from mrirecon.sampling.kt_radial import KtRadial
from mrirecon.sampling.lines import (
    EquispacedFractionLines,
    EquispacedLines,
    MagicFractionLines,
    MagicLines,
    RandomLines,
)
from mrirecon.sampling.mixed import MixedPatterns
from mrirecon.sampling.spokes import Spokes
from mrirecon.sampling.two_phase_encodings import Gaussian2d, PoissonDisc

__all__ = [
    "Coverage",
    "Curriculum",
    "DrawnMask",
    "EquispacedFractionLines",
    "EquispacedLines",
    "Gaussian2d",
    "KtGaussian",
    "KtGolden",
    "KtRadial",
    "KtUniform",
    "MagicFractionLines",
    "MagicLines",
    "MixedPatterns",
    "PoissonDisc",
    "RandomLines",
    "SamplingPattern",
    "Spokes",
    "achieved_acceleration",
    "cells",
    "scan_rng",
]
