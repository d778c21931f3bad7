"""Consistency training: what is known of images without a reference joins another objective."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.unrolled import coil_maps
from mrirecon.sensitivity.base import CalibrationError, SensitivityEstimator, calibration_extent
from mrirecon.training.objectives.base import Objective
from mrirecon.training.objectives.perturbations import Perturbation
from mrirecon.types import Sample


class Consistency(Objective):
    r"""An objective plus the demand that perturbed scans give the same image, perturbed alike.

    .. math:: \mathcal{L}(f, y) + \lambda\,
              \frac{\|f(P y) - T f(y)\|_1}{\|T f(y)\|_1}

    :math:`P` is what happens to the measurement and :math:`T` to the image: noise or motion leave
    the image, mirroring turns it. No gradient passes through :math:`T f(y)`. With noise this is
    Noise2Recon (Desai et al., Magn Reson Med 90:2052, 2023), with motion and transformed anatomy
    VORTEX (Desai et al., MIDL 2022).

    Training is semi-supervised when the objective is supervised and some scans have no reference:
    these contribute the second term only. It does not suffice alone, for a method that paints the
    same image of every scan is perfectly consistent; so some scans must have one.

    Args:
        objective: The objective :math:`\mathcal{L}`.
        perturbations: Perturbations that are applied one after the other.
        weight: Weight :math:`\lambda` of the second term.
    """

    def __init__(
        self, objective: Objective, perturbations: Sequence[Perturbation], weight: float = 0.1
    ) -> None:
        super().__init__()
        if not perturbations:
            raise ValueError("perturbations must list at least one, got none")
        if weight <= 0:
            raise ValueError(f"weight must be positive, got {weight}")
        self.objective, self.perturbations, self.weight = objective, tuple(perturbations), weight
        self.needs_some_targets = objective.needs_target or objective.needs_some_targets

    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        consistency = self.weight * self.inconsistency(reconstructor, sample)
        if self.objective.needs_target and sample.target is None:
            return consistency
        loss: Float[Tensor, ""] = self.objective(reconstructor, sample) + consistency
        return loss

    def check(self, reconstructor: Reconstructor, sample: Sample) -> None:
        """Refuse perturbations that may leave too small a centre to calibrate on."""
        self.objective.check(reconstructor, sample)
        least = sample
        for perturbation in self.perturbations:
            least = perturbation.least_calibrated(least)
        if calibration_extent(least).equal(calibration_extent(sample)):
            return
        for module in reconstructor.modules():
            if isinstance(module, SensitivityEstimator):
                _check_calibrates(module, sample, least)

    def inconsistency(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        """Return the relative difference of the images, a mean over the batch."""
        perturbed = sample.replace(target=None)
        with torch.no_grad():
            expected = reconstructor(perturbed)
        torch.clear_autocast_cache()  # some versions of PyTorch keep casts that have no gradient
        for perturbation in self.perturbations:
            perturbed, expected = perturbation(perturbed, expected)
        image = reconstructor(perturbed)
        error, size = (v.abs().sum((-2, -1)) for v in (image - expected, expected))
        return (error / torch.where(size == 0, 1.0, size)).mean()


@torch.no_grad()
def _check_calibrates(estimator: SensitivityEstimator, sample: Sample, least: Sample) -> None:
    try:
        coil_maps(estimator, least)
    except CalibrationError as error:
        coil_maps(estimator, sample)  # unless mirroring is the cause, this tells it
        raise ConfigError(
            f"objective.perturbations: FlipAndShift leaves an odd number of the central lines of "
            f"{sample.key[0]}, and then {error}; or set flip=false of FlipAndShift"
        ) from error
