"""The contract of reconstruction methods, classical or learned."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Complex64
from torch import Tensor, nn

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.errors import ConfigError
from mrirecon.image import complex_image, interpolate, interpolated_rss, root_sum_of_squares
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import Solution
from mrirecon.types import Image, Sample

CoilImages = Complex64[Tensor, "*b coil h w"]
Along = Literal["slices", "frames", "cycle", "half_cycle"]
"""Along what the neighbours of a slice lie; the frames of a cycle have no ends."""


@dataclass(frozen=True)
class FrameWindows:
    """Which frames of a slice a joint method reconstructs together.

    Attributes:
        size: Largest number of frames that are held and reconstructed at once; None for all.
        overlap: Frames at either end of a window that only help the others, for they lack those
            beyond it; the next window brings them again. The ends of a series have none.
        in_time: Whether the frames follow one another in time, as those of one contrast and one set
            do; else all frames of a slice come together, in the order of the scan.

    Raises:
        ValueError: When a window has no frames beside those that overlap.
    """

    size: int | None = None
    overlap: int = 0
    in_time: bool = False

    def __post_init__(self) -> None:
        check_not_negative(overlap=self.overlap)
        if self.size is None:
            return
        check_at_least(1, window=self.size)
        if self.size <= 2 * self.overlap:
            raise ValueError(
                f"window must be more than twice the overlap of {self.overlap}, got {self.size}"
            )

    def of(self, frames: int) -> list[tuple[range, range]]:
        """Return for a series of so many frames those of each window, and which of them are kept.

        All windows have the same length, so the last one overlaps more.
        """
        size = frames if self.size is None else min(self.size, frames)
        step = max(1, size - 2 * self.overlap)  # of no effect where all come at once
        starts = [*range(0, frames - size, step), frames - size]
        ends = [*(start + size - self.overlap for start in starts[:-1]), frames]
        return [
            (range(start, start + size), range(first, end))
            for start, first, end in zip(starts, [0, *ends[:-1]], ends, strict=True)
        ]


class Reconstructor(nn.Module, ABC):
    """Maps a Sample to an image; ``train``, ``reconstruct`` and ``evaluate`` know nothing more.

    A classical method simply has no parameters. The image has the full grid ``h w`` and the
    units of ``sample.kspace``; interpolation, cropping and rescaling happen once, outside.

    Attributes:
        joint: The members of a batch are the frames of one slice and are reconstructed together;
            else each member is a problem of its own.
        windows: Frames that come together when it is joint.
        context: How many slices on either side it wants to see as ``sample.neighbors``; whoever
            reads a scan for it, in training or not, provides them.
        context_along: Whether these are adjacent slices, or adjacent frames of the same slice, with
            or without an end.
        weights: Name of the weights of this package that it began with; empty for none.
        patients: Pseudonyms of the patients that its weights have learned from, as far as these
            tell.
        training_told: Words on how long its weights have learned, and from how many patients; empty
            where they do not tell.
        seed: Seed of the random choices that it makes; of no effect when it makes none.
        needs_grid: Words on why k-space has to be Cartesian; empty where any trajectory will do. A
            part of a method, such as a layer of data consistency, may have such words as well.
    """

    joint: bool = False
    windows: FrameWindows = FrameWindows()
    context: int = 0
    context_along: Along = "slices"
    weights: str = ""
    patients: frozenset[str] = frozenset()
    training_told: str = ""
    seed: int | None = None
    needs_grid: str = "it was made for lines and points of that grid"

    def __call__(self, sample: Sample) -> Image:
        """Return the image, or refuse a Sample that the method is not made for.

        Raises:
            ConfigError: When it needs Cartesian k-space and gets other samples.
        """
        check_sampling(self, sample)
        image: Image = super().__call__(sample)
        return image

    @property
    def chooses(self) -> bool:
        """Whether it makes random choices, which another seed changes."""
        return False

    @abstractmethod
    def forward(self, sample: Sample) -> Image:
        """Return the complex image of every member of the batch."""

    def on_canvas(self, sample: Sample, canvas: tuple[int, int]) -> Image:
        """Return the image of every member with ``canvas`` pixels over the same field of view."""
        return interpolate(self(sample), canvas)

    def with_phase(self, sample: Sample) -> Image:
        """Return the image that is compared with measured k-space.

        It is that of :meth:`forward`, unless this one is a root-sum-of-squares and the method knows
        the coil-combined image, too.
        """
        image: Image = self(sample)
        return image

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        """Return what a user should know about how this Sample is treated, a sentence each."""
        parts = (m for m in self.children() if isinstance(m, Reconstructor | SensitivityEstimator))
        return tuple(remark for part in parts for remark in part.remarks(sample))

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train."""
        return any(parameter.requires_grad for parameter in self.parameters())


def grid_reason(method: nn.Module) -> str:
    """Return why a method, or a part of it, needs Cartesian k-space; empty when nothing does."""
    reasons = (str(getattr(part, "needs_grid", "")) for part in method.modules())
    return next(filter(None, reasons), "")


def check_sampling(method: Reconstructor, sample: Sample) -> None:
    """Refuse samples along a trajectory for a method that needs them on the grid.

    Raises:
        ConfigError: When it does.
    """
    if sample.cartesian:
        return
    reason = grid_reason(method)
    if reason:
        raise ConfigError(
            f"{type(method).__name__} needs Cartesian k-space, for {reason}; this scan was sampled "
            f"along a trajectory of {sample.kspace.shape[-1]} readouts: choose a method whose data "
            "term is that of an image (model=cg_sense, l1_wavelet, total_variation, modl, vsharp), "
            "or model=zero_filled for gridding"
        )


class CoilwiseReconstructor(Reconstructor):
    """A method that ends with an image of every coil, of which it takes the root-sum-of-squares.

    Attributes:
        rss: Whether it does; with another combination the image is complex.
    """

    rss: bool = True

    @abstractmethod
    def coil_images(self, sample: Sample) -> CoilImages:
        """Return the complex image of every coil."""

    def forward(self, sample: Sample) -> Image:
        """Return the root-sum-of-squares, as a complex image."""
        return complex_image(root_sum_of_squares(self.coil_images(sample)))

    def on_canvas(self, sample: Sample, canvas: tuple[int, int]) -> Image:
        """Return the combination of interpolated coil images, as a complex image."""
        check_sampling(self, sample)
        if not self.rss or tuple(canvas) == sample.grid:
            return super().on_canvas(sample, canvas)
        return complex_image(interpolated_rss(self.coil_images(sample), canvas))


class IterativeReconstructor(Reconstructor):
    """A method that minimizes an objective and can tell how that went."""

    @abstractmethod
    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the image with the number of steps and whether they sufficed.

        Args:
            sample: One slice or a batch of slices, as :meth:`forward` takes it.
            trace: Whether to record the objective after each step.
        """

    def forward(self, sample: Sample) -> Image:
        """Return the complex image; where no coil is sensitive, it is zero or nearly so."""
        return self.solve(sample).x
