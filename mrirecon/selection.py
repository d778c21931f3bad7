"""A selection of slices and frames of a scan."""

from collections.abc import Sequence
from dataclasses import dataclass

from mrirecon.errors import ConfigError

Choice = int | str | Sequence[int | str] | None


@dataclass(frozen=True)
class Selection:
    """What ``slices=`` and ``frames=`` say: ``3``, ``0:10``, ``::2`` or a list of these.

    They count from 0, and from the end when negative; None is all of them. Order and repetition are
    of no account.
    """

    slices: Choice = None
    frames: Choice = None

    def chosen_slices(self, count: int) -> tuple[int, ...]:
        """Return the numbers of the wanted ones of ``count`` slices, in order."""
        return _numbers(self.slices, count, "slices")

    def chosen_frames(self, count: int) -> tuple[int, ...]:
        """Return the numbers of the wanted ones of ``count`` frames, in order."""
        return _numbers(self.frames, count, "frames")


def _numbers(choice: Choice, count: int, what: str) -> tuple[int, ...]:
    """Return the chosen numbers of ``range(count)``.

    Raises:
        ConfigError: When there is no such slice or frame, or none is left.
    """
    if choice is None:
        return tuple(range(count))
    parts = [choice] if isinstance(choice, int | str) else choice
    chosen = sorted({number for part in parts for number in _part(part, count, what)})
    if not chosen:
        raise ConfigError(f"{what}: {choice} chooses none of the {count} (0 to {count - 1})")
    return tuple(chosen)


def _part(part: int | str, count: int, what: str) -> Sequence[int]:
    try:
        bounds = [int(text) if text.strip() else None for text in str(part).split(":")]
    except ValueError:
        bounds = []
    if not 1 <= len(bounds) <= 3 or bounds == [None] or bounds[2:] == [0]:
        raise ConfigError(f"{what}: expected 3, 0:10, ::2 or a list of these, got {part!r}")
    if len(bounds) > 1:
        return range(count)[slice(*bounds)]
    (number,) = bounds
    assert number is not None  # bounds would be [None]
    if not -count <= number < count:
        raise ConfigError(f"{what}: there is no {number}; the scan has {count}, 0 to {count - 1}")
    return [number % count]
