"""Means, intervals and paired tests over patients, and the tables of the quality study."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from quality_study import TRAINED_AT

from mrirecon.evaluation.statistics.intervals import bootstrap_interval
from mrirecon.evaluation.statistics.paired import SIGNIFICANT, Values, sign_flip_test

Scores = dict[str, dict[str, list[float]]]  # condition, metric: a value per patient, in order

ACCELERATIONS = ("R = 2", "R = 4", "R = 6", "R = 8")


@dataclass(frozen=True)
class Row:
    """One method, trained or tuned, and scored under every condition.

    Attributes:
        label: Its name in the tables.
        parameters: Trained numbers.
        setting: Learning rate, or weight of the wavelets; 0 where there is nothing to choose.
        tried: Mean SSIM over the validation patients for each setting.
        seconds: Of the training that is scored.
        scores: Over the test patients.
    """

    label: str
    parameters: int
    setting: float
    tried: dict[str, float]
    seconds: float
    scores: Scores

    def values(self, condition: str = TRAINED_AT, metric: str = "ssim") -> Values:
        """Return the scores of the patients."""
        return np.asarray(self.scores[condition][metric])


@dataclass(frozen=True)
class Estimate:
    """A mean over patients, its 95 % interval if there is one, and the test that it is zero."""

    mean: float
    interval: tuple[float, float] | None
    p: float

    def text(self, digits: int = 3, sign: bool = False) -> str:
        """Return ``mean [low, high]``."""
        plus = "+" if sign else ""
        mean = f"{self.mean:{plus}.{digits}f}"
        if self.interval is None:
            return mean
        low, high = self.interval
        return f"{mean} [{low:{plus}.{digits}f}, {high:{plus}.{digits}f}]"

    @property
    def positive(self) -> bool:
        """Whether all of the interval is."""
        return self.interval is not None and self.interval[0] > 0


def estimate(values: Values) -> Estimate:
    """Return the mean, its interval and the p-value of the sign-flip test that it is zero."""
    interval = bootstrap_interval(values, fewest=2)
    return Estimate(float(values.mean()), interval, sign_flip_test(values))


@dataclass(frozen=True)
class Claim:
    """An expectation: the mean SSIM of ``better`` exceeds that of ``worse``."""

    better: str
    worse: str

    def verdict(self, difference: Estimate) -> str:
        """Return what the data say; ``yes`` and ``no`` need a p-value below 0.05."""
        if difference.p >= SIGNIFICANT:
            return "undecided"
        return "yes" if difference.mean > 0 else "**no**"


UNROLLED = ("VarNet", "MoDL", "Adaptive-CS-Net", "vSHARP", "RecurrentVarNet")
CLAIMS = (
    Claim("L1-wavelet", "zero-filled"),
    Claim("U-Net", "zero-filled"),
    Claim("U-Net", "L1-wavelet"),
    *(Claim(name, "U-Net") for name in UNROLLED),
    *(Claim(name, "L1-wavelet") for name in UNROLLED),
    *(Claim(name, f"{name}, no data") for name in UNROLLED),
    Claim("VarNet, SSDU", "zero-filled"),
    Claim("VarNet", "VarNet, SSDU"),
    Claim("VarNet", "VarNet, plain maps"),
)


def main_table(rows: Sequence[Row]) -> str:
    """Every method under the condition that it was trained for."""
    head = ["method", "parameters", "setting", "SSIM [95 % CI]", "PSNR / dB", "NMSE", "training"]
    body = [
        [
            row.label,
            f"{row.parameters:,}",
            f"{row.setting:g}" if row.setting else "",
            estimate(row.values()).text(),
            f"{row.values(metric='psnr').mean():.2f}",
            f"{row.values(metric='nmse').mean():.4f}",
            f"{row.seconds:.0f} s" if row.seconds else "",
        ]
        for row in rows
    ]
    return markdown(head, body)


def claims_table(rows: Sequence[Row], claims: Sequence[Claim] = CLAIMS) -> str:
    """The expected orders, each with the paired difference of SSIM."""
    known = {row.label: row for row in rows}
    body = []
    for claim in claims:
        if claim.better in known and claim.worse in known:
            found = estimate(known[claim.better].values() - known[claim.worse].values())
            order = f"{claim.better} > {claim.worse}"
            body.append([order, found.text(sign=True), f"{found.p:.4f}", claim.verdict(found)])
    return markdown(["expected", "difference of SSIM [95 % CI]", "p", "holds"], body)


def acceleration_table(rows: Sequence[Row]) -> str:
    """SSIM at every acceleration, and whether each step up lowers it."""
    body = []
    for row in rows:
        known = [name for name in ACCELERATIONS if name in row.scores]
        falls = all(estimate(row.values(a) - row.values(b)).positive for a, b in pairwise(known))
        means = [f"{row.values(name).mean():.3f}" for name in known]
        body.append([row.label, *means, "yes" if falls else "**no**"])
    return markdown(["SSIM", *ACCELERATIONS, "falls"], body)


def drop_table(rows: Sequence[Row]) -> str:
    """Paired change of SSIM from the trained condition to every other, accelerations left out."""
    names = [name for name in rows[0].scores if name not in ACCELERATIONS and name != TRAINED_AT]
    body = [
        [row.label, *(estimate(row.values(n) - row.values()).text(sign=True) for n in names)]
        for row in rows
    ]
    return markdown(["change of SSIM", *names], body)


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
