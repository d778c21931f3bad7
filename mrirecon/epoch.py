"""The epoch of a training run, for what is drawn while a slice is prepared.

Sampling patterns and augmentations may change over the epochs. They are called deep inside a
transform, in a worker process that outlives epochs, so whoever prepares a slice for training says
here for which epoch; like the random numbers, it is a fact of the moment and no argument.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_EPOCH: ContextVar[int | None] = ContextVar("epoch", default=None)


@contextmanager
def training_epoch(number: int | None) -> Iterator[None]:
    """Prepare slices for this epoch, from zero, until the block ends; None is no training."""
    token = _EPOCH.set(number)
    try:
        yield
    finally:
        _EPOCH.reset(token)


def current_epoch() -> int | None:
    """Return the epoch that a slice is prepared for; None in validation and outside of training."""
    return _EPOCH.get()
