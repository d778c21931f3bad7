"""Values of an HDF5 dataset that were never written, which HDF5 reads as zeros without a word."""

from dataclasses import dataclass
from math import prod

import h5py
import numpy as np
from jaxtyping import Bool, Int64

from mrirecon.errors import RawDataError

MOST_BLOCKS, MOST_CELLS = 2**16, 2**26
"""Blocks of a virtual dataset, and chunks, that are looked at."""
LISTED = 8


@dataclass(frozen=True)
class Coverage:
    """Which values of a dataset were written: it is cut into cells that were, or were not.

    Attributes:
        written: Whether each cell was written.
        cells: The cell in which each position along an axis lies, for every axis.
    """

    written: Bool[np.ndarray, "..."]
    cells: tuple[Int64[np.ndarray, "_"], ...]

    def missing(self, axes: tuple[int, ...]) -> np.ndarray:
        """Return where along these axes nothing at all was written."""
        others = tuple(axis for axis in range(self.written.ndim) if axis not in axes)
        nothing = np.asarray(~self.written.any(axis=others))
        return np.asarray(nothing[np.ix_(*(self.cells[axis] for axis in axes))])


def coverage(dataset: h5py.Dataset) -> Coverage | None:
    """Tell what of a dataset was written; None when all of it was.

    Raises:
        RawDataError: When nothing was, or what was not reads as something else than zero.
    """
    if not dataset.shape or 0 in dataset.shape:
        return None
    made = dataset.id.get_create_plist()
    layout = made.get_layout()
    none = layout == h5py.h5d.CONTIGUOUS and not dataset.id.get_storage_size()
    none |= layout == h5py.h5d.CHUNKED and not dataset.id.get_num_chunks()
    if none and not made.get_external_count():
        raise _never(dataset)
    if layout == h5py.h5d.CHUNKED:
        found = _chunks(dataset)
    elif layout == h5py.h5d.VIRTUAL:
        found = _blocks(dataset)
    else:
        return None
    if found is None or found.written.all():
        return None
    if not found.written.any():
        raise _never(dataset)
    if dataset.dtype.kind in "biufc" and np.any(dataset.fillvalue != 0):
        raise RawDataError(
            f"some of '{dataset.name}' was never written and reads as {dataset.fillvalue}; copy or "
            "convert the file again"
        )
    return found


def _never(dataset: h5py.Dataset) -> RawDataError:
    return RawDataError(
        f"'{dataset.name}' was created but never written; copy or convert the file again"
    )


def refuse_unwritten(dataset: object) -> None:
    """Refuse a dataset of which something was never written; anything else passes.

    Raises:
        RawDataError: When it was not.
    """
    found = coverage(dataset) if isinstance(dataset, h5py.Dataset) else None
    if found is not None:
        first = numbers(np.flatnonzero(found.missing((0,))))
        where = f" (nothing of {first} along its first axis)" if first else ""
        raise RawDataError(
            f"some of '{dataset.name}' was never written{where}: the file was not written to its "  # type: ignore[attr-defined]
            "end; copy or convert it again"
        )


def numbers(found: np.ndarray) -> str:
    """List some numbers, for messages."""
    return ", ".join(map(str, found[:LISTED])) + (", …" if len(found) > LISTED else "")


def endless(space: h5py.h5s.SpaceID) -> bool:
    """Tell whether a selection of a virtual dataset grows with its source."""
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return False
    _, _, count, block = space.get_regular_hyperslab()
    return any(n >= h5py.h5s.UNLIMITED for n in (*count, *block))


def _chunks(dataset: h5py.Dataset) -> Coverage | None:
    """Return which chunks are there; None when all are."""
    shape = tuple(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
    if dataset.id.get_num_chunks() >= prod(shape):
        return None
    written = _cells(dataset, shape)

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        place = tuple(n // c for n, c in zip(chunk.chunk_offset, dataset.chunks, strict=True))
        if all(n < size for n, size in zip(place, shape, strict=True)):
            written[place] = True

    dataset.id.chunk_iter(note)
    cells = (np.arange(n) // c for n, c in zip(dataset.shape, dataset.chunks, strict=True))
    return Coverage(written, tuple(cells))


def _blocks(dataset: h5py.Dataset) -> Coverage:
    """Return what the sources of a virtual dataset fill."""
    blocks = [block for source in dataset.virtual_sources() for block in _boxes(source.vspace)]
    if len(blocks) > MOST_BLOCKS:
        raise RawDataError(
            f"'{dataset.name}' is put together from {len(blocks)} blocks, expected at most "
            f"{MOST_BLOCKS}; write its values into one dataset"
        )
    inside, cells = [], []
    for axis, size in enumerate(dataset.shape):
        # positions in the same blocks are one cell
        edges = np.unique([0, *(e for low, high in blocks for e in (low[axis], high[axis] + 1))])
        cells.append(np.searchsorted(edges, np.arange(size), side="right") - 1)
        inside.append([np.searchsorted(edges, (low[axis], high[axis] + 1)) for low, high in blocks])
    written = _cells(dataset, tuple(int(cell[-1]) + 1 for cell in cells))
    for places in zip(*inside, strict=True):
        written[tuple(slice(first, last) for first, last in places)] = True
    return Coverage(written, tuple(cells))


def _cells(dataset: h5py.Dataset, shape: tuple[int, ...]) -> Bool[np.ndarray, "..."]:
    if max(prod(shape), *dataset.shape) > MOST_CELLS:
        raise RawDataError(
            f"'{dataset.name}' {dataset.shape} is cut into {prod(shape)} pieces, of which some "
            f"were never written; expected at most {MOST_CELLS}: the file is damaged, copy it again"
        )
    return np.zeros(shape, bool)


def _boxes(space: h5py.h5s.SpaceID) -> np.ndarray:
    """Return first and last position of each block of a selection, (block, 2, axis)."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return np.array([[[0] * len(space.shape), [n - 1 for n in space.shape]]])
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS:
        raise RawDataError("a virtual dataset is put together from points, expected blocks")
    if space.get_select_hyper_nblocks() > MOST_BLOCKS:
        raise RawDataError(f"a virtual dataset has a source of more than {MOST_BLOCKS} blocks")
    return np.asarray(space.get_select_hyper_blocklist())
