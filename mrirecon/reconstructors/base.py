"""What every reconstruction method is, classical or learned."""

from abc import ABC, abstractmethod

from torch import nn

from mrirecon.types import Image, Sample


class Reconstructor(nn.Module, ABC):
    """Maps a Sample to an image; ``train``, ``reconstruct`` and ``evaluate`` know nothing more.

    A classical method simply has no parameters. The image has the full grid ``h w`` and the
    units of ``sample.kspace``; interpolation, cropping and rescaling happen once, outside.
    """

    @abstractmethod
    def forward(self, sample: Sample) -> Image:
        """Return the complex image of every member of the batch."""

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train."""
        return any(parameter.requires_grad for parameter in self.parameters())
