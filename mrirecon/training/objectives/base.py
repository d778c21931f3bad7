"""The contract of objectives: a supervision scheme is one class, not one engine per model."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrirecon.errors import ConfigError
from mrirecon.fourier import fft
from mrirecon.image import center_crop, complex_image
from mrirecon.metrics import structural_similarity
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.objectives.multi_scale_ssim import multi_scale_similarity
from mrirecon.types import Image, Sample

EXACT = 1e-12
"""Squared error, relative to the brightest pixel squared, that is not told from none."""


class Objective(nn.Module, ABC):
    """Maps a reconstructor and a batched Sample to a scalar loss.

    Attributes:
        needs_target: Whether it compares with reference images; a Sample without one is refused.
        needs_some_targets: Whether it does so where there are any; a training set without a single
            one is refused, as it would teach something else than was meant.
    """

    needs_target: bool = False
    needs_some_targets: bool = False

    @abstractmethod
    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        """Return the loss, a mean over the batch."""

    def check(self, reconstructor: Reconstructor, sample: Sample) -> None:
        """Look at a first batch for what would stop the training in its middle.

        Raises:
            ConfigError: When there is such a thing.
        """
        del reconstructor, sample  # most objectives fail in the first step or never


class Supervised(Objective):
    r"""Compare the cropped magnitude :math:`x` with ``sample.target`` :math:`r`.

    .. math:: w_s\,(1 - \mathrm{SSIM}(x, r)) + w_m\,(1 - \mathrm{MSSIM}(x, r))
              + w_1\,\|x - r\|_1 / (N L) + w_2\,\|x - r\|_2^2 / (N L^2)
              + w_k\,\|F(x - r)\|_1 / \|F r\|_1
              + w_p\,\log_{10}\big(\|x - r\|_2^2 / (N L^2)\big)

    :math:`L` is ``sample.peak``, the maximum of the reference volume (of the slice where nobody
    has told it), so no term depends on units. Where it is zero there is nothing to compare with:
    that slice adds nothing, and no gradient; neither does one without signal to the k-space term.

    ``ssim=1, l1=0`` is fastMRI's SSIMLoss;
    ``multi_scale=0.84, l1=0.16`` is the mixture of Zhao et al. (IEEE Trans Comput Imaging 3:47,
    2017) with the plain mean error. The k-space term compares the Fourier transforms of the
    magnitude images, for a Sample holds no measured k-space that the method has not seen.

    Args:
        ssim: Weight :math:`w_s` of the structural dissimilarity.
        l1: Weight :math:`w_1` of the mean absolute error.
        multi_scale: Weight :math:`w_m` of the multi-scale structural dissimilarity.
        kspace: Weight :math:`w_k` of the relative error in k-space.
        l2: Weight :math:`w_2` of the mean squared error.
        psnr: Weight :math:`w_p` of the logarithm of the mean squared error, a tenth of the negative
            PSNR: an error counts relative to what there is, in clean scans as in noisy ones.
    """

    needs_target = True

    def __init__(
        self,
        ssim: float = 1.0,
        l1: float = 0.0,
        multi_scale: float = 0.0,
        kspace: float = 0.0,
        l2: float = 0.0,
        psnr: float = 0.0,
    ) -> None:
        super().__init__()
        weights = {"ssim": ssim, "l1": l1, "multi_scale": multi_scale, "kspace": kspace}
        weights |= {"l2": l2, "psnr": psnr}
        if min(weights.values()) < 0 or sum(weights.values()) == 0:
            raise ValueError(
                f"{', '.join(weights)} must be weights of which one is positive, got "
                f"{', '.join(map(str, weights.values()))}"
            )
        self.ssim, self.l1, self.l2 = ssim, l1, l2
        self.multi_scale, self.kspace, self.psnr = multi_scale, kspace, psnr

    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        if sample.target is None:
            raise no_reference(sample)
        return self.compare(reconstructor(sample), sample)

    def compare(self, found: Image, sample: Sample) -> Float[Tensor, ""]:
        """Return the loss of complex images on the grid of the Sample.

        Raises:
            ConfigError: When the Sample has no reference.
        """
        if sample.target is None:
            raise no_reference(sample)
        peak = sample.target.amax((-2, -1)) if sample.peak is None else sample.peak
        empty = peak == 0
        unit = torch.where(empty, 1.0, peak)[..., None, None]  # C1 C2 of raw units would underflow
        target = sample.target / unit
        image = center_crop(found, target.shape[-2:]).abs() / unit
        return torch.where(empty, 0.0, self._dissimilarity(image, target)).mean()

    def _dissimilarity(
        self, image: Float[Tensor, "b y x"], target: Float[Tensor, "b y x"]
    ) -> Float[Tensor, " b"]:
        """Return the loss of each image, whose data range is 1."""
        peak = target.new_ones(len(target))
        loss = image.new_zeros(len(image))
        if self.ssim:
            loss = loss + self.ssim * (1 - structural_similarity(image, target, peak))
        if self.l1:
            loss = loss + self.l1 * (image - target).abs().mean((-2, -1))
        if self.l2:
            loss = loss + self.l2 * (image - target).square().mean((-2, -1))
        if self.psnr:
            error = (image - target).square().mean((-2, -1))
            loss = loss + self.psnr * torch.log10(error.clamp_min(EXACT))
        if self.multi_scale:
            loss = loss + self.multi_scale * (1 - multi_scale_similarity(image, target, peak))
        if self.kspace:
            error, size = (_spectrum(v).abs().sum((-2, -1)) for v in (image - target, target))
            nothing = size == 0
            relative = torch.where(nothing, 0.0, error / torch.where(nothing, 1.0, size))
            loss = loss + self.kspace * relative
        return loss


def no_reference(sample: Sample) -> ConfigError:
    """Return what to tell when an image is to be compared with a reference that is missing."""
    return ConfigError(
        f"supervised training, like its validation, needs a reference image, but {sample.key} has "
        "none; list mrirecon.data.transforms.RssTarget before Undersample to make one from "
        "fully sampled scans"
    )


def _spectrum(x: Float[Tensor, "b y x"]) -> Tensor:
    return fft(complex_image(x))
