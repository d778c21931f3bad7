"""What a calibration holds for: one method exactly, and scans like those that it has seen."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mrirecon.errors import ConfigError
from mrirecon.plain_yaml import plain_yaml
from mrirecon.privacy import private_tree
from mrirecon.reconstruction import Provenance
from mrirecon.scan import ScanHeader

METHOD = ("model", "preprocessing", "partial_fourier", "fallback")
"""Parts of a configuration that decide what a method makes of the same samples."""
_CHECKSUM = re.compile(r" \(SHA-256 ([0-9a-f]{16})\)(?=\n|$)")
CLOSE = 0.05
"""Relative difference up to which accelerations and field strengths are alike."""


@dataclass(frozen=True)
class MethodFacts:
    """Tells one method from another.

    Attributes:
        name: Name of the reconstructor.
        weights: Checksums of its weights; empty for a classical method.
        settings: Settings of it and of its preprocessing, one ``key=value`` each; empty where
            nobody has told them, as for an object in Python.
    """

    name: str
    weights: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, checkpoint: str, config: str) -> "MethodFacts":
        """Return the facts of a method.

        Args:
            name: Name of the reconstructor.
            checkpoint: Files of weights with their checksums, a line each.
            config: Configuration that it was built from, as YAML; empty when there was none.
        """
        tree = plain_yaml(config) if config else {}
        nodes = {key: tree[key] for key in METHOD if isinstance(tree, dict) and tree.get(key)}
        known = nodes if "model" in nodes else {}
        settings = (" ".join(one.split()) for one in _flat(private_tree(known)))
        return cls(name, tuple(_CHECKSUM.findall(checkpoint)), tuple(sorted(settings)))

    def refuse_other(self, other: "MethodFacts", path: str) -> None:
        """Refuse a method that is not the calibrated one.

        Args:
            other: Facts of the method that is about to be used.
            path: Path of the calibration, for the message.

        Raises:
            ConfigError: Naming what differs.
        """
        told: list[str] = []
        if self.name != other.name:
            told = [f"was made for {self.name}, but this is {other.name}"]
        elif self.weights != other.weights:
            mine, yours = (", ".join(one.weights) or "none" for one in (self, other))
            told = [f"was made for the weights {mine} (SHA-256), but these are {yours}"]
        elif self.settings and other.settings:
            differing = sorted(set(self.settings) ^ set(other.settings))
            if differing:
                mine, yours = (
                    ", ".join(one for one in differing if one in known.settings)[:300] or "nothing"
                    for known in (self, other)
                )
                told = [f"was made with {mine}, but here is {yours}"]
        if told:
            raise ConfigError(
                f"calibration: {path} {told[0]}; its bounds hold for one method only: calibrate "
                "this one with `mrirecon calibrate`, or leave them out with calibration=null"
            )


def _flat(node: Any, key: str = "") -> Iterable[str]:
    if isinstance(node, dict):
        for name, child in node.items():
            yield from _flat(child, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _flat(child, f"{key}.{number}")
    else:
        yield f"{key}={node}"


@dataclass(frozen=True)
class ScanFacts:
    """What is known of one scan as it was used.

    Attributes:
        acceleration: All positions of the k-space grid divided by the used ones.
        pattern: Pattern of the used samples in words, without its numbers.
        acs: Lines of the fully sampled centre along phase encoding.
        field_strength: Field strength in T; 0 where the file does not tell.
        contrast: Name of the protocol; None where the file does not tell.
        vendor: Manufacturer; None likewise.
    """

    acceleration: float
    pattern: str
    acs: int
    field_strength: float = 0.0
    contrast: str | None = None
    vendor: str | None = None

    @classmethod
    def of(cls, made: Provenance, header: ScanHeader) -> "ScanFacts":
        """Return the facts of a scan from what its images tell."""
        return cls(
            made.acceleration,
            re.sub(r"\d+(\.\d+)?", "N", made.pattern) or "unknown",
            made.acs[1],
            header.sequence.field_strength or 0.0,
            header.acquisition.strip() or None,
            header.vendor.strip() or None,
        )


def differences(found: ScanFacts, known: Sequence[ScanFacts]) -> list[str]:
    """Tell in which facts a scan is unlike all that were calibrated on, a clause each."""
    told = []
    least, most = (f(one.acceleration for one in known) for f in (min, max))
    if not least * (1 - CLOSE) <= found.acceleration <= most * (1 + CLOSE):
        told.append(f"R = {found.acceleration:.2f} instead of {_range(least, most)}")
    if found.pattern not in {one.pattern for one in known}:
        told.append(f"another pattern of samples ({found.pattern})")
    if found.acs < (1 - CLOSE) * min(one.acs for one in known):
        told.append(f"a centre of {found.acs} lines instead of {min(one.acs for one in known)}")
    fields = [one.field_strength for one in known if one.field_strength]
    near = [abs(found.field_strength / one - 1) <= CLOSE for one in fields]
    if found.field_strength and fields and not any(near):
        told.append(f"{found.field_strength:g} T instead of {_range(min(fields), max(fields))} T")
    for name in ("contrast", "vendor"):
        mine, others = getattr(found, name), {getattr(one, name) for one in known} - {None}
        if mine is not None and others and mine not in others:
            told.append(f"{name} {mine} instead of {' or '.join(sorted(others)[:3])}")
    return told


def _range(low: float, high: float) -> str:
    return f"{low:.3g}" if high < low * (1 + CLOSE) else f"{low:.3g} to {high:.3g}"
