"""Errors of velocities as metrics: they compare volumes of velocities, not of magnitudes."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mrirecon.metrics.base import Metric, MetricInfo, Volume, Where
from mrirecon.metrics.phase_contrast import check_venc, phase_error, velocity_bias, velocity_error


@dataclass(frozen=True)
class FlowMetric(Metric):
    """A metric of velocities in cm/s.

    Attributes:
        venc: Velocity in cm/s beyond which velocities are wrapped.
    """

    venc: float
    compares: ClassVar[Literal["magnitude", "velocity"]] = "velocity"

    def __post_init__(self) -> None:
        check_venc(self.venc)


class VelocityError(FlowMetric):
    """Root-mean-square error of velocities around the circle, in cm/s."""

    info: ClassVar[MetricInfo] = MetricInfo(
        "velocity_error", "velocity error", "cm/s", 2, higher_is_better=False, meaning="cm/s"
    )

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        return torch.tensor(velocity_error(image, reference, self.venc, where), dtype=torch.double)


class VelocityBias(FlowMetric):
    """Mean error of velocities in cm/s, by which flow through a vessel is wrong."""

    info: ClassVar[MetricInfo] = MetricInfo(
        "velocity_bias", "velocity bias", "cm/s", 2, meaning="cm/s"
    )

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        return torch.tensor(velocity_bias(image, reference, self.venc, where), dtype=torch.double)


class PhaseError(FlowMetric):
    """Root-mean-square error of the phase difference of two encodings, in radians."""

    info: ClassVar[MetricInfo] = MetricInfo(
        "phase_error", "phase error", "rad", 4, higher_is_better=False, meaning="rad"
    )

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        radians = math.pi / self.venc
        error = phase_error(image * radians, reference * radians, where)
        return torch.tensor(error, dtype=torch.double)


def flow_metrics(venc: float) -> dict[str, Metric]:
    """Return the metrics of velocities by name.

    Args:
        venc: Velocity in cm/s beyond which velocities are wrapped.

    Raises:
        ValueError: When it is not above zero.
    """
    found = (VelocityError(venc), VelocityBias(venc), PhaseError(venc))
    return {metric.info.name: metric for metric in found}
