"""What was last made of the readouts of a reference scan."""

from collections.abc import Callable
from typing import Generic, TypeVar

from mrirecon.raw.readouts import Index

Made = TypeVar("Made")


class LastReference(Generic[Made]):
    """Keeps what was made of the last reference scan, which frames of a slice share."""

    def __init__(self) -> None:
        self._last: tuple[tuple[int, ...], Made] | None = None

    def of(self, lines: Index, make: Callable[[Index], Made]) -> Made | None:
        """Return what is made of readouts; None when there are none.

        Args:
            lines: Numbers of the readouts.
            make: Function that makes it of these numbers.
        """
        if not len(lines):
            return None
        key = (int(lines[0]), int(lines[-1]), len(lines))
        if self._last is None or self._last[0] != key:
            self._last = (key, make(lines))
        return self._last[1]
