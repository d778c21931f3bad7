"""The tissues of simulated people and their relaxation times at 1.5 T and 3 T."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mrirecon.errors import ConfigError

TISSUES = (
    "skin",
    "fat",
    "muscle",
    "bone",
    "marrow",
    "csf",
    "grey",
    "deep_grey",
    "pallidum",
    "white",
    "lesion",
    "edema",
    "tumour",
)
"""The tissues of the head, in the order of the rows of every array that has one entry for each; air
is what is missing."""

INDEX = {name: row for row, name in enumerate(TISSUES)}
BRAIN = tuple(INDEX[name] for name in TISSUES[TISSUES.index("csf") :])

TORSO = (
    "skin",
    "fat",
    "muscle",
    "bone",
    "marrow",
    "lung",
    "blood",
    "myocardium",
    "liver",
    "spleen",
)
"""The tissues of the torso, those of its organs last."""

# Rounded from Stanisz et al. (Magn Reson Med 54:507, 2005), Wansapura et al. (J Magn Reson Imaging
# 9:531, 1999), Rooney et al. (Magn Reson Med 57:308, 2007) and de Bazelaire et al. (Radiology
# 230:652, 2004); density relative to water. Pathology lies between oedema and fluid. The lung is
# mostly air, whose borders dephase gradient echoes within a millisecond or two.
#                density    T1 at 1.5, 3 T   T2 at 1.5, 3 T   T2* at 1.5, 3 T (ms)
_TABLE = {
    "skin": (0.62, (600.0, 800.0), (42.0, 36.0), (26.0, 18.0)),
    "fat": (0.75, (290.0, 370.0), (110.0, 95.0), (45.0, 30.0)),
    "muscle": (0.75, (1010.0, 1420.0), (44.0, 38.0), (32.0, 24.0)),
    "bone": (0.08, (250.0, 300.0), (2.0, 2.0), (1.0, 0.7)),
    "marrow": (0.45, (320.0, 400.0), (75.0, 65.0), (20.0, 12.0)),
    "csf": (1.00, (4200.0, 4300.0), (2100.0, 1900.0), (900.0, 600.0)),
    "grey": (0.82, (1050.0, 1380.0), (98.0, 95.0), (82.0, 60.0)),
    "deep_grey": (0.79, (920.0, 1220.0), (84.0, 78.0), (64.0, 45.0)),
    "pallidum": (0.74, (760.0, 990.0), (66.0, 56.0), (46.0, 27.0)),
    "white": (0.69, (640.0, 850.0), (76.0, 72.0), (66.0, 50.0)),
    "lesion": (0.84, (1150.0, 1450.0), (165.0, 150.0), (120.0, 85.0)),
    "edema": (0.86, (1250.0, 1550.0), (150.0, 135.0), (110.0, 80.0)),
    "tumour": (0.88, (1450.0, 1800.0), (210.0, 190.0), (120.0, 80.0)),
    "lung": (0.20, (1200.0, 1300.0), (40.0, 35.0), (1.6, 0.8)),
    "blood": (0.88, (1440.0, 1930.0), (290.0, 275.0), (200.0, 140.0)),
    "myocardium": (0.79, (1030.0, 1470.0), (50.0, 47.0), (36.0, 26.0)),
    "liver": (0.71, (580.0, 810.0), (46.0, 42.0), (28.0, 18.0)),
    "spleen": (0.79, (1060.0, 1330.0), (79.0, 61.0), (50.0, 32.0)),
}


@dataclass(frozen=True)
class TissueTable:
    """One value per tissue, in the order that was asked for.

    Attributes:
        density: Proton density relative to water.
        t1: Longitudinal relaxation time, ms.
        t2: Transverse relaxation time, ms.
        t2_star: Apparent transverse relaxation time of gradient echoes, ms.
    """

    density: Float64[np.ndarray, "tissue"]
    t1: Float64[np.ndarray, "tissue"]
    t2: Float64[np.ndarray, "tissue"]
    t2_star: Float64[np.ndarray, "tissue"]


def tissue_table(field_strength: float = 3.0, tissues: tuple[str, ...] = TISSUES) -> TissueTable:
    """Return the table of some tissues at ``field_strength`` 1.5 or 3 T.

    Raises:
        ConfigError: At any other field strength.
    """
    if field_strength not in (1.5, 3.0):
        raise ConfigError(f"field_strength is {field_strength} T; tissue times exist for 1.5 and 3")
    column = (1.5, 3.0).index(field_strength)
    rows = [_TABLE[name] for name in tissues]
    return TissueTable(
        density=np.array([row[0] for row in rows]),
        t1=np.array([row[1][column] for row in rows]),
        t2=np.array([row[2][column] for row in rows]),
        t2_star=np.array([row[3][column] for row in rows]),
    )
