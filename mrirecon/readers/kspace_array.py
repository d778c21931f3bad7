"""A k-space array in HDF5: its axes and number format, and which of its samples were measured."""

from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np
import torch
from jaxtyping import Bool, Complex64
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.readers.hdf5 import read

Shape = tuple[int, int]
PROBED_SLICES = 4
"""Slices that are searched for unmeasured (exactly zero) samples, spread over the volume."""
SCATTERED = 0.05
"""Exact zeros outside zero lines and rows mean undersampling only when they are more than this."""


@dataclass(frozen=True)
class KSpaceArray:
    """The layout of a dataset (slice, coil, h, w) or (slice, h, w).

    Attributes:
        slices, coils, grid: Counts.
        axes: 4, or 3 for a single coil without a coil axis.
        kind: ``complex``, ``pairs`` (a last axis of real and imaginary part) or ``fields``.
        notes: What was converted, one sentence each.
    """

    slices: int
    coils: int
    grid: Shape
    axes: int
    kind: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: h5py.Dataset) -> "KSpaceArray":
        """Recognise the layout of ``dataset``.

        Raises:
            RawDataError: When it has other axes, no complex numbers, or no samples.
        """
        shape, dtype, notes = dataset.shape, dataset.dtype, []
        if dtype.kind == "c":
            kind = "complex"
        elif dtype.names and {"real", "imag"} == set(dtype.names):
            kind = "fields"
        elif dtype.kind == "f" and shape and len(shape) > 1 and shape[-1] == 2:
            kind, shape = "pairs", shape[:-1]
        else:
            kind = ""
        if kind != "complex" or dtype.itemsize != 8:
            notes.append(f"k-space is stored as {dtype} and was converted to complex64.")
        if not kind or not shape or len(shape) not in (3, 4) or 0 in shape:
            raise RawDataError(
                f"'kspace' is {dataset.shape} {dtype}, expected complex (slice, coil, h, w) or "
                "(slice, h, w), or real with a last axis of length 2; reorder its axes"
            )
        coils = shape[1] if len(shape) == 4 else 1
        return cls(shape[0], coils, (shape[-2], shape[-1]), len(shape), kind, tuple(notes))

    def read(
        self, dataset: h5py.Dataset, index: int, coil: int | None = None
    ) -> Complex64[np.ndarray, "coil h w"]:
        """Read one slice, or one coil of it.

        Raises:
            RawDataError: When it cannot be read or is not finite.
        """
        one_coil = coil is not None and self.axes == 4
        values = np.asarray(read(dataset, (index, coil) if one_coil else index))
        if self.kind == "pairs":
            values = values[..., 0] + 1j * values[..., 1]
        elif self.kind == "fields":
            values = values["real"] + 1j * values["imag"]
        values = values.astype(np.complex64, copy=False).reshape(-1, *self.grid)
        if not np.isfinite(values.view(np.float32)).all():
            raise RawDataError(
                f"slice {index} of 'kspace' holds values that are not finite (NaN or infinity)"
            )
        return np.ascontiguousarray(values)


def stored_mask(dataset: h5py.Dataset, grid: Shape) -> Bool[Tensor, "#h w"]:
    """Read a ``mask`` dataset of shape (w) or (h, w); every value but 0 means sampled.

    Raises:
        RawDataError: When it has another shape.
    """
    h, w = grid
    values = np.asarray(read(dataset)) if isinstance(dataset, h5py.Dataset) else np.zeros(0)
    if values.shape not in ((w,), (1, w), (h, w)) or values.dtype.kind not in "biuf":
        raise RawDataError(
            f"'mask' is {values.shape} {values.dtype}, but k-space is (h, w) = {grid}: "
            f"expected a mask of shape ({w},) or ({h}, {w}); correct or delete it"
        )
    return torch.from_numpy((values != 0).reshape(-1, w))


def measured_mask(
    dataset: h5py.Dataset, array: KSpaceArray, told: Bool[Tensor, "#h w"], notes: list[str]
) -> Bool[Tensor, "#h w"]:
    """Return which of the samples ``told`` to be measured are not filled up with zeros.

    Measured noise is never exactly zero in all coils of a line. So columns and rows that are
    entirely zero are unmeasured. Zeros scattered over the rest are a 2-D pattern when there are
    many of them; a few are rounding. Nothing is read beyond the first coil that has no zeros.

    Raises:
        RawDataError: When all that was told to be measured is zero, and the rest is not.
    """
    known = np.broadcast_to(told.numpy(), array.grid)
    nonzero = np.zeros(array.grid, bool)
    lines: set[bytes] = set()
    for block in _probe(dataset, array):
        sampled = np.any(block != 0, axis=0)
        nonzero |= sampled
        if nonzero[known].all() and known.any() and not lines:
            return told
        if len(block) == array.coils and sampled.any():  # a whole slice, and not an empty one
            lines.add(sampled.any(axis=0).tobytes())
    if len(lines) > 1:
        raise RawDataError(
            "the slices of 'kspace' have zeros in different columns: each was sampled in its own "
            "way, but one mask must hold for all; store them in files of their own, or fill in a "
            "'mask' of shape (w) that all share"
        )
    found = nonzero & known
    if not found.any():
        if nonzero.any():
            raise RawDataError(
                "'mask' and the header's encoding limits leave only samples that are zero; "
                "check that they belong to this k-space"
            )
        notes.append("k-space is zero everywhere that was looked at.")
        return told
    columns = np.asarray(found.any(axis=0) | ~known.any(axis=0))
    rows = np.asarray(found.any(axis=1) | ~known.any(axis=1))
    filled = rows[:, None] & columns[None, :] & known
    if found[filled].mean() < 1 - SCATTERED:
        share = 1 - found.sum() / known.sum()
        notes.append(f"{share:.1%} of k-space is exactly zero, scattered: taken as unmeasured.")
        return torch.from_numpy(found)
    for name, kept in (("columns (phase encoding)", columns), ("rows (readout)", rows)):
        if not kept.all():
            inside = np.flatnonzero(kept)
            edges = len(inside) == inside[-1] - inside[0] + 1
            notes.append(
                f"{int((~kept).sum())} of {len(kept)} {name} are exactly zero, "
                f"{'at the edges' if edges else 'between measured ones'}: taken as unmeasured."
            )
    return torch.from_numpy(filled if not rows.all() else columns[None, :]) & told


def _probe(dataset: h5py.Dataset, array: KSpaceArray) -> Iterator[np.ndarray]:
    """Yield one coil first, which is enough for k-space without zeros, then whole slices."""
    count = min(PROBED_SLICES, array.slices)
    chosen = {round((i + 0.5) * array.slices / count - 0.5) for i in range(count)}
    order = sorted(chosen, key=lambda index: abs(index - array.slices // 2))
    yield array.read(dataset, order[0], coil=0)
    for index in order:
        yield array.read(dataset, index)
