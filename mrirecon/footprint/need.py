"""Bytes that a method, or a step of its training, takes."""

from dataclasses import dataclass

GB = 2**30


@dataclass(frozen=True)
class Need:
    """Bytes at the peak, as tensors hold them.

    Attributes:
        weights: Bytes of the parameters and buffers of the model.
        training: Bytes besides them that a training holds all the time: gradients, the state of the
            optimizer, copies of the weights.
        update: Bytes that an update of the weights takes for a moment.
        member: Bytes that each slice of a batch takes at the peak.
        batch: Number of slices computed at once.
        heap: Bytes that the machine holds beside those that tensors use.
    """

    weights: int
    member: int
    batch: int
    training: int = 0
    update: int = 0
    heap: int = 0

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        momentary = max(self.update, self.member * self.batch)
        return self.weights + self.training + momentary + self.heap

    @property
    def beyond(self) -> int:
        """Bytes at the peak beyond the weights."""
        return self.total - self.weights

    def told(self) -> str:
        """Say it in words."""
        held = self.weights + self.training
        slices = "one slice" if self.batch == 1 else f"{self.batch} slices"
        kept = "weights, gradients and optimizer" if self.training else "weights"
        parts = f" ({size(held)} {kept}, {size(self.total - held)} for {slices})"
        return f"{size(self.total)}{parts if held >= self.total / 100 else ''}"


def size(count: int) -> str:
    """Return a number of bytes with its unit, to two digits."""
    return f"{count / GB:.1f} GB" if count >= GB else f"{max(1, round(count / 2**20))} MB"
