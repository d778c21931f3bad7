"""Whether a segmenter finds in an image what it finds in the reference."""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.metrics.base import Metric, MetricInfo, Volume, Where
from mrirecon.users_code import described, users_code

Labels = Int64[Tensor, "slice y x"]
KEPT = 2
"""Volumes whose labels are kept: the image and its reference, for all metrics of them."""


class Segmenter:
    """Any function from a volume to labels, called once per volume and checked.

    Args:
        function: Callable that takes magnitudes ``slice y x`` as a float32 array and returns an
            array of integers of the same shape, 0 where there is nothing. Its attribute
            ``labels``, if it has one, maps labels to names.
    """

    def __init__(self, function: Any) -> None:
        if not callable(function):
            raise ConfigError(
                f"segmenter: {type(function).__name__} cannot be called; expected a function of an "
                "array (slice, y, x), or an object with __call__"
            )
        self.function = function
        self.labels = _names(getattr(function, "labels", {}))
        self._kept: OrderedDict[bytes, Labels] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict()}  # what was found stays in its process

    def __call__(self, volume: Volume) -> Labels:
        """Return the label of every voxel.

        Raises:
            ConfigError: When the function returns something else.
        """
        array = volume.detach().cpu().numpy().astype(np.float32)
        key = blake2b(repr(array.shape).encode() + array.tobytes(), digest_size=16).digest()
        if key not in self._kept:
            self._kept[key] = self._labels(array)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _labels(self, array: np.ndarray) -> Labels:
        with users_code("segmenter", self.function):
            found = self.function(array.copy())
            if isinstance(found, Tensor):
                found = found.detach().cpu().numpy()
            found = np.asarray(found)
        if found.shape != array.shape or found.dtype.kind not in "biu":
            raise ConfigError(
                f"segmenter: expected an array of integers of shape {array.shape} (slice, y, x), "
                f"got {found.dtype} of shape {found.shape}"
            )
        return torch.from_numpy(found.astype(np.int64))

    def __repr__(self) -> str:
        return described(self.function)


def _names(labels: Any) -> dict[int, str]:
    found: dict[int, str] | None
    try:
        found = {int(number): str(name) for number, name in labels.items()}
    except (AttributeError, TypeError, ValueError):
        found = None
    if found is None or len(set(found.values())) < len(labels):
        raise ConfigError(
            f"segmenter: labels is {labels!r}; expected numbers and their names, each once, "
            "{1: grey, ...}"
        )
    return found


@dataclass(frozen=True)
class _OfLabels(Metric):
    """What labels have in common.

    Args:
        segmenter: Segmenter of image and reference.
        label: Number of the label; None for the mean over all but 0 that either has.
    """

    segmenter: Segmenter
    label: int | None = None

    def _suffix(self) -> str:
        return "" if self.label is None else f"_{self.segmenter.labels.get(self.label, self.label)}"

    def _of(self) -> str:
        if self.label is None:
            return ""
        return f" {self.segmenter.labels.get(self.label, self.label)}"

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        found, truth = self.segmenter(image), self.segmenter(reference)
        counted = torch.ones_like(truth, dtype=torch.bool) if where is None else where.cpu()
        labels = torch.cat([found[counted], truth[counted]]).unique().tolist()
        wanted = [one for one in labels if one] if self.label is None else [self.label]
        values = [self._agreement((found == n) & counted, (truth == n) & counted) for n in wanted]
        return torch.tensor(values or [self._perfect], dtype=torch.float64).mean()

    @property
    def _perfect(self) -> float:
        raise NotImplementedError

    def _agreement(self, found: Where, truth: Where) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class Dice(_OfLabels):
    """Dice coefficient of a segmentation of the image and one of the reference, over a volume.

    Twice the voxels that have the label in both, divided by the sum of those that have it in each
    (Dice, Ecology 26:297, 1945); 1 where neither has it.
    """

    _perfect = 1.0  # type: ignore[assignment]

    @property
    def info(self) -> MetricInfo:
        """How the values are written and read."""
        about = "overlap of what is segmented in image and reference"
        return MetricInfo(f"dice{self._suffix()}", f"Dice{self._of()}", "", 4, True, about)

    def _agreement(self, found: Where, truth: Where) -> float:
        total = float(found.sum() + truth.sum())
        return 2 * float((found & truth).sum()) / total if total else 1.0


@dataclass(frozen=True)
class VolumeDifference(_OfLabels):
    """Difference between the volumes that are segmented, in percent of their mean.

    Without its sign, so that means over volumes do not hide it; 0 where neither has the label, 200
    where only one has.
    """

    _perfect = 0.0  # type: ignore[assignment]

    @property
    def info(self) -> MetricInfo:
        """How the values are written and read."""
        about = "difference of the segmented volumes"
        name, title = f"volume{self._suffix()}", f"volume{self._of()}"
        return MetricInfo(name, title, "%", 2, False, about)

    def _agreement(self, found: Where, truth: Where) -> float:
        a, b = float(found.sum()), float(truth.sum())
        return 200 * abs(a - b) / (a + b) if a + b else 0.0


def segmentation_metrics(function: Any, each_label: bool = False) -> dict[str, Metric]:
    """Return Dice coefficient and volume difference by name.

    Args:
        function: Function that a :class:`Segmenter` takes.
        each_label: Whether also those of each label that has a name are wanted, beside the means
            over labels.
    """
    segmenter = Segmenter(function)
    labels = (None, *(segmenter.labels if each_label else ()))
    found: list[Metric] = [Dice(segmenter, label) for label in labels]
    found += [VolumeDifference(segmenter, label) for label in labels]
    return {one.info.name: one for one in found}
