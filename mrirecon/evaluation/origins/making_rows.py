"""How the images of each method were made, in words for a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mrirecon.evaluation.origins.makings import Makings, common
from mrirecon.evaluation.origins.origin import UNKNOWN, Origin

TITLES = (
    ("method", "reconstruction"), ("combination", "coil combination"), ("checkpoint", "weights"),
    ("training", "training"),
    ("maps", "coil sensitivities"), ("preprocessing", "preprocessing"), ("mask", "undersampling"),
    ("pattern", "samples"), ("acceleration", "acceleration R"), ("acs", "ACS"),
    ("whitened", "noise whitened"), ("seconds_per_plane", "time / plane"),
    ("memory", "peak memory"), ("versions", "versions"),
)  # fmt: skip
"""Facts of an origin, in the order of the table, and what they are called."""
OWN = {"mask": "samples of the scan", "checkpoint": "none", "combination": "of the method"}
"""What it means when a file of ours leaves a fact out."""


@dataclass(frozen=True)
class MakingRow:
    """One fact.

    Attributes:
        title: Name of the fact.
        values: What is known of each method, in the order of the methods.
    """

    title: str
    values: tuple[str, ...]


def making_rows(makings: Makings, methods: Sequence[str]) -> list[MakingRow]:
    """Return the facts of each method, those left out that no file tells.

    Args:
        makings: What the files tell.
        methods: Names of the methods, in the order of the columns.
    """
    origins = [list(makings.origins.get(method, {}).values()) for method in methods]
    facts = [common(own) if own else {} for own in origins]
    ours = [any(one.method for one in own) for own in origins]
    rows = []
    for name, title in TITLES:
        values = [_text(name, fact.get(name), own) for fact, own in zip(facts, ours, strict=True)]
        if any(value != UNKNOWN for value in values):
            rows.append(MakingRow(title, tuple(values)))
    return rows


def _text(name: str, value: Any, ours: bool) -> str:
    if not ours:  # a file of another program: false and zero are not told
        value = value or None
    if isinstance(value, dict):
        ends = _text(name, value["least"], ours), _text(name, value["largest"], ours)
        return " to ".join(ends)
    if value is None or (name != "whitened" and value == getattr(Origin(), name)):
        return OWN.get(name, UNKNOWN) if ours else UNKNOWN
    if name == "whitened" and isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    if not isinstance(value, float):
        return str(value)
    if name == "seconds_per_plane":
        return f"{value:.3g} s"
    return f"{value:.0f} MB" if name == "memory" else f"{value:.2f}"
