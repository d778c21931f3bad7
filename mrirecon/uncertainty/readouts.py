"""Numbers that somebody reads from a volume: for them intervals are calibrated, too."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from mrirecon.building import build_kept, suggest
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.geometry import Vector
from mrirecon.recipes import check_targets, plain_node
from mrirecon.reconstruction import Reconstruction
from mrirecon.types import Volume
from mrirecon.uncertainty.scales import PERCENTILE
from mrirecon.users_code import users_code

Read = Callable[[Volume, Vector | None], float]


@dataclass(frozen=True)
class Readout(ABC):
    """A number that is read from the magnitudes of a volume.

    Attributes:
        threshold: Part of the 99th percentile of the volume above which a voxel counts.
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must lie between 0 and 1, got {self.threshold}")

    @property
    @abstractmethod
    def unit(self) -> str:
        """Unit of the number."""

    @abstractmethod
    def __call__(self, volume: Volume, voxel: Vector | None) -> float:
        """Return the number.

        Args:
            volume: Magnitudes ``(slice, y, x)``.
            voxel: Spacing of pixels along y and x, and of slices, in mm.

        Raises:
            RawDataError: When voxel sizes are needed, and not known.
        """

    def marked(self, volume: Volume) -> Bool[np.ndarray, "slice y x"]:
        """Return the voxels above the threshold."""
        values = volume.numpy()
        return np.asarray(values > self.threshold * np.percentile(values, PERCENTILE))

    def known(self, voxel: Vector | None) -> Vector:
        """Return the size of a voxel as ``(slice, y, x)``.

        Raises:
            RawDataError: When it is not known.
        """
        if voxel is None:
            raise RawDataError(
                f"{type(self).__name__}: the file tells no voxel size, so nothing can be measured "
                "in mm; leave this readout out"
            )
        y, x, thickness = voxel
        return thickness, y, x


@dataclass(frozen=True)
class VolumeAbove(Readout):
    """Volume of all voxels above the threshold, in ml."""

    @property
    def unit(self) -> str:
        return "ml"

    def __call__(self, volume: Volume, voxel: Vector | None) -> float:
        return float(self.marked(volume).sum() * np.prod(self.known(voxel)) / 1000)


@dataclass(frozen=True)
class Extent(Readout):
    """Extent of the largest connected structure above the threshold along a principal axis, in mm.

    Attributes:
        axis: Number of the axis: 0 for the longest one (length), 1 for the next (width).
    """

    axis: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.axis not in (0, 1, 2):
            raise ValueError(f"axis must be 0, 1 or 2, got {self.axis}")

    @property
    def unit(self) -> str:
        return "mm"

    def __call__(self, volume: Volume, voxel: Vector | None) -> float:
        from scipy.ndimage import label  # takes its time, and few want it

        size = np.array(self.known(voxel))
        parts, count = label(self.marked(volume))
        if not count:
            return 0.0
        largest = np.bincount(parts.ravel())[1:].argmax() + 1
        points = np.argwhere(parts == largest) * size
        centred = points - points.mean(0)
        axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
        along = centred @ axes[:, self.axis]
        return float(np.ptp(along) + np.abs(axes[:, self.axis]) @ size)


READOUTS: dict[str, dict[str, Any]] = {
    "volume": {"_target_": "mrirecon.uncertainty.VolumeAbove"},
    "length": {"_target_": "mrirecon.uncertainty.Extent", "axis": 0},
    "width": {"_target_": "mrirecon.uncertainty.Extent", "axis": 1},
}


@dataclass(frozen=True)
class NamedReadout:
    """A number that is read from volumes, with the node that builds it again.

    Attributes:
        name: Name of it.
        node: Node of the configuration.
        read: Function of a volume and its voxel size in mm.
    """

    name: str
    node: Mapping[str, Any]
    read: Read

    @classmethod
    def of(cls, node: Mapping[str, Any], key: str) -> "NamedReadout":
        """Build a readout; its name is that of the class or function, as in ``Extent(axis=1)``.

        Args:
            node: Node, as plain containers.
            key: Place of the node, for messages.

        Raises:
            ConfigError: When there is no such class, or its arguments do not fit.
        """
        read = build_kept(dict(node), key)
        settings = ", ".join(f"{k}={value}" for k, value in node.items() if k[0] != "_")
        kind = str(node["_target_"]).rpartition(".")[2]
        return cls(f"{kind}({settings})" if settings else kind, node, read)

    @property
    def unit(self) -> str:
        """Unit of the number, as far as it tells."""
        return str(getattr(self.read, "unit", "")) or "a.u."

    def values(self, result: Reconstruction) -> list[float]:
        """Return the number of every frame of a series.

        Raises:
            ConfigError: When it is none.
        """
        voxel = result.header.voxel
        with users_code(f"readouts: {self.name}", self.read):
            found = [float(self.read(frame.clone(), voxel)) for frame in result.volume]
        if not all(map(math.isfinite, found)):
            raise ConfigError(f"readouts: {self.name} gives {found} for {result.header.name}")
        return found


def chosen_readouts(chosen: Sequence[Any]) -> list[NamedReadout]:
    """Return readouts by their names, or by nodes of a user.

    Args:
        chosen: Keys of :data:`READOUTS`, and nodes whose ``_target_`` is called with a volume
            ``(slice, y, x)`` and its voxel size and returns a number.

    Raises:
        ConfigError: When there is no such readout, or one is given twice.
    """
    named = []
    for number, one in enumerate(chosen):
        if isinstance(one, str) and one not in READOUTS:
            raise ConfigError(
                f"readouts: there is no {one}{suggest(one, list(READOUTS))} (one of your own is a "
                "node: readouts=[volume,{_target_: mypackage.MyReadout}])"
            )
        node = READOUTS[one] if isinstance(one, str) else one
        if not isinstance(node, Mapping) or "_target_" not in node:
            raise ConfigError(f"readouts: expected names or nodes with a _target_, got {one!r}")
        named.append(NamedReadout.of(node, f"readouts[{number}]"))
    names = [one.name for one in named]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"readouts: {twice} is given twice; leave one out")
    return named


def stored_readout(text: str, path: str, trust: Collection[str]) -> NamedReadout:
    """Build the readout of a calibration, which may have come from elsewhere.

    Args:
        text: Node as JSON.
        path: Path of the calibration, for messages.
        trust: Packages whose classes it may name.

    Raises:
        ConfigError: When it names what is not trusted.
    """
    key = f"calibration: {path}: readouts"
    try:
        node = plain_node(json.loads(text), key)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{key}: {str(error)[:200]}") from error
    check_targets(node, key, trust, {str(one["_target_"]) for one in READOUTS.values()})
    return NamedReadout.of(node, key)
