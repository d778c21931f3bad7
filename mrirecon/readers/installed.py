"""Readers of other installed packages, which they announce as entry points.

In the ``pyproject.toml`` of such a package::

    [project.entry-points."mrirecon.readers"]
    ourlab = "ourlab.reader:OurLabScan"
"""

import warnings
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from mrirecon.readers.base import FileScan

GROUP = "mrirecon.readers"


@lru_cache(maxsize=1)
def installed_readers() -> tuple[type[FileScan], ...]:
    """Return the readers that other packages announce, sorted by name.

    One that cannot be loaded, or is no reader, is left out with a warning: it must not keep anybody
    from reading the other formats.
    """
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return tuple(reader for entry in found if (reader := _loaded(entry)))


def detects(reader: type[FileScan], path: Path) -> bool:
    """Ask a reader whether it knows a file; one of another package may fail at files of others."""
    if reader.__module__.startswith("mrirecon."):
        return reader.detect(path)
    try:
        return bool(reader.detect(path))
    except Exception as error:  # noqa: BLE001 - see above
        warnings.warn(
            f"{path}: {reader.__module__}.{reader.__name__} cannot tell whether it reads this file "
            f"({type(error).__name__}: {error}); it is taken to say no",
            stacklevel=2,
        )
        return False


def _loaded(entry: EntryPoint) -> type[FileScan] | None:
    package = entry.dist.name if entry.dist else "an unknown package"
    try:
        reader = entry.load()
    except Exception as error:  # noqa: BLE001 - whatever the package does when it is imported
        reason = f"cannot be loaded ({type(error).__name__}: {error})"
    else:
        if isinstance(reader, type) and issubclass(reader, FileScan):
            missing = sorted(getattr(reader, "__abstractmethods__", ()))
            missing += [name for name in ("format", "layout") if not hasattr(reader, name)]
            if not missing:
                return reader
            reason = f"lacks {', '.join(missing)}"
        else:
            reason = f"is {reader!r}, expected a subclass of mrirecon.readers.base.FileScan"
    warnings.warn(
        f"the reader {entry.name} ({entry.value}) of {package} is left out: it {reason}; update or "
        "uninstall that package",
        stacklevel=3,
    )
    return None
