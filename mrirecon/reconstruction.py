"""What a reconstruction run yields: a volume, where it lies, and how it came about."""

from dataclasses import dataclass

from mrirecon.scan import ScanHeader
from mrirecon.types import Volume


@dataclass(frozen=True)
class Provenance:
    """How a volume was made, so that it can be made again.

    Attributes:
        source: Path of the raw file.
        method: Name of the reconstructor.
        command: The command line.
        config: The resolved configuration, as YAML.
        checkpoint: Path of the weights; empty for a classical method.
        acceleration: All positions of the k-space grid divided by the sampled ones.
        versions: Of mrirecon and of what computes for it, as ``name version``.
    """

    source: str
    method: str = ""
    command: str = ""
    config: str = ""
    checkpoint: str = ""
    acceleration: float = 1.0
    versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reconstruction:
    """A magnitude volume on the header's matrix, in the units of the raw file."""

    volume: Volume
    header: ScanHeader
    provenance: Provenance
