"""What training minimises. A supervision scheme is one class here, not one engine per model."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from mrirecon.errors import ConfigError
from mrirecon.image import center_crop
from mrirecon.metrics import structural_similarity
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.types import Sample


class Objective(nn.Module, ABC):
    """Maps a reconstructor and a batched Sample to a scalar loss."""

    @abstractmethod
    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        """Return the loss, a mean over the batch."""


class Supervised(Objective):
    r"""Compare the cropped magnitude :math:`x` with ``sample.target`` :math:`r`.

    .. math:: w_s\,(1 - \mathrm{SSIM}(x, r)) + w_1\,\|x - r\|_1 / (N L)

    :math:`L` is ``sample.peak``, the maximum of the reference volume (of the slice where nobody
    has told it), so neither term depends on units. ``ssim=1, l1=0`` is fastMRI's SSIMLoss.

    Args:
        ssim: Weight :math:`w_s` of the structural dissimilarity.
        l1: Weight :math:`w_1` of the mean absolute error.
    """

    def __init__(self, ssim: float = 1.0, l1: float = 0.0) -> None:
        super().__init__()
        if min(ssim, l1) < 0 or ssim + l1 == 0:
            raise ValueError(
                f"ssim and l1 must be weights of which one is positive, got {ssim}, {l1}"
            )
        self.ssim, self.l1 = ssim, l1

    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        if sample.target is None:
            raise ConfigError(
                f"supervised training needs a reference image, but {sample.key} has none; "
                "list mrirecon.data.transforms.RssTarget before Undersample to make one from "
                "fully sampled scans"
            )
        target = sample.target
        image = center_crop(reconstructor(sample), target.shape[-2:]).abs()
        peak = target.amax((-2, -1)) if sample.peak is None else sample.peak
        peak = peak.clamp_min(1e-12)
        loss = image.new_zeros(())
        if self.ssim:
            loss = loss + self.ssim * (1 - structural_similarity(image, target, peak)).mean()
        if self.l1:
            loss = loss + self.l1 * ((image - target).abs().mean((-2, -1)) / peak).mean()
        return loss
