"""Another contrast or orientation than nominally, of simulated subjects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mrirecon.errors import ConfigError
from mrirecon.robustness.case import Case, middle_planes, simulated_case
from mrirecon.robustness.shift import Level, Shift
from mrirecon.simulation import SimulatedScan, SimulationProtocol
from mrirecon.simulation.contrast import CONTRASTS


@dataclass(frozen=True)
class OtherContrast(Shift):
    """Scans the same simulated subject with another sequence; a measured one has only its own.

    Attributes:
        levels: Labels of contrasts, as ``contrasts=`` of ``mrirecon simulate`` has them.
    """

    levels: Sequence[Level] = ("t1", "flair", "gre")
    title: ClassVar[str] = "contrast"
    axis: ClassVar[str] = "contrast"
    about: ClassVar[str] = "The same simulated subject with another sequence; so is the reference."

    def neutral(self, case: Case) -> Level:
        return "" if case.simulated is None else case.simulated.protocol.contrast.label

    def unsuited(self, case: Case) -> str:
        return not_simulated(case)

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:  # noqa: ARG002
        if level not in CONTRASTS:
            known = ", ".join(CONTRASTS)
            raise ConfigError(f"{self.title}: there is no {level!r}; choose some of {known}")
        assert case.simulated is not None
        return scanned_again(
            case, replace(case.simulated.protocol, contrast=CONTRASTS[str(level)]), case.planes
        )


def not_simulated(case: Case) -> str:
    """Say that a case is no simulation; empty when it is one."""
    return "" if case.simulated else "a measured scan cannot be measured otherwise"


def scanned_again(case: Case, protocol: SimulationProtocol, planes: Sequence[int]) -> Case:
    """Scan the subject of a simulated case with another protocol.

    Args:
        case: Case of a simulated subject.
        protocol: Protocol of the other scan.
        planes: Numbers of its slices; none for the middle ones.
    """
    assert case.simulated is not None
    scan = SimulatedScan(case.simulated.subject, protocol)
    chosen = planes or middle_planes(scan, len(case.slices))
    again = simulated_case(scan, chosen, case.sampling)
    # masks and names stay those of the case that is compared with
    return replace(again, header=replace(again.header, name=case.header.name))
