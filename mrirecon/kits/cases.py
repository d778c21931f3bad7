"""The cases of a kit: scans, and the pattern of the samples of each that are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrirecon.building import build_node
from mrirecon.errors import ConfigError
from mrirecon.kits.kit import NamedKit, Simulated
from mrirecon.kits.manifest import scans_of_kit
from mrirecon.kits.patterns import pattern_node
from mrirecon.readers import open_scan
from mrirecon.sampling import SamplingPattern
from mrirecon.scan import Scan, ScanHeader
from mrirecon.simulation import Prescription, SimulatedScan, SimulationProtocol
from mrirecon.simulation.contrast import CONTRASTS


@dataclass(frozen=True, eq=False)
class KitCase:
    """A scan that every method reconstructs.

    Attributes:
        name: Name of the scan without its ending, with folders below that of the data set.
        header: What is known of the scan.
        sampling: Node of the pattern of the samples that are kept.
        file: Raw file; None for a simulated scan.
        folder: Folder of the data set; None likewise.
        simulated: Simulated scan; None for a file.
    """

    name: str
    header: ScanHeader
    sampling: Mapping[str, Any]
    file: Path | None = None
    folder: Path | None = None
    simulated: SimulatedScan | None = None

    def opened(self) -> Scan:
        """Return the scan.

        Raises:
            RawDataError: When the file cannot be read.
        """
        if self.file is None:
            assert self.simulated is not None
            return self.simulated
        return open_scan(self.file, folder=self.folder)


def cases_of(named: NamedKit, data: Path | None, subset: int | None = None) -> list[KitCase]:
    """Return the cases of a kit in their frozen order.

    Args:
        named: Kit with its name.
        data: Folder of the files; None for a kit that simulates its scans.
        subset: Number of cases from the first on; None for all.

    Raises:
        ConfigError: When the kit has no such cases.
        RawDataError: When the folder does not hold the files of the kit.
    """
    kit = named.kit
    if subset is not None and not 1 <= subset <= kit.cases:
        raise ConfigError(
            f"subset={subset}: the kit {named.name} has {kit.cases} cases; choose 1 to {kit.cases}"
        )
    if kit.files is None:
        if data is not None:
            raise ConfigError(f"data: the kit {named.name} simulates its scans; leave data= out")
        return _told_apart(
            [case for kind in kit.simulated for case in _simulated(named.name, kind)]
        )[:subset]
    if data is None:
        raise ConfigError(
            f"data is missing: data=FOLDER with {kit.files.title}; {kit.files.source}"
        )
    assert kit.sampling is not None
    node = _node(named.name, kit.sampling)
    return _told_apart([
        KitCase(_stem(scan.header), scan.header, node, scan.path, scan.folder)
        for scan in scans_of_kit(named, data, subset)
    ])  # fmt: skip


def _told_apart(cases: list[KitCase]) -> list[KitCase]:
    """Return cases, of which no two may write the same volume."""
    seen: set[str] = set()
    for case in cases:
        if case.name in seen:
            raise ConfigError(f"two cases are called {case.name}; give them names of their own")
        seen.add(case.name)
    return cases


def _node(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node of a pattern that can be built: before any case is made, it is."""
    node = pattern_node(told)
    build_node(dict(node), SamplingPattern, f"kit {name}: sampling")
    return node


def _simulated(name: str, kind: Simulated) -> list[KitCase]:
    node, (h, w) = _node(name, kind.sampling), kind.matrix
    found = []
    for subject in range(kind.first, kind.first + kind.count):
        contrast = kind.contrasts[subject % len(kind.contrasts)]
        if contrast not in CONTRASTS:
            raise ConfigError(f"contrasts: expected some of {', '.join(CONTRASTS)}, got {contrast}")
        protocol = SimulationProtocol(
            CONTRASTS[contrast], Prescription((h, w), slices=kind.slices), kind.coils, kind.snr
        )
        scan = SimulatedScan(subject, protocol)
        found.append(KitCase(_stem(scan.header), scan.header, node, simulated=scan))
    return found


def _stem(header: ScanHeader) -> str:
    return header.name.removesuffix(Path(header.name).suffix)
