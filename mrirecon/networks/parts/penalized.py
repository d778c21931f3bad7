"""Networks that want a term of their own in the loss."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class Penalized(nn.Module, ABC):
    """A network with a property that no loss of the image teaches it, such as an inverse pair.

    :class:`mrirecon.training.WithPenalty` adds the penalty to any objective.
    """

    @abstractmethod
    def penalty(self, *inputs: Any) -> Float[Tensor, ""]:
        """Return how far the network is from it, for the inputs of one call."""
