"""Noise in the image, from whitened noise in k-space."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.added_noise import noise_like
from mrirecon.image import averaged_inside
from mrirecon.inference import on_matrix
from mrirecon.quality import NoiseMaps
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.scan import ScanHeader
from mrirecon.types import Maps, Sample

LINEAR = (CgSense, ZeroFilled)
"""Methods through which noise passes linearly, a final magnitude aside."""

REPLICAS = 4
"""Few, because the variance is then averaged over neighbouring pixels, where it is alike."""
SMOOTHING = 7
"""Pixels over which it is averaged, along both axes."""


@dataclass(frozen=True)
class Plane:
    """What is known about the plane that is looked at.

    Attributes:
        sample: The plane as the method gets it, as a batch of one.
        header: Header of the scan.
        maps: Sensitivities on the sample's grid, or None.
    """

    sample: Sample
    header: ScanHeader
    maps: Maps | None

    @property
    def unit(self) -> float:
        """Standard deviation per real component of whitened noise in the sample's units."""
        return 1.0 if self.sample.scale is None else 1.0 / float(self.sample.scale)


def is_linear(reconstructor: Reconstructor) -> bool:
    """Tell whether noise passes linearly, once the weights are chosen."""
    return isinstance(reconstructor, LINEAR)


def noise_maps(
    plane: Plane, reconstructor: Reconstructor, image: Complex64[Tensor, "b h w"]
) -> tuple[NoiseMaps | None, str]:
    """Add noise to k-space a few times and see what it does; else say why not."""
    if not plane.header.whitened:
        return None, "the noise is not known: k-space is not whitened"
    if not is_linear(reconstructor):
        name = type(reconstructor).__name__
        return None, f"noise does not pass linearly through {name}, so its image has no one SNR"
    sample, generator = plane.sample, torch.Generator().manual_seed(0)
    level = torch.full(sample.kspace.shape[:-3], plane.unit, device=image.device)
    replicas = []
    for _ in range(REPLICAS):
        noisy = sample.replace(kspace=sample.kspace + noise_like(sample, level, generator))
        replicas.append(on_matrix(reconstructor, noisy, plane.header))
    spread = torch.stack(replicas)
    # a magnitude has the noise along the phase only, a complex image in two components
    components = 2 if image.imag.any() else 1
    squares = (spread - spread.mean(0)).abs().square().sum(0)
    variance = averaged_inside(squares / (components * (REPLICAS - 1)), SMOOTHING)
    deviation = variance.sqrt() / plane.unit
    signal = on_matrix(reconstructor, sample, plane.header).abs() / plane.unit
    voxel = plane.header.voxel or (1.0, 1.0, 1.0)
    maps = NoiseMaps(
        signal[0].cpu().numpy(), deviation[0].cpu().numpy(), REPLICAS, (voxel[0], voxel[1])
    )
    return maps, ""
