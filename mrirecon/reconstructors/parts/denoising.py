"""What methods share whose prior is a denoiser that is told the level of the noise."""

from abc import abstractmethod
from typing import Literal

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.fourier import fft, ifft
from mrirecon.image import complex_image, interpolate, interpolated_rss
from mrirecon.networks.noise_level_unet import NoiseLevelUnet
from mrirecon.operators import coil_images, coil_samples
from mrirecon.reconstructors.base import CoilImages, Reconstructor
from mrirecon.reconstructors.parts.automatic_weight import sample_noise_std
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.fitted_noise import with_noise
from mrirecon.reconstructors.parts.held_out import stacked
from mrirecon.reconstructors.parts.unrolled import coil_maps
from mrirecon.sampling import cells
from mrirecon.sensitivity import PhasedMaps
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Maps, Sample

Combination = Literal["kept", "rss", "sense"]
MODEL_ERROR = 1e-3
"""Errors of maps and model, relative to the brightness of the object: as if it were noise."""


class DenoisingReconstructor(Reconstructor):
    r"""A method with a denoiser of complex images.

    It finds a coil-combined image :math:`x`. With ``combination="rss"`` or ``"kept"``, the samples
    that were not measured are taken of it, :math:`y_c + (1 - M)\,F S_c x`, and the image is the
    root-sum-of-squares of these coil images. So every measured sample is kept as it is, also what
    the maps cannot explain and the noise of the background, as in a reference that is made of all
    samples.

    The noise that would have come with the missing samples makes the dark parts of a magnitude
    image grey, and networks that are trained towards such images learn it. Its expected power is
    added: with ``"rss"`` that of all :math:`C` coils, :math:`2C\sigma^2` times the missing share of
    k-space, as in a root-sum-of-squares of all samples; with ``"kept"`` that of a single channel,
    as in a coil combination of all samples, which is close to either reference. With ``"sense"``
    the image is :math:`x`, which is complex, and zero where the maps are. The level of the noise is
    that of :func:`~mrirecon.reconstructors.parts.fitted_noise.with_noise`.

    Attributes:
        sensitivity: Estimator of the coil sensitivities.
        denoiser: Denoiser, with the number of ``images`` that it sees together.
        combination: Image that is returned.
        partner: Classical method on given maps, whose image is averaged in as held-out samples ask
            for; not in training. None for none.
    """

    needs_grid = ""

    sensitivity: SensitivityEstimator
    denoiser: NoiseLevelUnet
    combination: Combination = "sense"
    partner: Reconstructor | None

    def combine_by(self, combination: Combination) -> None:
        """Choose the image that :meth:`forward` returns."""
        self.combination = combination

    @abstractmethod
    def alone(self, sample: Sample, maps: Maps) -> Image:
        """Return the coil-combined image without a partner.

        Args:
            sample: One slice or a batch.
            maps: Coil sensitivities of the same slices.
        """

    def combined(self, sample: Sample, maps: Maps) -> Image:
        """Return the coil-combined image, averaged with that of the partner where there is one."""
        if self.partner is None or self.training:
            return self.alone(sample, maps)
        # A phase that is only known in part breaks up wavelets; it does networks good.
        phased = self.sensitivity
        plain = coil_maps(phased.sensitivity if isinstance(phased, PhasedMaps) else phased, sample)
        turn = (maps.conj() * plain).sum(-3)
        partner = self.partner

        def beside(some: Sample, _maps: Maps) -> Image:
            image: Image = turn * partner(some.replace(maps=plain))
            return image

        return stacked(self.alone, beside, sample, maps)

    def finished(
        self, image: Image, sample: Sample, maps: Maps, canvas: tuple[int, int] | None = None
    ) -> Complex64[Tensor, "*b y x"]:
        """Return the image of the chosen combination.

        Args:
            image: The coil-combined image.
            sample: Sample that it was made of.
            maps: Coil sensitivities that it was made with.
            canvas: Pixels to interpolate it to, coil by coil where coils are combined here; None
                leaves the grid.
        """
        size = (image.shape[-2], image.shape[-1]) if canvas is None else canvas
        if self.combination == "sense":
            return interpolate(image, size)
        images = kept_samples(image, sample, maps)
        channels = 1 if self.combination == "kept" else sample.kspace.shape[-3]
        floor = missing_noise(sample, channels).to(images.dtype).expand_as(images[..., :1, :, :])
        return complex_image(interpolated_rss(torch.cat([images, floor], -3), size))

    def prepared(self, sample: Sample) -> tuple[Sample, Maps]:
        """Return the sample with the level of its noise, and its maps."""
        maps = coil_maps(self.sensitivity, sample)
        return with_noise(sample, maps), maps

    def forward(self, sample: Sample) -> Image:
        """Return the image of the chosen combination."""
        sample, maps = self.prepared(sample)
        return self.finished(self.combined(sample, maps), sample, maps)

    def with_phase(self, sample: Sample) -> Image:
        """Return the coil-combined image without a partner, which nothing would be fitted to."""
        return self.alone(*self.prepared(sample))

    def on_canvas(self, sample: Sample, canvas: tuple[int, int]) -> Image:
        """Return it with ``canvas`` pixels over the same field of view."""
        sample, maps = self.prepared(sample)
        return self.finished(self.combined(sample, maps), sample, maps, canvas)

    def denoised(
        self, images: Complex64[Tensor, "b h w"], level: Float32[Tensor, "b"]
    ) -> Complex64[Tensor, "b h w"]:
        """Return the denoised images.

        Args:
            images: Images in units of the brightness of the object.
            level: Standard deviation of the errors in each real component.
        """
        others = [torch.zeros_like(images)] * (self.denoiser.images - 1)
        result: Tensor = self.denoiser(torch.stack([images, *others], 1), level)
        return result


def kept_samples(image: Image, sample: Sample, maps: Maps) -> CoilImages:
    """Return coil images with every measured sample, and the other ones of the combined image.

    Samples along a trajectory put back what the combined image lacks of them, by gridding.
    """
    if not sample.cartesian:
        images = maps * image.unsqueeze(-3)
        lacking = sample.kspace - coil_samples(sample, images)
        return images + coil_images(sample.replace(kspace=lacking))
    missing = fft(maps * image.unsqueeze(-3))
    return ifft(torch.where(sample.mask.unsqueeze(-3), sample.kspace, missing))


def missing_noise(sample: Sample, channels: int) -> Float32[Tensor, "*b 1 1 1"]:
    """Return the root-sum-of-squares, over channels, of the noise that missing samples would bring.

    A slice of which nothing was measured stays empty.

    Args:
        sample: One slice or a batch.
        channels: Number of channels, coils or combined ones.
    """
    covered = cells(sample).float()
    missing = 1 - covered.mean((-2, -1))
    filled = torch.view_as_real(sample.kspace).any(-1).flatten(-3).any(-1)
    power = 2 * channels * (missing * filled)[..., None, None]
    return (power.sqrt() * sample_noise_std(sample)).unsqueeze(-3)


def error_level(data: DataTerm) -> Float32[Tensor, "*b 1 1"]:
    """Return the noise of a fully sampled image and the errors of the model, in units of the data.

    It is the standard deviation in each real component.
    """
    noise = sample_noise_std(data.sample) / data.scale
    return (noise.square() + MODEL_ERROR**2).sqrt()
