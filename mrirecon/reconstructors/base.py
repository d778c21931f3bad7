"""What every reconstruction method is, classical or learned."""

from abc import ABC, abstractmethod
from typing import Literal

from torch import nn

from mrirecon.solvers import Solution
from mrirecon.types import Image, Sample


class Reconstructor(nn.Module, ABC):
    """Maps a Sample to an image; ``train``, ``reconstruct`` and ``evaluate`` know nothing more.

    A classical method simply has no parameters. The image has the full grid ``h w`` and the
    units of ``sample.kspace``; interpolation, cropping and rescaling happen once, outside.

    Attributes:
        joint: The members of a batch are the frames of one slice and are reconstructed together;
            else each member is a problem of its own.
        context: How many slices on either side it wants to see as ``sample.neighbors``; whoever
            reads a scan for it, in training or not, provides them.
        context_along: Whether these are adjacent slices, or adjacent frames of the same slice.
    """

    joint: bool = False
    context: int = 0
    context_along: Literal["slices", "frames"] = "slices"

    @abstractmethod
    def forward(self, sample: Sample) -> Image:
        """Return the complex image of every member of the batch."""

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train."""
        return any(parameter.requires_grad for parameter in self.parameters())


class IterativeReconstructor(Reconstructor):
    """A method that minimizes an objective and can tell how that went."""

    @abstractmethod
    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the image with the number of steps and whether they sufficed.

        Args:
            sample: As for :meth:`forward`.
            trace: Whether to record the objective after each step.
        """

    def forward(self, sample: Sample) -> Image:
        """Return the complex image; where no coil is sensitive, it is zero or nearly so."""
        return self.solve(sample).x


def check_not_negative(**values: float) -> None:
    """Raise ValueError if a value is negative; for arguments of constructors."""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value}")
