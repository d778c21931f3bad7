"""What an unrolled method starts from: which samples count, their scale, the first image."""

from typing import Literal

import torch
from jaxtyping import Complex, Float, Float32
from torch import Tensor, nn

from mrirecon.fourier import fft, ifft, plain_fft
from mrirecon.networks.dilated_cnn import DILATIONS, HIDDEN
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.sensitivity.unet_maps import plain_phases
from mrirecon.types import Sample

Scale = float | Literal["brightness", "one"]
Combination = Literal["sense", "sum"]


class Start(nn.Module):
    """The samples that count, the divisor of k-space and the first image.

    The defaults are ours. The others are those of the toolkit DIRECT (Yiasemis et al., J Open
    Source Softw 7:4278, 2022), whose trained networks know nothing else.

    Args:
        scale: Divisor of k-space: the ``brightness`` of the object
            (:func:`~mrirecon.reconstructors.parts.data_scale.data_scale`), ``one``, or a share of
            the magnitudes in k-space, up to 1, such as 0.995: see :func:`kspace_percentile`.
        faint: Samples whose sum of magnitudes over coils is less than this part of its mean over
            all of k-space, what was not measured included, are taken for zero.
        combination: How the coil images of the data become the first image: as in SENSE, or by
            their plain ``sum``.
        centered: Whether networks see coil images and k-space as the centred Fourier transform
            makes them; else as the plain one does, of k-space with its origin in the middle.
    """

    def __init__(
        self,
        scale: Scale = "brightness",
        faint: float = 0.0,
        combination: Combination = "sense",
        centered: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(scale, str) and not 0 < scale <= 1:
            raise ValueError(f"scale must be a share in (0, 1], brightness or one, got {scale}")
        if not 0 <= faint < 1:
            raise ValueError(f"faint must lie in [0, 1), got {faint}")
        self.scale, self.faint = scale, faint
        self.combination, self.centered = combination, centered

    @property
    def needs_grid(self) -> str:
        """Words on why k-space has to be Cartesian; empty with the defaults."""
        usual = self.scale in ("brightness", "one") and not self.faint
        usual = usual and self.combination == "sense"
        return "" if usual else "its start counts places of the grid"

    def forward(
        self, sample: Sample, joint: bool = False
    ) -> tuple[Sample, Float32[Tensor, "*b 1 1"]]:
        """Return the Sample that is reconstructed, and the divisor of its k-space.

        Args:
            sample: One slice or a batch.
            joint: Whether the members of the batch are the frames of one slice, which share both.
        """
        sample = without_faint(sample, self.faint, joint)
        if isinstance(self.scale, float | int):
            return sample, kspace_percentile(sample, float(self.scale), joint)
        if self.scale == "brightness":
            return sample, data_scale(sample, joint)
        return sample, sample.kspace.real.new_ones((*sample.kspace.shape[:-3], 1, 1))

    def image(
        self, kspace: Complex[Tensor, "*b coil h w"], combined: Complex[Tensor, "*b hi wi"]
    ) -> Complex[Tensor, "*b hi wi"]:
        """Return the first image.

        Args:
            kspace: The k-space that is reconstructed, divided by its scale.
            combined: Combination of its coil images as in SENSE.
        """
        if self.combination == "sense":
            return combined
        image = ifft(kspace).sum(-3)
        return image if self.centered else image * plain_phases(image)

    def transformed(self, image: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b h w"]:
        """Return the k-space of an image as networks see it."""
        return fft(image) if self.centered else plain_fft(image, (-2, -1))


class StateStart(Start):
    """Like :class:`Start`, with the sizes of what makes the first state of a recurrent network.

    Args:
        scale: Divisor of k-space.
        faint: Part of the mean below which samples are taken for zero.
        combination: How coil images become the image that the state is made of.
        centered: Whether networks see what the centred Fourier transform makes.
        learned: Whether a network makes the first state; else it is zero.
        hidden: Features of each convolution of that network.
        dilations: Dilation of each of these convolutions.
        multiscale: How many of the last of them make the state.
    """

    def __init__(
        self,
        scale: Scale = "brightness",
        faint: float = 0.0,
        combination: Combination = "sense",
        centered: bool = True,
        learned: bool = True,
        hidden: tuple[int, ...] = HIDDEN,
        dilations: tuple[int, ...] = DILATIONS,
        multiscale: int = 1,
    ) -> None:
        super().__init__(scale, faint, combination, centered)
        self.learned = learned
        self.hidden, self.dilations, self.multiscale = hidden, dilations, multiscale


def without_faint(sample: Sample, faint: float, joint: bool = False) -> Sample:
    """Set samples to zero whose sum of magnitudes over coils is below ``faint`` times its mean.

    Args:
        sample: One slice or a batch.
        faint: Part of the mean.
        joint: Whether the sum goes over the members of the batch, too.
    """
    if faint == 0:
        return sample
    magnitudes = sample.kspace.abs().sum((0, -3) if joint else -3, keepdim=True)
    kept = magnitudes >= faint * magnitudes.mean((-2, -1), keepdim=True)
    return sample.replace(kspace=sample.kspace * kept)


def kspace_percentile(
    sample: Sample, share: float, joint: bool = False
) -> Float32[Tensor, "*b 1 1"]:
    """Return the magnitude that ``share`` of the positions of k-space do not exceed.

    Positions of all coils count, also those that were not measured; only a coil whose real and
    imaginary parts add up to exactly zero does not. 1 where the magnitude is zero.

    Args:
        sample: One slice or a batch.
        share: Share of the positions, up to 1.
        joint: One magnitude for all frames of a slice: the members of the batch.
    """
    if joint:
        frames = len(sample.kspace)
        together = sample.kspace.transpose(0, 1).flatten(1, 2)  # frames one below the other
        return _percentile(together, share).expand(frames, 1, 1)
    return _percentile(sample.kspace, share)


def _percentile(kspace: Complex[Tensor, "*b coil h w"], share: float) -> Float[Tensor, "*b 1 1"]:
    h, w = kspace.shape[-2:]
    silent = torch.view_as_real(kspace).sum((-3, -2, -1)) == 0
    # a silent coil sorts behind the others, so that the largest keep their ranks
    magnitudes = torch.where(silent[..., None, None], -1.0, kspace.abs()).flatten(-3)
    counts = (~silent).sum(-1) * (h * w)
    largest = magnitudes.topk(int((1 - share) * magnitudes.shape[-1]) + 1).values
    place = ((1 - share) * counts.double()).long()
    scale = largest.gather(-1, place[..., None])[..., None]
    return torch.where(scale <= 0, 1.0, scale)
