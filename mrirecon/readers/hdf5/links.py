"""Links of an HDF5 file: where its names lead, and whether its values lie in it."""

import h5py

from mrirecon.errors import RawDataError

MOST_LINKS = 16
"""Soft links that are followed one after the other; as many as HDF5 follows."""


def way_out(group: h5py.Group, name: str | bytes) -> str | None:
    """Tell how the path ``name`` leaves the file; None when it stays, or leads nowhere.

    Links are looked at, never followed out of the file: opening a pipe, say, would wait for ever.
    """
    path = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
    root = h5py.h5o.open(group.id, b"/")
    place, parts, followed = root if path.startswith(b"/") else group.id, _parts(path), 0
    while parts:
        part = parts.pop(0)
        if not isinstance(place, h5py.h5g.GroupID) or not place.links.exists(part):
            return None
        kind = place.links.get_info(part).type
        if kind == h5py.h5l.TYPE_HARD:
            place = h5py.h5o.open(place, part) if parts else place
        elif kind == h5py.h5l.TYPE_SOFT:
            followed += 1
            if followed > MOST_LINKS:
                return "its links lead in a circle, or are more than HDF5 follows"
            target = place.links.get_val(part)
            place = root if target.startswith(b"/") else place
            parts = _parts(target) + parts
        elif kind == h5py.h5l.TYPE_EXTERNAL:
            file, target = place.links.get_val(part)
            return f"it is an external link to '{shown(target)}' of the file '{shown(file)}'"
        else:
            return "it is a link of a kind that is not known"
    return None


def refuse_way_out(group: h5py.Group, name: str | bytes) -> None:
    """Refuse a path that leaves the file.

    Raises:
        RawDataError: With the link and what to do.
    """
    way = way_out(group, name)
    if way:
        raise RawDataError(
            f"'{shown(name)}' is not in the file: {way}. Other files are not followed: read that "
            "one instead, or copy the data into this one (h5copy -f ext)"
        )


def refuse_external_storage(dataset: h5py.Dataset) -> None:
    """Refuse a dataset whose values lie in other files.

    Raises:
        RawDataError: With their names.
    """
    made = dataset.id.get_create_plist()
    count = made.get_external_count()
    if count:
        files = sorted({shown(made.get_external(number)[0]) for number in range(count)})
        raise RawDataError(
            f"the values of '{dataset.name}' are not in the file but in {', '.join(files)} "
            "(external storage). Other files are not followed: write the values into this one"
        )


def shown(name: str | bytes) -> str:
    """Return a name as text."""
    return name.decode("utf-8", errors="replace") if isinstance(name, bytes) else name


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]
