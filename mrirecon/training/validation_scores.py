"""Scores of validation: of volumes, as ``evaluate`` computes them, and of the loss."""

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, distributed

from mrirecon.errors import MriReconError
from mrirecon.image import center_crop
from mrirecon.metrics import METRICS
from mrirecon.types import Image, Sample

T = TypeVar("T")
AHEAD = 2
"""Volumes that may wait for their scores; the validation waits before it adds one more."""


@dataclass
class VolumeScores:
    """Scores volumes one by one, beside the validation, while their slices arrive in order.

    A thread of its own computes the scores: a network that runs on a GPU, or on another core, need
    not wait for them. At most :data:`AHEAD` volumes wait, and one arrives.

    Attributes:
        scores: Value of each metric by its name, for every volume that was scored so far.
        empty: Number of volumes whose reference is zero, against which nothing can be scored.
    """

    scores: list[dict[str, float]] = field(default_factory=list)
    empty: int = 0
    _name: str | None = None
    _slices: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    _waiting: deque[Future[dict[str, float] | None]] = field(default_factory=deque)
    _thread: ThreadPoolExecutor | None = None

    def add(self, sample: Sample, images: Image, kept: slice | None = None) -> None:
        """Take a batch of reconstructions, in the units of ``sample``, or the ``kept`` of them.

        Raises:
            MriReconError: When an earlier volume holds values that are not finite.
        """
        for name, image, target in [*_members(sample, images)][kept or slice(None)]:
            if name != self._name:
                self._finish()
                self._name = name
            self._slices.append((image, target))

    def mean(self) -> dict[str, float]:
        """Finish the last volume, return the mean over all processes' volumes and start again.

        The sum is rounded once, so the mean does not depend on who scored which volume.

        Raises:
            MriReconError: When no volume can be scored, or one holds values that are not finite.
        """
        self._finish()
        self._await(0)
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        scores, self.scores, self._name = _of_all_processes(self.scores), [], None
        empty, self.empty = sum(_of_all_processes([self.empty])), 0
        if empty and not scores:
            raise MriReconError(
                f"validation: the references of all {empty} volumes are zero everywhere, so that "
                "nothing can be scored; check data.val"
            )
        return {
            name: math.fsum(s[name] for s in scores) / len(scores) for name in METRICS if scores
        }

    def _finish(self) -> None:
        """Have the volume scored whose slices have arrived."""
        if not self._slices:
            return
        slices, self._slices = self._slices, []
        self._thread = self._thread or ThreadPoolExecutor(1, "scores")
        self._waiting.append(self._thread.submit(_scored, str(self._name), slices))
        self._await(AHEAD)

    def _await(self, left: int) -> None:
        """Take the scores of volumes, in their order, until no more than ``left`` wait."""
        while len(self._waiting) > left:
            scores = self._waiting.popleft().result()
            if scores is None:
                self.empty += 1
            else:
                self.scores.append(scores)


@torch.inference_mode()
def _scored(name: str, slices: list[tuple[Tensor, Tensor]]) -> dict[str, float] | None:
    """Return the value of each metric, None against an empty volume: no metric is defined then."""
    image, reference = (torch.stack(v) for v in zip(*slices, strict=True))
    if not reference.any():
        return None
    scores = {n: metric(image, reference) for n, metric in METRICS.items()}
    if math.isnan(sum(scores.values())):
        which = "reference" if not reference.isfinite().all() else "reconstruction"
        raise MriReconError(
            f"validation: the {which} of {name} holds values that are not finite, so that "
            "it has no scores and no checkpoint can be chosen by them; look at that file "
            "(mrirecon inspect), or leave it out. Checkpoints written before are kept."
        )
    return scores


@dataclass
class MeanLoss:
    """The mean over slices of a loss that comes batch by batch."""

    losses: list[tuple[float, int]] = field(default_factory=list)

    def add(self, loss: Tensor, members: int) -> None:
        """Take the mean loss of a batch."""
        self.losses.append((float(loss), members))

    def mean(self) -> float | None:
        """Return the mean over all processes' slices, None without any, and start again."""
        losses, self.losses = _of_all_processes(self.losses), []
        if not losses:
            return None
        mean = math.fsum(loss * n for loss, n in losses) / sum(n for _, n in losses)
        if not math.isfinite(mean):
            raise MriReconError(
                "validation: the loss is not finite, so that no checkpoint can be chosen by it; "
                "look at the files of data.val. Checkpoints written before are kept."
            )
        return mean


def _of_all_processes(scores: list[T]) -> list[T]:
    if not (distributed.is_available() and distributed.is_initialized()):
        return scores
    gathered: list[list[T]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(gathered, scores)
    return list(chain.from_iterable(gathered))


def _members(sample: Sample, images: Image) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield the volume, image and reference of each slice; one transfer from a GPU for them all."""
    assert sample.target is not None
    magnitudes = center_crop(images, sample.target.shape[-2:]).abs().float()
    scales = images.new_ones(len(images)).real if sample.scale is None else sample.scale
    both = (torch.stack([magnitudes, sample.target], 1) * scales[:, None, None, None]).cpu()
    for (name, _), (image, target) in zip(sample.key, both, strict=True):
        yield name, image, target
