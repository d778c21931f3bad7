"""Normalised errors of a volume, as fastMRI's ``evaluate.py`` (arXiv:1811.08839)."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from mrirecon.metrics.base import Metric, MetricInfo, Volume, Where


@dataclass(frozen=True)
class Nmse(Metric):
    r"""Normalised mean squared error of the volume, :math:`\|x-r\|^2/\|r\|^2`."""

    info: ClassVar[MetricInfo] = MetricInfo(
        "nmse", "NMSE", digits=4, higher_is_better=False, meaning="of the energy of the reference"
    )

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        error, energy = (image - reference).square(), reference.square()
        if where is not None:
            error, energy = error[where], energy[where]
        return error.sum() / energy.sum()


@dataclass(frozen=True)
class Nrmse(Nmse):
    r"""Normalised root-mean-square error of the volume, :math:`\|x-r\|/\|r\|`."""

    info: ClassVar[MetricInfo] = MetricInfo(
        "nrmse", "NRMSE", digits=4, higher_is_better=False, meaning="of the norm of the reference"
    )

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        return super()._value(image, reference, where).sqrt()
