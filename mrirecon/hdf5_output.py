"""New HDF5 files, on disks that may be full."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

KEPT = 2**20
"""Bytes of what could not be written up to which it is remembered: all but the arrays."""


class _Disk(io.RawIOBase):
    """A file that never fails: the HDF5 library crashes where it cannot write, then or at its end.

    What the library may want to read again is remembered when it could not be written; it does not
    read arrays again.

    Attributes:
        error: The first failure, None while there is none.
    """

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self._place = 0
        self._lost: dict[int, bytes] = {}
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        end = max([self._file.seek(0, io.SEEK_END), *(a + len(b) for a, b in self._lost.items())])
        self._place = offset + (0, self._place, end)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        lost = self._lost.get(self._place, b"")
        if len(lost) < len(view):
            self._file.seek(self._place)
            lost = (self._file.read(len(view)) or b"").ljust(len(view), b"\0")
        view[:] = lost[: len(view)]
        self._place += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        try:
            if self.error is None:
                self._write(view)
        except OSError as error:
            self.error = error
        if self.error is not None and len(view) <= KEPT:
            self._lost[self._place] = bytes(view)
        self._place += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        size = self._place if size is None else size
        try:
            if self.error is None:
                self._file.truncate(size)
        except OSError as error:
            self.error = error
        return size

    def _write(self, view: memoryview) -> None:
        self._file.seek(self._place)
        written = 0
        while written < len(view):  # a disk that is nearly full takes a part
            written += self._file.write(view[written:])


class NewFile(h5py.File):
    """An HDF5 file that is being written; what its disk refuses is told when asked, and at the end.

    Args:
        disk: File that is written to, as :mod:`h5py` sees it.
        **options: Options of :class:`h5py.File`.
    """

    def __init__(self, disk: _Disk, **options: Any) -> None:
        self._disk = disk
        super().__init__(disk, "w", **options)

    def check(self) -> None:
        """Raise the OSError of a write that has failed; for writers that take long."""
        if self._disk.error is not None:
            raise self._disk.error


@contextmanager
def created_hdf5(path: Path, **options: Any) -> Iterator[NewFile]:
    """Yield a new HDF5 file at ``path``, which is complete and closed after the block.

    Args:
        path: Path of the file; replaced when it exists.
        **options: Options of :class:`h5py.File`.

    Raises:
        OSError: When it cannot be written; also when only its last part cannot.
    """
    with path.open("w+b", buffering=0) as raw:
        disk = _Disk(raw)
        try:
            with NewFile(disk, **options) as file:
                yield file
        except Exception as error:
            if disk.error is None:
                raise
            raise disk.error from error  # what the library cannot read again follows from it
        if disk.error is not None:
            raise disk.error
