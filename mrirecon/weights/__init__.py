"""Learned weights known by name: where they come from, what they learned from, how to get them."""

from mrirecon.weights.places import weights_file, weights_folder
from mrirecon.weights.registry import Entry, Score, WeightsFile, entries, entry_named

__all__ = [
    "Entry",
    "Score",
    "WeightsFile",
    "entries",
    "entry_named",
    "weights_file",
    "weights_folder",
]
