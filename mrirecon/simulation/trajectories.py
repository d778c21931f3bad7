"""Trajectories of simulated scans: spokes and spiral arms, and how gradients miss them."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.sampling.trajectories import even_angles, golden_angles, radial, spiral

Places = Float32[Tensor, "sample readout 2"]


@dataclass(frozen=True)
class SimulatedTrajectory(ABC):
    """Places of the samples of each frame.

    Attributes:
        readouts: Spokes or arms of a frame.
        tiny: Number of the tiny golden angle by which each readout turns against the one before,
            from frame to frame, too; 1 is the golden angle itself. None spreads the readouts of
            a frame evenly, the same ones in all frames.
    """

    readouts: int = 64
    tiny: int | None = None

    def __post_init__(self) -> None:
        if self.readouts < 1 or (self.tiny is not None and self.tiny < 1):
            raise ConfigError(
                f"readouts is {self.readouts}, tiny is {self.tiny}; expected at least 1, and tiny "
                "at least 1 or none"
            )

    @property
    @abstractmethod
    def kind(self) -> str:
        """What a header of ISMRMRD calls it."""

    @abstractmethod
    def samples(self, matrix: int) -> int:
        """Return the samples of a readout for an image of ``matrix`` pixels."""

    @abstractmethod
    def oversampling(self, matrix: int) -> float:
        """Return how much finer than the Cartesian grid a readout is sampled."""

    @abstractmethod
    def places(self, matrix: int, frame: int = 0) -> Places:
        """Return where samples are meant to lie, in cycles per field of view along h and w.

        Args:
            matrix: Size of the image.
            frame: Number of the frame, from 0.
        """

    def measured_places(self, matrix: int, frame: int = 0) -> Places:
        """Return where samples lie in truth, as :meth:`places`."""
        return self.places(matrix, frame)

    def _angles(self, frame: int, turn: float) -> Float64[Tensor, "readout"]:
        """Return the angles of a frame's readouts, evenly over ``turn`` or by golden angles."""
        if self.tiny is None:
            return even_angles(self.readouts) * (turn / math.pi)
        return golden_angles(self.readouts, frame * self.readouts, self.tiny)


@dataclass(frozen=True)
class RadialTrajectory(SimulatedTrajectory):
    r"""Diameters of k-space.

    Attributes:
        finer: Samples of a diameter for each pixel of the image: readout oversampling.
        delays: Delays of the gradients along h and w, in samples of the readout, unknown to the
            reconstruction: a spoke along the unit vector :math:`n` is shifted by :math:`S n`
            with these on the diagonal of :math:`S` (Rosenzweig, Holme and Uecker, Magn Reson Med
            81:1898, 2019).
    """

    finer: int = 2
    delays: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.finer < 1 or not all(abs(delay) <= 16 for delay in self.delays):
            raise ConfigError(
                f"finer is {self.finer}, delays is {self.delays}; expected at least 1, and delays "
                "of at most 16 samples"
            )

    @property
    def kind(self) -> str:
        return "radial" if self.tiny is None else "goldenangle"

    def samples(self, matrix: int) -> int:
        return self.finer * matrix

    def oversampling(self, matrix: int) -> float:  # noqa: ARG002 - that of spirals depends on it
        return float(self.finer)

    def places(self, matrix: int, frame: int = 0) -> Places:
        angles = self._angles(frame, math.pi)
        return radial(angles, self.samples(matrix), matrix).transpose(0, 1)

    def measured_places(self, matrix: int, frame: int = 0) -> Places:
        meant = self.places(matrix, frame)
        angles = self._angles(frame, math.pi)
        along = torch.stack([angles.cos(), angles.sin()], -1)
        shift = along * torch.tensor(self.delays, dtype=along.dtype) / self.finer
        return meant + shift.float()


@dataclass(frozen=True)
class SpiralTrajectory(SimulatedTrajectory):
    """Archimedean spirals from the centre of k-space to its edge.

    Attributes:
        arms: Arms that sample k-space fully; None takes the number of readouts.
    """

    readouts: int = 16
    arms: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.arms is not None and self.arms < 1:
            raise ConfigError(f"arms is {self.arms}; expected at least 1, or none")

    @property
    def kind(self) -> str:
        return "spiral"

    def samples(self, matrix: int) -> int:
        arms = self.readouts if self.arms is None else self.arms
        # a full disc of k-space, each sample one cycle per field of view away from the others
        return max(8, math.ceil(1.25 * math.pi / 4 * matrix**2 / arms))

    def oversampling(self, matrix: int) -> float:  # noqa: ARG002 - that of spokes, too
        return 1.25

    def places(self, matrix: int, frame: int = 0) -> Places:
        angles = self._angles(frame, 2 * math.pi)
        arms = self.readouts if self.arms is None else self.arms
        return spiral(angles, self.samples(matrix), matrix, arms).transpose(0, 1)
