"""Several learned methods as one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.guarded import unguarded
from mrirecon.types import Image, Sample


class Ensemble(Reconstructor):
    """Averages the images of several methods, such as one architecture trained from several seeds.

    How far they lie apart tells what the data and the training leave open (Lakshminarayanan,
    Pritzel and Blundell, NeurIPS 2017).

    Args:
        members: Methods that are given the same Samples.

    Raises:
        ConfigError: When there are fewer than two, or they want different neighbours or frames.
    """

    needs_grid = ""

    def __init__(self, members: Sequence[Reconstructor]) -> None:
        super().__init__()
        if len(members) < 2:
            raise ConfigError(f"an ensemble needs at least 2 methods, got {len(members)}")
        wanted = {
            (m.joint, m.windows, m.context, m.context_along if m.context else "") for m in members
        }
        if len(wanted) > 1:
            raise ConfigError(
                "the methods of an ensemble must see the same slices and frames, but "
                f"{' and '.join(sorted({type(unguarded(m)).__name__ for m in members}))} do not; "
                "reconstruct with each alone"
            )
        self.members = nn.ModuleList(members)
        first = members[0]
        self.joint, self.windows = first.joint, first.windows
        self.context, self.context_along = first.context, first.context_along
        self.patients = frozenset().union(*(unguarded(m).patients for m in members))

    @property
    def label(self) -> str:
        """Number and names of the members."""
        names = dict.fromkeys(type(unguarded(m)).__name__ for m in self.each)
        return f"ensemble of {len(self.members)} {' and '.join(names)}"

    @property
    def each(self) -> list[Reconstructor]:
        """The members."""
        return [one for one in self.members if isinstance(one, Reconstructor)]

    def forward(self, sample: Sample) -> Image:
        """Return the mean of the members' complex images."""
        return self._mean([one(sample) for one in self.each])

    def on_canvas(self, sample: Sample, canvas: tuple[int, int]) -> Image:
        """Return it with ``canvas`` pixels over the same field of view."""
        return self._mean([one.on_canvas(sample, canvas) for one in self.each])

    def with_phase(self, sample: Sample) -> Image:
        """Return the mean of the coil-combined images."""
        return self._mean([one.with_phase(sample) for one in self.each])

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        """Return the remarks of all members, each once."""
        return tuple(dict.fromkeys(text for one in self.each for text in one.remarks(sample)))

    @staticmethod
    def _mean(images: list[Tensor]) -> Tensor:
        return torch.stack(images).mean(0)
