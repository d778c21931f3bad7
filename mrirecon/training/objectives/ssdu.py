"""Training without reference images, from the undersampled scans alone."""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sampling.extents import limited
from mrirecon.sensitivity.base import calibration_extent, in_center
from mrirecon.training.objectives.base import Objective
from mrirecon.training.objectives.measured_kspace import (
    predicted_kspace,
    reconstruct_with_maps,
    relative_error,
    unseen,
    without,
)
from mrirecon.types import Extent, Mask, Sample

WIDTH = 0.25  # standard deviation of the Gaussian density as a share of the extent


class Ssdu(Objective):
    r"""Self-supervision via data undersampling: predict measured samples that were held out.

    .. math:: \mathcal{L}\big(y_\Lambda,\ M_\Lambda E\, f(y_\Theta)\big), \qquad
              \Omega = \Theta \cup \Lambda

    The measured positions :math:`\Omega` are divided anew each time into those that the method sees
    and those that the loss sees (Yaman et al., Magn Reson Med 84:3172, 2020; several divisions at
    once: NMR Biomed 35:e4798, 2022). Reconstruction uses all of :math:`\Omega`. Any method that
    returns a complex image and any mask will do. Positions that were never measured are in neither
    set. Where all maps are zero, the image is drawn to zero.

    Args:
        held_out: Share :math:`|\Lambda| / |\Omega|`, as far as the centre leaves as many.
        masks: Divisions of each slice per step; the batch grows by this factor.
        center: Central samples ``(h, w)`` that stay in :math:`\Theta`. None keeps the whole
            calibration region, which estimators of the sensitivities need; with precomputed maps
            ``[4, 4]`` is the paper's choice.
        density: Density of the held-out positions: ``"gaussian"`` prefers the centre, as in the
            paper.
        lines: Hold out whole lines of a line pattern instead of single samples.
        consistency: Weight of the same error over :math:`\Theta`. Zero is the paper's loss, which
            suits methods that end by enforcing consistency with the data; to others it leaves the
            centre of k-space, and so the brightness, free.
    """

    def __init__(
        self,
        held_out: float = 0.4,
        masks: int = 1,
        center: tuple[int, int] | None = None,
        density: Literal["gaussian", "uniform"] = "gaussian",
        lines: bool = False,
        consistency: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must lie between 0 and 1, got {held_out}")
        check_at_least(1, masks=masks)
        if consistency < 0:
            raise ValueError(f"consistency must not be negative, got {consistency}")
        self.held_out, self.masks, self.center = held_out, masks, center
        self.density, self.lines, self.consistency = density, lines, consistency
        self._divided: set[torch.Size] = set()

    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        if reconstructor.joint and self.masks > 1:
            raise ConfigError(
                f"objective.masks={self.masks}: {type(reconstructor).__name__} would take the "
                "copies of a frame for frames that follow one another; set objective.masks=1"
            )
        sample = repeated(sample, self.masks)
        seen, held = self.split(sample)
        self._check_held(sample, held)
        image, maps = reconstruct_with_maps(reconstructor, seen)
        predicted = predicted_kspace(sample, image, maps)
        loss = (relative_error(predicted, sample.kspace, held) + unseen(image, maps)).mean()
        if self.consistency:
            error = relative_error(predicted, sample.kspace, seen.mask).mean()
            loss = loss + self.consistency * error
        return loss

    def _check_held(self, sample: Sample, held: Mask) -> None:
        """Refuse what leaves nothing to hold out; on a GPU, that is waited for, once for a size."""
        size = sample.kspace.shape[-2:]
        if held.is_cuda and size in self._divided:
            return
        if held.any():
            self._divided.add(size)
        elif sample.mask.any():
            raise ConfigError(
                f"objective: all that was measured of {sample.key[0]} lies in the fully sampled "
                "centre, which is kept for calibration, so nothing can be held out; choose a "
                "sampling that measures more, or a smaller objective.center"
            )

    def split(self, sample: Sample) -> tuple[Sample, Mask]:
        """Return what the method sees, and the positions that the loss sees."""
        h, w = sample.kspace.shape[-2:]
        if not sample.cartesian:  # readouts as a whole, each as likely as the others
            readouts = sample.mask.any(-2, keepdim=True)
            wanted = (self.held_out * readouts.sum((-2, -1))).round()
            held = self._draw(readouts, wanted, even=True) & sample.mask
            return without(sample, held, None), held
        mask = _lines(sample.mask) if self.lines else sample.mask.expand(-1, h, w)
        extent = self._extent(sample)
        rows: Bool[Tensor, "b h 1"] = in_center(h, extent[..., 0])[..., :, None]
        if mask.shape[-2] == 1:  # whole lines
            rows = torch.ones_like(rows[..., :1, :])
        protected = rows & in_center(w, extent[..., 1])[..., None, :]
        candidates = mask & ~protected
        wanted = (self.held_out * mask.sum((-2, -1))).round()
        held = self._draw(candidates, wanted) & sample.mask
        return without(sample, held, extent), held

    def _extent(self, sample: Sample) -> Extent:
        extent = calibration_extent(sample)
        if self.center is None:
            return extent
        return limited(extent, self.center)

    def _draw(self, candidates: Mask, wanted: Float[Tensor, " b"], even: bool = False) -> Mask:
        """Draw that many candidates, or all, without replacement and by their density."""
        # the largest of log density plus Gumbel noise are such a draw
        noise = torch.rand(candidates.shape, device=candidates.device).clamp(1e-7, 1 - 1e-7)
        score = -torch.log(-torch.log(noise)) + (0.0 if even else self._log_density(candidates))
        score = score.masked_fill(~candidates, -math.inf).flatten(1)
        rank = score.argsort(1, descending=True).argsort(1)
        return (rank < wanted[:, None]).reshape(candidates.shape) & candidates

    def _log_density(self, mask: Mask) -> Float[Tensor, "#h w"] | float:
        if self.density == "uniform":
            return 0.0
        y, x = (
            ((torch.arange(n, device=mask.device) - n // 2) / n / WIDTH) ** 2
            for n in mask.shape[-2:]
        )
        return -(y[:, None] + x) / 2


def _lines(mask: Mask) -> Mask:
    """Return which lines were measured, where nothing but lines was; else the mask as it is."""
    rows, columns = mask.any(-1, keepdim=True), mask.any(-2, keepdim=True)
    return columns if (mask == (rows & columns)).all() else mask


def repeated(sample: Sample, times: int) -> Sample:
    """Return every member of a batch ``times`` times."""
    if times == 1:
        return sample
    repeats = {
        name: tensor.repeat_interleave(times, 0) for name, tensor in sample.tensors().items()
    }
    return sample.replace(
        **repeats,
        neighbors=sample.neighbors and repeated(sample.neighbors, times),
        key=tuple(key for key in sample.key for _ in range(times)),
    )
