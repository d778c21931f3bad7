"""What weights have learned from that go on learning: what they knew, and the new scans."""

from dataclasses import asdict
from typing import Any

import torch

from mrirecon.data.dataset import SliceDataset
from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.denoising import DenoisingReconstructor
from mrirecon.reconstructors.parts.domain import Domain, InputStatistics
from mrirecon.reconstructors.parts.unrolled import coil_maps

LOOKED_AT = 8
"""Slices of the training set that are measured, spread over it."""


@torch.no_grad()
def tuned_domain(
    told: Any, reconstructor: Reconstructor, slices: SliceDataset, path: str
) -> dict[str, Any] | None:
    """Return the ranges of weights, widened to those of the slices that they are going to see.

    Args:
        told: Plain data of the :class:`~mrirecon.reconstructors.parts.domain.Domain` of the weights
            that the training starts from; None where they do not tell.
        reconstructor: Method with these weights.
        slices: Slices of the training set.
        path: File of the weights, for the message.

    Returns:
        Plain data of the new domain; None where nobody knows what the weights have learned from.

    Raises:
        ConfigError: When what the weights tell is no domain.
    """
    if told is None or not isinstance(reconstructor, DenoisingReconstructor):
        return None
    try:
        known = Domain.of(told)
    except ConfigError as error:
        raise ConfigError(f"checkpoint: {path}: {error}") from error
    training = reconstructor.training
    reconstructor.eval()
    found = []
    count = min(len(slices), LOOKED_AT)
    for number in range(count):
        sample = slices.prepared((2 * number + 1) * len(slices) // (2 * count))
        maps = coil_maps(reconstructor.sensitivity, sample)
        seen = InputStatistics.of(sample, maps, reconstructor.alone(sample, maps))
        if all(value.isfinite().all() for value in vars(seen).values()):  # else without signal
            found.append(seen)
    reconstructor.train(training)
    if not found:
        return asdict(known)
    together = {name: torch.cat([getattr(one, name) for one in found]) for name in vars(found[0])}
    return asdict(known.joined(Domain.around(InputStatistics(**together))))
