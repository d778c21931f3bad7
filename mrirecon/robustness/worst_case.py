"""Perturbations of k-space that do most harm, as far as gradient ascent finds them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.data.collate import collate
from mrirecon.errors import ConfigError, MriReconError
from mrirecon.inference import on_matrix
from mrirecon.pipeline import Method
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.parts.estimated_noise import noise_std
from mrirecon.robustness.ascent import DIFFERENCES, Harm, climb, random_unit, size_of, worse
from mrirecon.robustness.case import Case, FullSlice
from mrirecon.robustness.shift import Disturbance, Level, number
from mrirecon.sensitivity import Espirit
from mrirecon.types import KSpace, Sample, Volume

TRANSFERRED = "the gradients of other methods, and finite differences"


@dataclass(frozen=True)
class Perturbed:
    """A case with the perturbation that did most harm to a method.

    Attributes:
        worst: The case with it.
        random: The case with a random perturbation of the same norm in every slice.
        by: Words on what it was found by.
        of_noise: Norm relative to that expected of the noise in the acquired samples, mean over
            slices.
        of_data: Norm relative to that of the acquired samples, likewise.
    """

    worst: Case
    random: Case
    by: str
    of_noise: float
    of_data: float


@dataclass(frozen=True)
class WorstCase(Disturbance):
    r"""Looks for the perturbation of acquired samples that makes the image worst.

    .. math:: \max_\delta\ \big\| |R(y + M\delta)| - x \big\|^2
              \quad\text{with}\quad \|M\delta\|_2 = \epsilon

    by normalised gradient ascent, projected after each step (Madry et al., ICLR 2018; for
    reconstruction Antun et al., PNAS 117:30088, 2020, and Genzel, Macdonald and März, IEEE Trans
    Pattern Anal Mach Intell 45:1119, 2023). It starts from the random perturbation that it is
    compared with and keeps the worst of all that it met, so it is never the less harmful one. Where
    a method has no gradient, or one that does not foretell what a small step does, the ascent
    begins with the perturbation that is worst for CG-SENSE or zero-filling, if that does more harm,
    and goes on by differences along random directions (simultaneous perturbation: Spall, IEEE Trans
    Autom Control 37:332, 1992), which find little by themselves. Sensitivities are estimated anew
    from the perturbed data; most estimators pass no gradient on.

    Attributes:
        levels: Norms of the perturbation.
        unit: ``noise``, norms are in units of that expected of the noise in the acquired samples;
            or ``data``, of the norm of the acquired samples themselves.
        steps: Number of steps.
    """

    levels: Sequence[Level] = (0.5, 1.0)
    unit: Literal["noise", "data"] = "noise"
    steps: int = 5
    title: ClassVar[str] = "worst case"
    about: ClassVar[str] = (
        "The perturbation of the acquired samples of a given norm that makes the image worst, as "
        "far as it is found; dotted, a random one of equal norm. The reference stays."
    )

    def __post_init__(self) -> None:
        check_at_least(1, steps=self.steps)

    @property
    def axis(self) -> str:
        """Words on the axis of the levels."""
        return f"norm of the perturbation / norm of the {self.unit}"

    def unsuited(self, method: Method) -> str:
        """Say why a method cannot be attacked; empty when it can."""
        reconstructor = method.reconstructor
        if reconstructor.joint or reconstructor.context:
            return "it reconstructs several planes together, which are not perturbed together"
        return "it is fitted to each scan" if method.adaptation else ""

    def norm(self, level: Level) -> float:
        """Return a level as a number.

        Raises:
            ConfigError: When it is no positive number.
        """
        return number(level, self.title, 1e-6)

    def __call__(self, case: Case, method: Method, level: Level, seed: int = 0) -> Perturbed:
        """Look for the worst perturbation of each slice.

        Args:
            case: Case as it is nominally.
            method: Method that is attacked, with its sampling.
            level: Norm in the chosen unit.
            seed: Seed of the random perturbation.

        Raises:
            ConfigError: When the method cannot be attacked, or the level is no positive number.
        """
        if reason := self.unsuited(method):
            raise ConfigError(f"{self.title}: {method.name}: {reason}")
        size = self.norm(level)
        reference, scan = case.reference(), case.scan()
        method.reconstructor.eval()
        worst, random, ways, shares = [], [], [], []
        for index, one in enumerate(case.slices):
            harm, mask = _harm(method, scan[index], case, reference[index])
            noise, data = _norms(one.sample, mask)
            norm = size * (noise if self.unit == "noise" else data)
            if not norm > 0:
                raise ConfigError(
                    f"{self.title}: {case.name} has no {self.unit} that a norm could be relative "
                    "to; choose the other unit"
                )
            generator = torch.Generator().manual_seed(hash_of(seed, index))
            start = random_unit(one.sample.kspace, mask, generator) * norm
            found, by = climb(harm, start, mask, self.steps, generator)
            if by == DIFFERENCES:
                others = [
                    _harm(replace(method, reconstructor=one), scan[index], case, reference[index])
                    for one in (CgSense(Espirit()).to(method.device), ZeroFilled())
                ]
                harms = [other for other, _ in others]
                found, by = self._transferred(harm, harms, found, start, mask), TRANSFERRED
            worst.append(_with(one, found))
            random.append(_with(one, start))
            ways.append(by)
            shares.append((norm / noise if noise > 0 else math.inf, norm / data))
        of_noise, of_data = (sum(each) / len(each) for each in zip(*shares, strict=True))
        return Perturbed(
            replace(case, slices=tuple(worst)), replace(case, slices=tuple(random)),
            "; ".join(dict.fromkeys(ways)), of_noise, of_data,
        )  # fmt: skip

    def _transferred(
        self, harm: Harm, others: Sequence[Harm], found: KSpace, start: KSpace, mask: Tensor
    ) -> KSpace:
        """Return the worst of what was found and of what is worst for other methods."""
        generator, best = torch.Generator().manual_seed(0), found
        for other in others:
            try:
                best = worse(harm, best, climb(other, start, mask, self.steps, generator)[0])
            except MriReconError:  # too small a centre for it, say
                continue
        return found if best is found else climb(harm, best, mask, self.steps, generator)[0]


def hash_of(seed: int, index: int) -> int:
    """Return the seed of one slice."""
    return seed * 1_000_003 + index


def _with(one: FullSlice, perturbation: KSpace) -> FullSlice:
    return one.disturbed(one.sample.kspace + perturbation)


def _norms(sample: Sample, mask: Tensor) -> tuple[float, float]:
    """Return the norms of noise and data in acquired samples."""
    count = int(mask.sum()) * sample.kspace.shape[-3]
    noise = float(noise_std(sample)) * (2 * count) ** 0.5
    return noise, float(size_of(sample.kspace * mask))


def _harm(
    method: Method, sample: Sample, case: Case, reference: Float32[Tensor, "y x"]
) -> tuple[Harm, Tensor]:
    """Return the squared error of an image as a function of the perturbation; and the mask."""
    prepare, device = method.prepare, method.device
    kept = prepare(sample)
    h, w = sample.kspace.shape[-2:]
    mask = kept.mask.expand(h, w)
    wanted = reference.to(device)

    def harm(perturbation: KSpace) -> Float32[Tensor, ""]:
        changed = sample.replace(kspace=sample.kspace + perturbation)
        batch = collate([prepare(changed)]).to(device)
        image = on_matrix(method.reconstructor, batch, case.header)
        scale = 1.0 if batch.scale is None else batch.scale[:, None, None]
        return ((image * scale).abs()[0] - wanted).square().sum()

    return harm, mask


def deviation(image: Volume, nominal: Volume) -> float:
    """Return by how much a perturbation changes an image, relative to the image.

    Args:
        image: Image of perturbed data.
        nominal: Image of the data as they are.
    """
    size = float(nominal.double().norm())
    return float((image - nominal).double().norm()) / size if size > 0 else math.inf
