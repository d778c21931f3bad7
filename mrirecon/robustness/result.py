"""What one method made of one case at one level."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mrirecon.robustness.shift import Level
from mrirecon.types import Volume

NOMINAL = "nominal"
"""Stands for the name of a shift where there is none."""


@dataclass(frozen=True)
class Result:
    """Scores of one method on one scan at one level of one shift.

    Attributes:
        shift: Name of the shift, :data:`NOMINAL` for none.
        level: Level of the shift.
        scan: Name of the scan.
        method: Name of the method.
        values: Value of every metric by its name; empty where the method failed.
        measured: What else was measured, by name.
        acceleration: All positions of k-space divided by those that were used.
        doubts: Warnings about the images, such as that the weights have learned from others.
        remark: Words on how it came about; empty for none.
        failure: Reason why there is no image; empty where there is one.
    """

    shift: str
    level: Level
    scan: str
    method: str
    values: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    acceleration: float = float("nan")
    doubts: tuple[str, ...] = ()
    remark: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Outcome:
    """Results of all methods on one scan at one level, with the images.

    Attributes:
        results: One for every method that was tried.
        reference: Reference of the images.
        images: Image of each method that made one.
    """

    results: tuple[Result, ...]
    reference: Volume
    images: Mapping[str, Volume]
