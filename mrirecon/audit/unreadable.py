"""Files that cannot be read: damaged ones, ones that hold images, and others."""

import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.audit.finding import CRIME, Finding, Kind, Level
from mrirecon.files import found_kind
from mrirecon.readers.hdf5.opening import looks_like_hdf5, open_hdf5

DAMAGED = Kind(
    "damaged file",
    "The file is damaged, or a part of it is missing: what is read from it may be wrong.",
    "Copy or download it again.",
)
IMAGES = Kind(
    "magnitude images only",
    "The file holds images, not k-space. k-space that is computed from them has no phase, no coils "
    f"and no noise of its own, and was filtered and interpolated by the scanner. {CRIME}",
    "Get raw data. As anatomy for a simulation with phase, coils and noise they may serve.",
)
OTHER = Kind(
    "not looked at",
    "The file is of a kind that is not read, so that nothing is known about it.",
    "Take it out of the folder, or see what mrirecon inspect advises.",
)
_DAMAGE = re.compile(
    r"damaged|truncated|never written|is empty|missing|not finite|nan\b|inf\b|copy (it|the|all)|"
    r"download|cannot be parsed|cannot be read|starts with zeros|is not there|is inconsistent|"
    r"changed since",
    re.IGNORECASE,
)
"""Words with which readers refuse what is broken; what they cannot read is told otherwise."""
GREY_STEPS = 256
"""Grey levels of images up to which they are told: scanners store some thousands."""
_MADE = re.compile(r"^reconstruction(_\w+)?$|^(dataset/)?image_\d+/data$|^maps$")
"""Arrays of results: of fastMRI and of our own, MRD images, coil sensitivities."""
LARGEST = 2**28
"""Bytes of an array of images that are looked at."""


def unreadable(file: str, reason: str) -> Finding:
    """Return what it means that a file cannot be read.

    Args:
        file: Name of the file.
        reason: Message of the reader.
    """
    page = file.lower().endswith((".html", ".htm"))  # named as what it is: no failed download
    broken = not page and _DAMAGE.search(reason) is not None
    kind, level = (DAMAGED, Level.PROBLEM) if broken else (OTHER, Level.NOTE)
    return Finding(kind, level, (file,), (), reason)


def image_arrays(path: Path) -> dict[str, list[Float32[Tensor, "y x"]]]:
    """Return images of a file that holds real numbers only, a few of each array, by its name.

    Raises:
        RawDataError: When the file is damaged.
    """
    found: dict[str, list[Float32[Tensor, "y x"]]] = {}
    if not looks_like_hdf5(path):
        return found
    with open_hdf5(path) as file:
        arrays: list[tuple[str, h5py.Dataset]] = []
        file.visititems(
            lambda name, item: arrays.append((name, item)) if _like_images(item) else None
        )
        if any(item.dtype.kind == "c" for _, item in arrays):
            return {}
        for name, item in arrays:
            planes = int(np.prod(item.shape[:-2]))
            chosen = sorted({int((i + 0.5) * planes / min(3, planes)) for i in range(3)})
            places = [np.unravel_index(i, item.shape[:-2]) for i in chosen if i < planes]
            values = [np.asarray(item[place], np.float32) for place in places]
            found[name] = [torch.from_numpy(v).contiguous() for v in values if np.isfinite(v).all()]
    return {name: images for name, images in found.items() if images}


def foreign(path: Path, names: Iterable[str]) -> bool:
    """Tell whether images come from elsewhere, and not from a reconstruction of k-space."""
    try:
        ours = found_kind(path) is not None
    except (OSError, EOFError, ValueError, KeyError, zlib.error):
        ours = False
    return not ours and not all(_MADE.search(name) for name in names)


def images_only(file: str, names: list[str]) -> Finding:
    """Return the finding of a file that holds images."""
    told = ", ".join(names)
    reason = f"There is no k-space; {told} hold{'s' if len(names) == 1 else ''} real numbers."
    return Finding(IMAGES, Level.PROBLEM, (file,), (), reason)


def _like_images(item: object) -> bool:
    return (
        isinstance(item, h5py.Dataset)
        and len(item.shape or ()) >= 2
        and min(item.shape[-2:]) >= 24
        and item.dtype.kind in "fciu"
        and item.nbytes <= LARGEST
    )
