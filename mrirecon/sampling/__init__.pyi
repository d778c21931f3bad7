from .base import (
    DrawnMask as DrawnMask,
    SamplingPattern as SamplingPattern,
    achieved_acceleration as achieved_acceleration,
    scan_rng as scan_rng,
)
from .cells import cells as cells
from .coverage import Coverage as Coverage
from .curriculum import Curriculum as Curriculum
from .kt_lines import (
    KtGaussian as KtGaussian,
    KtGolden as KtGolden,
    KtUniform as KtUniform,
)
from .kt_radial import KtRadial as KtRadial
from .lines import (
    EquispacedFractionLines as EquispacedFractionLines,
    EquispacedLines as EquispacedLines,
    MagicFractionLines as MagicFractionLines,
    MagicLines as MagicLines,
    RandomLines as RandomLines,
)
from .mixed import MixedPatterns as MixedPatterns
from .spokes import Spokes as Spokes
from .two_phase_encodings import (
    Gaussian2d as Gaussian2d,
    PoissonDisc as PoissonDisc,
)
