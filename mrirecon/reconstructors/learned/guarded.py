"""A learned method that says when a scan is unlike what it has learned from."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.denoising import DenoisingReconstructor
from mrirecon.reconstructors.parts.domain import Domain, InputStatistics
from mrirecon.types import Image, Sample

SHOWN = 8
"""Numbers of planes that are written out."""


@dataclass
class Watch:
    """What a :class:`Guarded` method has found since somebody began to watch it.

    Attributes:
        planes: Number of planes.
        outside: Key of each plane outside of the domain, and the reasons.
    """

    planes: int = 0
    outside: list[tuple[Any, list[str]]] = field(default_factory=list)


class Guarded(Reconstructor):
    """Compares each slice, and the image made of it, with the domain of the weights.

    Outside of it the image may look right and be wrong. :func:`watched` tells the reasons; where
    another method is given, it makes the image of that slice instead. A slice that was measured
    completely, by a method that keeps what was measured, is nothing to warn of.

    Args:
        reconstructor: The learned method.
        domain: Ranges that it has learned from.
        fallback: Method that takes its place outside of them; None only tells the reasons.
    """

    needs_grid = ""

    def __init__(
        self,
        reconstructor: DenoisingReconstructor,
        domain: Domain,
        fallback: Reconstructor | None = None,
    ) -> None:
        super().__init__()
        self.reconstructor, self.domain, self.fallback = reconstructor, domain, fallback
        self.weights = reconstructor.weights
        self._watch: Watch | None = None

    def forward(self, sample: Sample) -> Image:
        """Return the image of the method, and that of the other one outside of the domain."""
        return self._image(sample, None)

    def on_canvas(self, sample: Sample, canvas: tuple[int, int]) -> Image:
        """Return it with ``canvas`` pixels over the same field of view."""
        return self._image(sample, canvas)

    def with_phase(self, sample: Sample) -> Image:
        """Return the coil-combined image of the learned method, which is what can be fitted."""
        return self.reconstructor.with_phase(sample)

    def _image(self, sample: Sample, canvas: tuple[int, int] | None) -> Image:
        known, maps = self.reconstructor.prepared(sample)
        image = self.reconstructor.combined(known, maps)
        found = self.reconstructor.finished(image, known, maps, canvas)
        if self.fallback is None and self._watch is None:
            return found
        reasons = self.domain.reasons(InputStatistics.of(known, maps, image))
        if self.reconstructor.combination != "sense":  # what is complete owes the network nothing
            complete = sample.mask.all(-1).all(-1).reshape(-1).tolist()
            reasons = [[] if whole else r for whole, r in zip(complete, reasons, strict=True)]
        if self._watch is not None:
            self._watch.planes += len(reasons)
            keys = (sample.key or [()] * len(reasons)) if found.ndim > 2 else (sample.key,)
            self._watch.outside += [(k, r) for k, r in zip(keys, reasons, strict=True) if r]
        if self.fallback is None or not any(reasons):
            return found
        other = self.fallback(sample) if canvas is None else self.fallback.on_canvas(sample, canvas)
        chosen = torch.tensor([bool(r) for r in reasons], device=found.device)
        return torch.where(chosen.reshape(*found.shape[:-2], 1, 1), other, found)

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        """Return those of the learned method; the other one may not be needed."""
        remarks = self.reconstructor.remarks(sample)
        if self.weights and not sample.cartesian:
            remarks += (f"The weights {self.weights} have learned from Cartesian scans only.",)
        return remarks

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        """Look at every plane that is reconstructed in this context."""
        self._watch = Watch()
        try:
            yield self._watch
        finally:
            self._watch = None

    def told(self, watch: Watch) -> str:
        """Return in words which planes lie outside of the domain, why, and what became of them."""
        names = [str(key[1]) if len(key) > 1 else "?" for key, _ in watch.outside]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        instead = (
            "Their images may be wrong; fallback=l1_wavelet reconstructs such planes without a "
            "network"
            if self.fallback is None
            else f"{type(self.fallback).__name__} has reconstructed them instead"
        )
        return (
            f"{len(names)} of {watch.planes} planes (number {', '.join(names[:SHOWN])}{more}) are "
            f"unlike what the weights have learned from; in number {names[0]}, "
            f"{'; '.join(watch.outside[0][1])}. {instead}"
        )


def unguarded(reconstructor: Reconstructor) -> Reconstructor:
    """Return the learned method in a :class:`Guarded`, and any other method as it is."""
    return reconstructor.reconstructor if isinstance(reconstructor, Guarded) else reconstructor


@contextmanager
def watched(reconstructor: Reconstructor) -> Iterator[list[str]]:
    """Yield a list that holds, after the context, what a method has to say about its planes."""
    told: list[str] = []
    guards = [module for module in reconstructor.modules() if isinstance(module, Guarded)]
    with ExitStack() as stack:
        watches = [stack.enter_context(one.watched()) for one in guards]
        yield told
    found = [one.told(seen) for one, seen in zip(guards, watches, strict=True) if seen.outside]
    told += dict.fromkeys(found)


def guarded(
    reconstructor: Reconstructor,
    told: Any,
    path: str,
    fallback: Reconstructor | None = None,
) -> Reconstructor:
    """Let a method look at each plane, if its weights tell what they have learned from.

    Args:
        reconstructor: Method with its weights.
        told: Plain data of a :class:`Domain`; None where the weights do not tell.
        path: File of the weights, for the message.
        fallback: Classical method that takes its place outside of the domain; None for none.

    Raises:
        ConfigError: When the domain is none, or the other method cannot serve.
    """
    if fallback is not None and (fallback.trainable or fallback.joint or fallback.context):
        raise ConfigError(
            f"fallback: {type(fallback).__name__} cannot serve; choose a classical method that "
            "reconstructs each plane alone, such as fallback=l1_wavelet"
        )
    if isinstance(reconstructor, DenoisingReconstructor) and told is not None:
        try:
            return Guarded(reconstructor, Domain.of(told), fallback)
        except ConfigError as error:
            raise ConfigError(f"checkpoint: {path}: {error}") from error
    if fallback is not None:
        raise ConfigError(
            f"fallback: nobody knows what {type(reconstructor).__name__} has learned from, so it "
            "has no range to leave; use fallback with model=pretrained"
        )
    return reconstructor
