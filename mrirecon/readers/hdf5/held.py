"""HDF5 files that give only what they hold themselves.

HDF5 lets a file show what lies in others, without a word: external links, values in other files
("external storage"), and virtual datasets. A raw file that names any other file of the disk could
so bring another patient's data into an image, and the place of a dataset is one in its own file.
Hence the one rule of all readers: external links and external storage are refused by name before
the other file is opened; a virtual dataset is read when its sources lie in the folder of the file,
or below it, and all are there (:mod:`mrirecon.readers.hdf5.virtual`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from mrirecon.errors import RawDataError
from mrirecon.readers.hdf5.links import refuse_external_storage, refuse_way_out, shown, way_out
from mrirecon.readers.hdf5.virtual import check_sources


class HeldGroup(h5py.Group):  # type: ignore[misc]
    """A group whose items are given only when they lie in the file.

    Attributes:
        sources: Files of which virtual datasets are put together, as far as they were asked for.
    """

    sources: set[Path]

    def __getitem__(self, name: Any) -> Any:
        if isinstance(name, str | bytes):
            refuse_way_out(self, name)
        item = super().__getitem__(name)
        if isinstance(item, h5py.Dataset):
            refuse_external_storage(item)
            self.sources.update(check_sources(item))
        elif isinstance(item, h5py.Group):
            item = HeldGroup(item.id)
            item.sources = self.sources
        return item

    def get(self, name: Any, default: Any = None) -> Any:
        """Return an item, or ``default`` when there is none; other ways to ask are not offered."""
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: Any) -> bool:
        if isinstance(name, str | bytes) and way_out(self, name):
            return True  # to be refused when it is asked for
        return bool(super().__contains__(name))

    def held(self) -> Iterator[tuple[str, Any]]:
        """Yield names and items that lie in the file; the others are left out."""
        for name in self:
            try:
                item = self.get(name)
            except RawDataError:
                continue
            yield name, item


class HeldFile(HeldGroup, h5py.File):  # type: ignore[misc]
    """A file, opened read-only, of which only what it holds is given."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "r")
        self.sources = set()


def elsewhere(group: h5py.Group) -> list[str]:
    """Tell which names of a group leave the file, and how."""
    found = ((name, way_out(group, name)) for name in group)
    return [f"{shown(name)} ({way})" for name, way in found if way]
