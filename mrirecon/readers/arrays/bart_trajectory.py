"""BART: non-Cartesian k-space, whose trajectory ``reading.trajectory`` names."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_words import Stored
from mrirecon.readers.arrays.bart_pair import DIMENSIONS, MEANING, open_pair, pair_of
from mrirecon.readers.arrays.trajectory_scan import TrajectoryScan


class BartTrajectoryScan(TrajectoryScan):
    """k-space of BART's radial and spiral scans, samples and readouts first.

    They are ``PHS1 PHS2``, as BART's own tools write them, or ``READ PHS1``.

    Raises:
        RawDataError: When one of the pair is missing or there are other dimensions.
    """

    format = "BART with trajectory"
    layout = "a .cfl file with its .hdr beside it, and reading.trajectory"
    choices = tuple(one for one in TrajectoryScan.choices if one not in ("axes", "variable"))

    @classmethod
    def detect(cls, path: Path) -> bool:  # noqa: ARG003 - which reader it is, the user tells
        return False

    @classmethod
    def parts(cls, path: Path) -> tuple[Path, ...]:
        return pair_of(path)

    def open(self) -> AbstractContextManager[Mapping[str, Any]]:
        return nullcontext({"kspace": open_pair(self.path)})

    def values(self, file: Mapping[str, Any]) -> Stored:
        stored = file["kspace"]
        view: np.ndarray = stored[tuple(slice(None) if word else 0 for word in _words(stored))]
        return view

    def own_places(
        self,
        file: Mapping[str, Any],  # noqa: ARG002
        name: str | None,  # noqa: ARG002
    ) -> tuple[np.ndarray, str] | None:
        return None

    def axes(self, stored: Stored) -> tuple[str, ...]:  # noqa: ARG002 - already squeezed
        whole = open_pair(self.path)
        return tuple(word for word in _words(whole) if word)


def _words(stored: np.ndarray) -> tuple[str, ...]:
    """Return what each dimension means; empty for those of length one that mean nothing here.

    Raises:
        RawDataError: When others are longer.
    """
    sizes = dict(zip(DIMENSIONS, stored.shape, strict=True))
    first = 1 if sizes["READ"] == 1 else 0
    meaning = {DIMENSIONS[first]: "h", DIMENSIONS[first + 1]: "w", **MEANING}
    other = [name for name, size in sizes.items() if size > 1 and name not in meaning]
    if other:
        raise RawDataError(
            f"there are {sizes[other[0]]} along {other[0]}, expected samples along PHS1 and "
            "readouts along PHS2 (or READ and PHS1) of k-space in a plane; a stack of stars is "
            "Fourier transformed along its partitions first: 'bart fft -u -i', then "
            "'bart transpose' moves them to dimension 13 (SLICE)"
        )
    return tuple(meaning.get(name, "") for name in DIMENSIONS)
