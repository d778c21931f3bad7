"""The contract of networks between features, and what enters them beside an image."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.errors import ShapeError
from mrirecon.networks.parts.conditioning import FeatureModulation

#: The last features of each level of a network, finest first.
Levels = tuple[Tensor, ...]
#: Those of earlier cascades, the latest first.
History = tuple[Levels, ...]


class FeatureNetwork(nn.Module, ABC):
    """Maps features to features on the same grid; what it is for is decided around it.

    Attributes:
        inputs: Features it takes.
        outputs: Features it gives.
        multiple: What the height and the width must be a multiple of.
        history: Number of earlier cascades whose features it takes; 0 when it takes none.
        condition: Length of the embedding it takes; 0 when it takes none.
        entries: A :class:`LevelEntry` for each level.
        encoder: Blocks that follow the entry on each level.
        down: Layers that lead from each level to the next.
    """

    inputs: int
    outputs: int
    multiple: int
    history: int
    condition: int
    entries: nn.ModuleList
    encoder: nn.ModuleList
    down: nn.ModuleList

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "b inputs h w"],
        history: History = (),
        condition: Float[Tensor, "b e"] | None = None,
    ) -> tuple[Float[Tensor, "b outputs h w"], History]:
        """Return the features and the history that the next cascade takes.

        Args:
            x: Features, say of an image.
            history: What the previous cascade returned; nothing before the first.
            condition: An embedding of what is known about the data, of each member.
        """

    def check(self, x: Tensor, condition: Tensor | None) -> None:
        """Refuse an input that does not fit.

        Raises:
            ShapeError: Naming the size and what was expected.
        """
        if x.shape[-2] % self.multiple or x.shape[-1] % self.multiple:
            raise ShapeError(
                f"{type(self).__name__} takes sizes that are multiples of {self.multiple}, "
                f"got {tuple(x.shape[-2:])}; pad the image"
            )
        length = 0 if condition is None else condition.shape[-1]
        if length != self.condition:
            raise ShapeError(
                f"{type(self).__name__} was made for an embedding of {self.condition} numbers "
                f"(0: none), got {length}; set its condition={length}"
            )

    def encoded(self, x: Tensor, history: History, condition: Tensor | None) -> list[Tensor]:
        """Return the features of each level of the encoder, finest first.

        Raises:
            ShapeError: When the size or the embedding does not fit.
        """
        self.check(x, condition)
        levels: list[Tensor] = []
        for level, (entry, blocks) in enumerate(zip(self.entries, self.encoder, strict=True)):
            x = self.down[level - 1](x) if level else x
            x = blocks(entry(x, of_level(history, level), condition))
            levels.append(x)
        return levels

    def remember(self, levels: Levels, history: History) -> History:
        """Put the features of this cascade before those of earlier ones, and drop the oldest."""
        return (levels, *history)[: self.history]


class LevelEntry(nn.Module):
    r"""Lets the history and an embedding into the features of one level.

    .. math:: f \leftarrow (1 + a_c) \odot \Big(f + \sum_i W_i f_i\Big) + b_c

    for the features :math:`f_i` of earlier cascades on this level (Xin et al., ECCV 2024) and a
    scaling and shift of each feature that are linear in the embedding :math:`c` (Perez et al., AAAI
    2018) and start as none. Without history and embedding it is the identity.

    Args:
        channels: Features of the level.
        carried: Features that a cascade leaves for the next ones on this level.
        history: Number of cascades to look back.
        condition: Length of the embedding.
    """

    def __init__(self, channels: int, carried: int, history: int = 0, condition: int = 0) -> None:
        super().__init__()
        self.carried = carried
        self.past = nn.Conv2d(carried * history, channels, 1, bias=False) if history else None
        self.modulation = FeatureModulation(condition, channels) if condition else None

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        past: Sequence[Tensor],
        condition: Float[Tensor, "b e"] | None,
    ) -> Float[Tensor, "b c h w"]:
        """Return the features of the level; ``past`` may be shorter than the history."""
        if self.past is not None:
            # a pixel of zeros keeps the weights of the first cascade in the graph; one convolution
            # for each cascade spares a copy of all features, one after the other
            for i, features in enumerate(past or [x.new_zeros(x.shape[0], self.carried, 1, 1)]):
                weight = self.past.weight[:, i * self.carried : (i + 1) * self.carried]
                x = x + F.conv2d(features, weight)
        if self.modulation is not None and condition is not None:
            x = self.modulation(x, condition)
        return x


def of_level(history: History, level: int) -> list[Tensor]:
    """Return the features of one level of every cascade in the history."""
    return [levels[level] for levels in history]
