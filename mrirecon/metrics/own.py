"""Metrics of a user: any function of two arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.metrics.base import Metric, MetricInfo, Volume, Where
from mrirecon.users_code import users_code


@dataclass(frozen=True)
class OwnMetric(Metric):
    """A function as a metric, called with the image and the reference as NumPy arrays.

    Args:
        function: Function of two float64 arrays ``slice y x``, the image first; returns a number.
        name: Name in tables and files.
        higher_is_better: Whether better images have higher values; None when nobody says.
    """

    function: Callable[..., Any]
    name: str
    higher_is_better: bool | None = None

    @property
    def info(self) -> MetricInfo:
        """How the values are written and read."""
        return MetricInfo(self.name, self.name, higher_is_better=self.higher_is_better)

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        if where is not None:
            raise ConfigError(
                f"{self.name}: a function cannot be restricted to a region; make it a class that "
                "extends mrirecon.metrics.Metric, or leave it out"
            )
        with users_code(f"metrics: {self.name}", self.function):
            found = self.function(image.cpu().numpy().copy(), reference.cpu().numpy().copy())
        try:
            return torch.tensor(float(found), dtype=torch.float64)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{self.name}: expected a function that returns a number, got "
                f"{type(found).__name__}"
            ) from error
