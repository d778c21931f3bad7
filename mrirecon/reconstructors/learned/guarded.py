"""A learned method that says when a scan is unlike what it has learned from."""

import torch

from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.denoising import DenoisingReconstructor
from mrirecon.reconstructors.parts.domain import Domain, InputStatistics
from mrirecon.reconstructors.parts.unrolled import coil_maps
from mrirecon.types import Image, Sample


class Guarded(Reconstructor):
    """Compares each slice, and the image made of it, with the domain of the weights.

    Outside of it the image may look right and be wrong. A warning tells the reason; where another
    method is given, it makes the image of that slice instead.

    Args:
        reconstructor: The learned method.
        domain: Ranges that it has learned from.
        fallback: Method that takes its place outside of them; None only warns.
    """

    def __init__(
        self,
        reconstructor: DenoisingReconstructor,
        domain: Domain,
        fallback: Reconstructor | None = None,
    ) -> None:
        super().__init__()
        self.reconstructor, self.domain, self.fallback = reconstructor, domain, fallback
        self.weights = reconstructor.weights

    def forward(self, sample: Sample) -> Image:
        """Return the image of the method, and that of the other one outside of the domain."""
        return self._image(sample, None)

    def on_canvas(self, sample: Sample, canvas: tuple[int, int]) -> Image:
        """Return it with ``canvas`` pixels over the same field of view."""
        return self._image(sample, canvas)

    def _image(self, sample: Sample, canvas: tuple[int, int] | None) -> Image:
        maps = coil_maps(self.reconstructor.sensitivity, sample)
        image = self.reconstructor.combined(sample, maps)
        found = self.reconstructor.finished(image, sample, maps, canvas)
        if self.fallback is None:
            return found
        outside = [bool(r) for r in self.domain.reasons(InputStatistics.of(sample, maps, image))]
        if not any(outside):
            return found
        other = self.fallback(sample) if canvas is None else self.fallback.on_canvas(sample, canvas)
        chosen = torch.tensor(outside, device=found.device).reshape(found.shape[:-2])
        return torch.where(chosen[..., None, None], other, found)

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        """Say why a scan is unlike what the weights have learned from, if it is."""
        maps = coil_maps(self.reconstructor.sensitivity, sample)
        with torch.no_grad():
            image = self.reconstructor.combined(sample, maps)
        reasons = self.domain.reasons(InputStatistics.of(sample, maps, image))
        instead = (
            "the image may be wrong; fallback=l1_wavelet reconstructs such slices without a network"
            if self.fallback is None
            else f"{type(self.fallback).__name__} reconstructs such slices instead"
        )
        found = [reason for member in reasons for reason in member]
        told = [f"unlike what the weights have learned from: {r}; {instead}" for r in found]
        return (*self.reconstructor.remarks(sample), *told)
