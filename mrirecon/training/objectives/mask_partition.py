"""Dividing measured positions by a second sampling pattern, with known densities."""

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.buffers import sent
from mrirecon.errors import ConfigError
from mrirecon.sampling import Curriculum, MixedPatterns, SamplingPattern
from mrirecon.training.objectives.measured_kspace import without
from mrirecon.types import Mask, Sample

Shape = tuple[int, int]
UNKNOWN = 0.01
"""Share of the measured positions that may have a density too small to be seen in the draws."""

DEPENDENT = 0.5
"""Correlation of two lines above which a pattern does not draw them independently."""


class MaskPartition:
    r"""Keeps of the measured positions :math:`\Omega` what a second pattern :math:`\Lambda` keeps.

    With :math:`p` and :math:`\tilde p` the probabilities that the patterns keep a position, one
    that is not in :math:`\Omega \cap \Lambda` was measured with the probability

    .. math:: 1 - k = \frac{p\,(1 - \tilde p)}{1 - p\,\tilde p}

    so dividing the squared error there by it makes up for what is never seen (Millard and Chiew,
    IEEE Trans Comput Imaging 9:707, 2023). This is exact for patterns that draw each line or
    position independently, such as ``RandomLines``; those of fixed spacing are refused, and so
    are those that change over the epochs.

    Args:
        sampling: Pattern by which the scans were undersampled.
        partition: Pattern that draws what the method sees; of the same kind, and sparse outside of
            its centre.
        draws: Masks from which the densities are estimated, once for every size of k-space.
    """

    def __init__(
        self, sampling: SamplingPattern, partition: SamplingPattern, draws: int = 1000
    ) -> None:
        check_at_least(100, draws=draws)
        for name, pattern in (("sampling", sampling), ("partition", partition)):
            if _changes(pattern):
                raise ConfigError(
                    f"{name}: a Curriculum changes in the course of the run, and with it the "
                    "densities that the loss is weighted by; choose one pattern for all epochs "
                    "(sampling=random), or objective=ssdu"
                )
        self.sampling, self.partition, self.draws = sampling, partition, draws
        self._weights: dict[tuple[Shape, torch.device], Tensor] = {}

    def split(self, sample: Sample) -> tuple[Sample, Mask]:
        """Return what the method sees of a batch, and the measured positions that it does not."""
        shape = (sample.kspace.shape[-2], sample.kspace.shape[-1])
        # drawn from torch's generator, on which the reproducibility of a run rests
        rng = np.random.RandomState(int(torch.randint(2**31, ())))
        drawn = [self.partition(shape, rng) for _ in sample.kspace]
        kept = sent(torch.stack([one.mask for one in drawn]), sample.mask.device)
        center = sent([one.acs for one in drawn], sample.mask.device)
        return without(sample, ~kept, center), sample.mask & ~kept

    def weight(self, sample: Sample) -> Float32[Tensor, "#h w"]:
        """Return :math:`1/(1-k)`, zero where no position can be measured and not seen.

        Raises:
            ConfigError: When the patterns fit neither each other nor the mask of the first batch of
                a size of k-space.
        """
        shape = (sample.kspace.shape[-2], sample.kspace.shape[-1])
        place = shape, sample.mask.device
        if place not in self._weights:
            self._weights[place] = self._of_patterns(shape, sample)
        return self._weights[place]

    def _of_patterns(self, shape: Shape, sample: Sample) -> Float32[Tensor, "#h w"]:
        first, second = (density.to(sample.mask.device) for density in self._estimated(shape))
        unexpected = (sample.mask & (first == 0)).sum()
        if unexpected > UNKNOWN * sample.mask.sum():
            raise ConfigError(
                f"objective.sampling: {type(self.sampling).__name__} never keeps positions that "
                f"{sample.key} has measured; it must be the pattern that the scans were "
                "undersampled with"
            )
        chance = first * (1 - second)
        return torch.where(chance > 0, (1 - first * second) / chance.clamp_min(1e-12), 0.0)

    def _estimated(self, shape: Shape) -> tuple[Tensor, Tensor]:
        drawn = [_draws(p, shape, self.draws) for p in (self.sampling, self.partition)]
        first, second = (masks.float().mean(0) for masks in drawn)
        if first.shape != second.shape:
            kinds = ("whole lines" if len(p) == 1 else "single positions" for p in (first, second))
            raise ConfigError(
                "objective: sampling keeps {}, but partition keeps {}; choose patterns of one "
                "kind, for instance sampling@objective.partition=gaussian_2d".format(*kinds)
            )
        for name, pattern, masks in zip(
            ("sampling", "partition"), (self.sampling, self.partition), drawn, strict=True
        ):
            if len(masks[0]) == 1 and _largest_correlation(masks[:, 0]) > DEPENDENT:
                raise ConfigError(
                    f"objective.{name}: {type(pattern).__name__} draws lines together, so what is "
                    "seen betrays which others were measured and no weight makes up for the rest; "
                    "choose independent lines (sampling=random), or objective=ssdu"
                )
        return first, second


def _changes(pattern: SamplingPattern) -> bool:
    mixed = pattern.patterns if isinstance(pattern, MixedPatterns) else ()
    return isinstance(pattern, Curriculum) or any(_changes(one) for one in mixed)


def _draws(pattern: SamplingPattern, shape: Shape, count: int) -> Bool[Tensor, "count #h w"]:
    """Draw masks with a fixed seed."""
    rng = np.random.RandomState(0)
    return torch.stack([pattern(shape, rng).mask for _ in range(count)])


def _largest_correlation(lines: Bool[Tensor, "count w"]) -> float:
    """Return the largest correlation of two lines, of those that are not kept always or never."""
    centered = lines.float() - lines.float().mean(0)
    size = centered.norm(dim=0)
    unit = centered[:, size > 0] / size[size > 0]
    return float((unit.T @ unit).fill_diagonal_(0).amax()) if unit.shape[1] else 0.0
