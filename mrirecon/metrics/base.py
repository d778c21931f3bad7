"""What a metric is: it compares a volume with its reference, and says how its values are read."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mrirecon.errors import ShapeError

Volume = Float[Tensor, "slice y x"]
Given = Volume | Float[np.ndarray, "slice y x"]
Slices = Float[Tensor, "b y x"]
Where = Bool[Tensor, "slice y x"]
Peak = Literal["reference", "both"]

PIXELS = 2**17
"""Compared at a time, so that they stay in the cache and memory does not grow with the volume."""
DEEP = 8
"""Slices at a time where windows reach across slices, so that few are averaged twice."""


@dataclass(frozen=True)
class MetricInfo:
    """How the values of a metric are written and read.

    Attributes:
        name: Name in settings, tables and files.
        title: Name in texts for people.
        unit: Unit of the values; empty for pure numbers.
        digits: Decimal places that are worth writing.
        higher_is_better: Whether better images have higher values; None when nobody knows.
        meaning: Words about the scale, for an axis.
    """

    name: str
    title: str
    unit: str = ""
    digits: int = 4
    higher_is_better: bool | None = None
    meaning: str = ""

    @property
    def heading(self) -> str:
        """Title with the unit."""
        return f"{self.title} / {self.unit}" if self.unit else self.title

    def text(self, value: float, sign: bool = False) -> str:
        """Write a value with the digits that it is worth."""
        return f"{value:{'+' if sign else ''}.{self.digits}f}"


class Metric(ABC):
    """Compares a magnitude volume ``slice y x`` with its reference; both keep their units.

    What is per slice and what per volume, the window and the data range are arguments of the
    metric or said in its description. Computed in double precision.

    Attributes:
        compares: What the volumes hold: magnitudes, or velocities in cm/s.
    """

    compares: ClassVar[Literal["magnitude", "velocity"]] = "magnitude"

    @property
    @abstractmethod
    def info(self) -> MetricInfo:
        """How the values are written and read."""

    def __call__(self, image: Given, reference: Given, where: Where | None = None) -> float:
        """Return the value of a volume.

        Args:
            image: Volume to compare, a tensor or an array.
            reference: Volume that it should be.
            where: Voxels that count; None for all. Windows count by their centre. The data range
                stays that of the whole reference.

        Raises:
            ShapeError: When the shapes differ, the images are too small, or no voxel counts.
        """
        image, reference = torch.as_tensor(image), torch.as_tensor(reference)
        checked(image, reference, where)
        return float(self._value(image.double(), reference.double(), where))

    @abstractmethod
    def _value(
        self, image: Volume, reference: Volume, where: Where | None
    ) -> Float[Tensor, ""]: ...


class SliceMetric(Metric):
    """A metric that is the mean over slices; slices in which no voxel counts are left out."""

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        self._refuse_small(tuple(image.shape))
        peak, reach = self._peak(image, reference), self._reach()
        together = max(PIXELS // image[0].numel(), DEEP if reach else 1)
        values, counted = [], []
        for start in range(reach, len(image) - reach, together):
            stop = min(start + together, len(image) - reach)
            part = slice(start - reach, stop + reach)
            weights = None if where is None else where[start:stop].double()
            found, counts = self._slices(image[part], reference[part], peak, weights)
            values.append(found)
            counted.append(counts)
        chosen = torch.cat(values)[torch.cat(counted)]
        if not len(chosen):
            raise ShapeError(
                f"{self.info.title} is not defined: no window of it lies in the region and in the "
                "image; take a larger region, or leave this metric out"
            )
        return chosen.mean()

    @abstractmethod
    def _slices(
        self,
        image: Slices,
        reference: Slices,
        peak: Float[Tensor, ""],
        where: Float[Tensor, "c y x"] | None,
    ) -> tuple[Float[Tensor, " c"], Bool[Tensor, " c"]]:
        """Return the value of every slice, and whether it has one."""

    def _peak(self, image: Volume, reference: Volume) -> Float[Tensor, ""]:  # noqa: ARG002
        """Return the data range of the volume."""
        return reference.max()

    def _smallest(self) -> int:
        """Return the pixels that an image must have along each side."""
        return 1

    def _reach(self) -> int:
        """Return the slices on each side that a window reaches; those at the ends have no value."""
        return 0

    def _refuse_small(self, shape: tuple[int, ...]) -> None:
        slices, y, x = shape
        least, deep = self._smallest(), 2 * self._reach() + 1
        if min(y, x) < least or slices < deep:
            more = f" and {deep} slices" if deep > 1 else ""
            found = f" and {slices} slices" if deep > 1 else ""
            raise ShapeError(
                f"{self.info.title} needs images of at least {least} x {least} pixels{more}, "
                f"got {y} x {x}{found}"
            )


def checked(image: Tensor, reference: Tensor, where: Tensor | None = None) -> None:
    """Refuse what cannot be compared.

    Raises:
        ShapeError: When the shapes differ, or no voxel counts.
    """
    if image.shape != reference.shape:
        raise ShapeError(
            f"the image {tuple(image.shape)} and its reference {tuple(reference.shape)} "
            "must have the same shape (slice, y, x)"
        )
    if where is not None and where.shape != reference.shape:
        raise ShapeError(
            f"the region {tuple(where.shape)} must have the shape {tuple(reference.shape)} of the "
            "reference"
        )
    if where is not None and not where.any():
        raise ShapeError("the region holds no voxel")


def data_range(image: Tensor, reference: Tensor, peak: Peak) -> Float[Tensor, ""]:
    """Return the data range of a volume.

    Args:
        image: Volume to compare.
        reference: Volume that it should be.
        peak: ``reference`` for the maximum of the reference, or ``both`` for the range that both
            volumes span together.
    """
    if peak == "reference":
        return reference.max()
    return torch.maximum(image.max(), reference.max()) - torch.minimum(image.min(), reference.min())


def mean_of_maps(
    maps: Slices, where: Slices | None
) -> tuple[Float[Tensor, " b"], Bool[Tensor, " b"]]:
    """Average maps over the pixels that count.

    Returns:
        The mean of every slice, and whether anything counts in it.
    """
    if where is None:
        return maps.mean((-2, -1)), maps.new_ones(len(maps), dtype=torch.bool)
    weight = where.sum((-2, -1))
    return (maps * where).sum((-2, -1)) / weight.clamp_min(1e-30), weight > 0
