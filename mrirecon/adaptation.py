"""Fits a network to the very scan that it reconstructs, without a reference image."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mrirecon.arguments import check_at_least
from mrirecon.errors import ConfigError
from mrirecon.inference import read_batches, scan_batches
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.scan import Scan
from mrirecon.training.objectives.base import Objective
from mrirecon.training.objectives.measured_kspace import (
    predicted_kspace,
    reconstruct_with_maps,
    relative_error,
)
from mrirecon.training.objectives.ssdu import Ssdu
from mrirecon.types import Mask, Sample, Transform

VALIDATED = 8
"""Most slices on which the self-validation is computed, spread over the scan."""


@dataclass(frozen=True)
class AdaptationRecord:
    """What an adaptation did.

    Attributes:
        steps: Number of updates that were made.
        best: Number of updates after which the weights were kept.
        losses: Self-validation loss by the number of updates.
    """

    steps: int
    best: int
    losses: tuple[tuple[int, float], ...]

    def lines(self) -> tuple[str, ...]:
        """Tell it in words: a summary, then the self-validation loss step by step."""
        losses = dict(self.losses)
        summary = (
            f"fitted to this scan: best weights after {self.best} of {self.steps} steps, "
            f"self-validation loss {losses[0]:.4f} before, {losses[self.best]:.4f} then"
        )
        return (summary, *(f"step {step}: {loss:.6f}" for step, loss in self.losses))


@dataclass(frozen=True)
class _Part:
    """A batch without the samples that were set aside, these samples, and where they lie."""

    sample: Sample
    whole: Sample
    unseen: Mask


class Adaptation:
    r"""Trains a copy of a network on one scan and stops before it learns the noise.

    The measured positions are divided once into :math:`\Omega = \Gamma \cup \Omega'`. The objective
    trains on :math:`\Omega'` alone; after every ``interval`` updates, the network reconstructs from
    :math:`\Omega'` and the error at :math:`\Gamma` is the self-validation loss. The weights where
    it was least are kept, the starting ones included, and reconstruct from all of :math:`\Omega`.

    From random weights this is ZS-SSL (Yaman, Hosseini and Akçakaya, ICLR 2022), except that its
    divisions of :math:`\Omega'` are drawn anew in each step instead of from a fixed set. From
    trained weights it is test-time adaptation (Darestani, Liu and Heckel, ICML 2022).

    Args:
        objective: Self-supervised objective; None takes :class:`Ssdu`.
        validation: Share :math:`|\Gamma| / |\Omega|`, as far as the centre leaves as many.
        center: Central samples ``(h, w)`` that are never set aside; None keeps the whole
            calibration region.
        steps: Largest number of updates; in each, one slice in turn.
        interval: Number of updates between two validations.
        patience: Number of validations without improvement after which it stops.
        lr: Learning rate of Adam.
        seed: Seed of everything that is random.
        lines: Set aside whole lines of a line pattern instead of single samples. What is missing
            then are lines: a network that has learned to predict lines may get worse at them while
            it gets better at single samples, whose neighbours on the line it sees.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        validation: float = 0.2,
        center: tuple[int, int] | None = None,
        steps: int = 500,
        interval: int = 10,
        patience: int = 10,
        lr: float = 5e-4,
        seed: int = 0,
        lines: bool = False,
    ) -> None:
        self.objective = Ssdu() if objective is None else objective
        if self.objective.needs_target or self.objective.needs_some_targets:
            raise ValueError(
                f"objective: {type(self.objective).__name__} needs a reference image, which the "
                "scan to reconstruct does not have; choose a self-supervised one such as Ssdu"
            )
        if not 0 < validation < 1:
            raise ValueError(f"validation must lie between 0 and 1, got {validation}")
        check_at_least(1, steps=steps, interval=interval, patience=patience)
        if lr <= 0:
            raise ValueError(f"lr must be positive, got {lr}")
        self.partition = Ssdu(validation, center=center, density="uniform", lines=lines)
        self.steps, self.interval, self.patience = steps, interval, patience
        self.lr, self.seed = lr, seed

    def __call__(
        self,
        scan: Scan,
        reconstructor: Reconstructor,
        transform: Transform,
        *,
        device: torch.device | None = None,
        progress: bool = False,
    ) -> tuple[Reconstructor, AdaptationRecord]:
        """Return a network fitted to ``scan``; ``reconstructor`` itself stays as it is.

        All of the scan's k-space is held in memory.

        Args:
            scan: Scan to fit to; targets, if it has any, are not used.
            reconstructor: Reconstructor with the weights to start from.
            transform: Preprocessing, applied to every slice first.
            device: Torch device that computes; None takes that of the parameters.
            progress: Whether to show a progress bar.

        Raises:
            ConfigError: When there is nothing to adapt, or nothing to validate on.
        """
        check_adaptable(reconstructor)
        if device is None:
            device = next(reconstructor.parameters()).device
        network = copy.deepcopy(reconstructor).to(device)
        with _seeded(self.seed, device):
            batches = read_batches(scan, scan_batches(scan, network), network, transform)
            parts = [self._set_aside(sample, len(sample.key)) for sample in batches]
            record = self._fit(network, parts, device, progress, scan.header.name)
        return network.eval(), record

    def _set_aside(self, sample: Sample, count: int) -> _Part:
        whole = sample.replace(target=None, peak=None)
        seen, unseen = self.partition.split(whole)
        if not unseen.any() and whole.kspace.any():
            raise ConfigError(
                f"adaptation: no sample of {sample.key[0]} can be set aside for validation: all "
                f"{int(whole.mask.sum())} measured positions of {count} slice(s) belong to the "
                "fully sampled centre; give adaptation.center=[h,w] if it may be divided, too"
            )
        return _Part(seen, whole, unseen)

    def _fit(
        self,
        network: Reconstructor,
        parts: list[_Part],
        device: torch.device,
        progress: bool,
        name: str,
    ) -> AdaptationRecord:
        optimizer = torch.optim.Adam(
            [p for p in network.parameters() if p.requires_grad], lr=self.lr
        )
        chosen = _spread(parts)
        losses = [(0, self._validate(network, chosen, device))]
        best, kept = 0, _weights(network)
        step = 0
        with tqdm(total=self.steps, desc=f"adapting to {name}", unit="step", leave=False,
                  disable=not progress) as bar:  # fmt: skip
            for step, part in enumerate(_in_turn(parts, self.steps), start=1):
                network.train()
                optimizer.zero_grad()
                self.objective(network, part.sample.to(device)).backward()
                optimizer.step()
                bar.update()
                if step % self.interval and step < self.steps:
                    continue
                losses.append((step, self._validate(network, chosen, device)))
                bar.set_postfix_str(f"self-validation {losses[-1][1]:.4f}")
                if losses[-1][1] < dict(losses)[best]:
                    best, kept = step, _weights(network)
                if step - best >= self.patience * self.interval or math.isnan(losses[-1][1]):
                    break
        network.load_state_dict(kept)
        return AdaptationRecord(step, best, tuple(losses))

    def _validate(self, network: Reconstructor, parts: list[_Part], device: torch.device) -> float:
        """Return the mean error at the samples that were set aside."""
        network.eval()
        errors = []
        with torch.no_grad():
            for part in parts:
                sample = part.sample.to(device)
                predicted = predicted_kspace(sample, *reconstruct_with_maps(network, sample))
                kspace, unseen = part.whole.kspace.to(device), part.unseen.to(device)
                errors.append(relative_error(predicted, kspace, unseen).mean())
        return float(torch.stack(errors).mean())


def check_adaptable(reconstructor: Reconstructor) -> None:
    """Raise ConfigError when a method has nothing that could be fitted to a scan."""
    if not reconstructor.trainable:
        raise ConfigError(
            f"adaptation: {type(reconstructor).__name__} has no parameters to adapt; leave "
            "adaptation out, or choose a learned model"
        )


def _spread(parts: list[_Part]) -> list[_Part]:
    """Choose a few, evenly spread."""
    count = min(len(parts), VALIDATED)
    return [parts[(2 * i + 1) * len(parts) // (2 * count)] for i in range(count)]


def _in_turn(parts: list[_Part], steps: int) -> Iterator[_Part]:
    """Yield all in a random order, then in another one, until there were as many steps."""
    order: list[int] = []
    for _ in range(steps):
        order = order or torch.randperm(len(parts)).tolist()
        yield parts[order.pop()]


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Make what is random depend on the seed alone, and put the generators back afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
