"""Training of the denoiser in a method, on images that nobody has to reconstruct."""

import math

import numpy as np
import torch
from jaxtyping import Complex64, Float, Float32
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.buffers import sent
from mrirecon.errors import ConfigError
from mrirecon.operators import adjoint_image
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.reconstructors.parts.denoising import DenoisingReconstructor
from mrirecon.reconstructors.parts.unrolled import coil_maps
from mrirecon.simulation.random_image import smooth_field
from mrirecon.training.objectives.base import Objective
from mrirecon.types import Sample


class Denoising(Objective):
    r"""Add errors of a known level to patches of the image and compare what the denoiser makes.

    .. math:: \log_{10} \frac{\|D(x + e, \sigma) - x\|^2}{N\sigma^2}

    with :math:`x` the combined image of a fully sampled scan, which should be free of noise. The
    errors have the root-mean-square :math:`\sigma` in each real component. They are white noise
    whose level varies smoothly over the image, as parallel imaging leaves it, and in a part of the
    patches in addition faint shifted copies of the image, as undersampling makes them.

    Args:
        levels: Least and largest :math:`\sigma`, relative to the brightness of the object; its
            logarithm is drawn uniformly.
        aliasing: Share of the patches with shifted copies.
        patch: Width of the patches.
        patches: Number of patches of each image.
    """

    def __init__(
        self,
        levels: tuple[float, float] = (0.002, 0.4),
        aliasing: float = 0.5,
        patch: int = 96,
        patches: int = 3,
    ) -> None:
        super().__init__()
        low, high = levels
        if not 0 < low <= high:
            raise ValueError(f"levels must be a lesser and a larger positive number, got {levels}")
        if not 0 <= aliasing <= 1:
            raise ValueError(f"aliasing must lie in [0, 1], got {aliasing}")
        check_at_least(1, patch=patch, patches=patches)
        self.levels, self.aliasing = (float(low), float(high)), aliasing
        self.patch, self.patches = patch, patches

    def check(self, reconstructor: Reconstructor, sample: Sample) -> None:  # noqa: ARG002
        """Refuse methods that have no denoiser which is told the level of the noise."""
        _with_denoiser(reconstructor)

    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        method = _with_denoiser(reconstructor)
        with torch.no_grad():
            maps = coil_maps(method.sensitivity, sample)
            images = adjoint_image(sample, maps) / data_scale(sample)
            clean, noisy, level = self._patches(images)
        found = method.denoised(noisy, level)
        error = torch.view_as_real(found - clean).square().mean((-3, -2, -1))
        return torch.log10(error / level.square() + 1e-8).mean()

    def _patches(
        self, images: Complex64[Tensor, "b h w"]
    ) -> tuple[Complex64[Tensor, "p y x"], Complex64[Tensor, "p y x"], Float32[Tensor, "p"]]:
        """Return patches without and with errors, and the level of these."""
        clean, noisy, levels = [], [], []
        for image in images:
            for _ in range(self.patches):
                level = math.exp(_uniform(*map(math.log, self.levels)))
                error = self._error(image, level)
                rows, columns = (_window(n, self.patch) for n in image.shape)
                clean.append(image[rows, columns])
                noisy.append((image + error)[rows, columns])
                levels.append(level)
        return torch.stack(clean), torch.stack(noisy), sent(levels, images.device)

    def _error(self, image: Complex64[Tensor, "h w"], level: float) -> Complex64[Tensor, "h w"]:
        """Return an error image of a level: the root-mean-square of its components."""
        size = (image.shape[0], image.shape[1])
        rng = _generator()
        noise = torch.randn(*size, 2, device=image.device)
        error = torch.view_as_complex(noise) * sent(self._amplification(size), image.device)
        if _uniform(0, 1) < self.aliasing:
            folds = int(_uniform(2, 9))
            axis = int(_uniform(0, 2))
            ghosts = torch.zeros_like(image)
            for copy in range(1, folds):
                weight = torch.complex(smooth_field(size, 2, rng), smooth_field(size, 2, rng))
                ghosts += sent(weight, image.device) * image.roll(copy * size[axis] // folds, axis)
            rms = (torch.view_as_real(ghosts).square().mean() + 1e-12).sqrt()
            error = error + ghosts / rms * _uniform(0, 1.5)
        rms = torch.view_as_real(error).square().mean().sqrt()
        return error * (level / rms)

    def _amplification(self, size: tuple[int, int]) -> Float32[Tensor, "h w"]:
        return torch.exp(_uniform(0, 0.6) * smooth_field(size, 3, _generator()))


def _with_denoiser(reconstructor: Reconstructor) -> DenoisingReconstructor:
    if isinstance(reconstructor, DenoisingReconstructor):
        return reconstructor
    raise ConfigError(
        f"objective: {type(reconstructor).__name__} has no denoiser that is told the level of the "
        "noise; choose model=hqs_net or model=pnp"
    )


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _generator() -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(2**31, ())))


def _window(size: int, width: int) -> slice:
    width = min(width, size)
    start = int(torch.randint(size - width + 1, ()))
    return slice(start, start + width)
