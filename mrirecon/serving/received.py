"""Images of a server, wherever it has them from, as series of volumes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import torch

from mrirecon.errors import RawDataError
from mrirecon.geometry import Vector
from mrirecon.raw.mrd_images import IMAGE_TYPE_COMPLEX, IMAGE_TYPE_MAGNITUDE
from mrirecon.raw.mrd_records import ACQUISITION_HEADER
from mrirecon.raw.slice_positions import SliceStack, slice_stack
from mrirecon.reconstruction import Provenance, Reconstruction, split_series
from mrirecon.scan import Frame, ScanHeader
from mrirecon.serving.images import Image
from mrirecon.writers.mrd import Facts

PIXELS = {1: "<u2", 2: "<i2", 3: "<u4", 4: "<i4", 5: "<f4", 6: "<f8", 7: "<c8", 8: "<c16"}
"""Types of pixels by their code."""
KINDS = (0, IMAGE_TYPE_MAGNITUDE, IMAGE_TYPE_COMPLEX)
"""Types of images that are volumes of magnitudes, or have these; 0 where none is told."""
DIRECTIONS = ("read_dir", "phase_dir", "slice_dir")
SPARSE = 4
"""A volume has at most so many times the slices that came."""
HISTORY = "ImageProcessingHistory"


class Place(NamedTuple):
    """What tells one slice from another."""

    slice: int
    partition: int
    position: Vector


class Kind(NamedTuple):
    """What images must have in common to be volumes of one scan.

    Attributes:
        rank: Number of the series among those of its contrast and set, from 0.
        size: Size ``(y, x)`` of the image, y along the readout.
        has_phase: Whether the pixels are complex.
    """

    rank: int
    size: tuple[int, int]
    has_phase: bool


@dataclass(frozen=True)
class Plane:
    """One slice of an image: its counters and place, and its values ``y x``."""

    frame: Frame
    place: Place
    head: np.void
    values: np.ndarray


@dataclass(frozen=True)
class Received:
    """What became of the images of a session.

    Attributes:
        series: Series of volumes.
        remarks: Sentences about what is doubtful or was left out.
    """

    series: list[Reconstruction]
    remarks: tuple[str, ...]


def volumes(images: Sequence[Image], header: ScanHeader, made: Provenance) -> Received:
    """Sort images into series: contrasts, sets and stacks apart, as ``mrirecon reconstruct`` does.

    Series of one contrast that a server tells apart by their numbers, or by their sizes, stay apart
    and are called ``_series-2`` and so on. Where slices lie is taken from the images.

    Args:
        images: Images in the order in which they came.
        header: Header of the scan that was sent.
        made: Provenance of the images.

    Raises:
        RawDataError: When none can be written, or values are not finite.
    """
    remarks, kept = [], []
    for image in images:
        problem = _problem(image)
        if problem:
            remarks.append(f"images are left out: {problem}")
        else:
            kept.append(image)
    if not kept:
        reasons = "; ".join(dict.fromkeys(remarks)) or "it sent none"
        raise RawDataError(f"no image of the server can be written: {reasons}")
    series, again = [], 0
    for number, planes in enumerate(_grouped(kept).values(), start=1):
        known = {(plane.frame, plane.place): plane for plane in planes}
        again += len(planes) - len(known)
        found, notes = _series(known, header, made)
        remarks += notes
        ending = f"_series-{number}" if number > 1 else ""
        series += [replace(one, suffix=one.suffix + ending) for one in found]
    if again:
        remarks.append(f"{again} images came once more; the last one of each is kept")
    numbered = [replace(one, number=number) for number, one in enumerate(series, start=1)]
    return Received(numbered, tuple(dict.fromkeys(remarks)))


def read_meta(text: bytes) -> Facts:
    """Return the meta attributes of an image.

    Args:
        text: The XML as it came; empty when an image has none.

    Raises:
        RawDataError: When it is no XML.
    """
    stripped = text.split(b"\0")[0].strip()
    if not stripped:
        return {}
    if b"<!" in stripped:
        raise RawDataError("the attributes of an image define entities; expected plain XML")
    try:
        root = ElementTree.fromstring(stripped)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RawDataError(f"the attributes of an image are no XML: {error}") from error
    facts: dict[str, str | Sequence[str]] = {}
    for meta in root.iterfind("meta"):
        values = tuple(value.text or "" for value in meta.iterfind("value"))
        facts[meta.findtext("name") or ""] = values[0] if len(values) == 1 else values
    return facts


def method_of(images: Sequence[Image]) -> str:
    """Return what the server says about how the images were made."""
    told = (_first(image.facts, HISTORY) for image in images)
    return next(filter(None, told), "images of an MRD server")[:80]


def _problem(image: Image) -> str:
    head, channels = image.head, image.pixels.shape[0]
    if channels != 1:
        return f"they have {channels} channels, expected one: coils must be combined"
    if not image.pixels.size:
        return "they have no pixels"
    for name, least in (("RescaleSlope", 0.0), ("RescaleIntercept", -math.inf)):
        number = _number(image.facts, name, 1.0)
        if image.pixels.dtype.kind in "iu" and not (math.isfinite(number) and number > least):
            return f"their {name} is {_first(image.facts, name)[:40]!r}, no number that scales"
    if int(head["image_type"]) not in KINDS:
        return f"they are of type {int(head['image_type'])}, expected magnitude or complex images"
    return ""


def _grouped(images: Sequence[Image]) -> dict[Kind, list[Plane]]:
    """Sort the slices of images by what they must have in common."""
    numbers: dict[tuple[int, int], set[int]] = {}
    for image in images:
        head = image.head
        own = numbers.setdefault((int(head["contrast"]), int(head["set"])), set())
        own.add(int(head["image_series_index"]))
    groups: dict[Kind, list[Plane]] = {}
    for image in images:
        head = image.head
        own = numbers[int(head["contrast"]), int(head["set"])]
        rank = sorted(own).index(int(head["image_series_index"]))
        has_phase = np.iscomplexobj(image.pixels)
        kind = Kind(rank, (image.pixels.shape[3], image.pixels.shape[2]), has_phase)
        groups.setdefault(kind, []).extend(_planes(image))
    return dict(sorted(groups.items()))


def _planes(image: Image) -> Iterator[Plane]:
    """Yield the slices of an image; a 3-D one has several, around its position."""
    head, depth = image.head, image.pixels.shape[1]
    frame = Frame(*(int(head[name]) for name in ("contrast", "set", "phase", "repetition")))
    with np.errstate(invalid="ignore"):  # directions that are not finite are told later
        step = head["slice_dir"].astype(float) * float(head["field_of_view"][2]) / depth
        shifts = np.arange(depth)[:, None] - depth // 2
        positions = head["position"] + shifts * step
    values = _in_units_of_the_file(image)
    for partition in range(depth):
        own = head.copy()
        if _first(image.facts, "GeometryKnown") == "false":
            for name in DIRECTIONS:
                own[name] = 0
        own["position"] = positions[partition]
        x, y, z = (round(float(one), 3) for one in own["position"])
        place = Place(int(head["slice"]), partition, (x, y, z))
        yield Plane(frame, place, own, values[partition].T)


def _in_units_of_the_file(image: Image) -> np.ndarray:
    """Undo the scale of whole numbers."""
    pixels = image.pixels[0]
    if pixels.dtype.kind in "iu":
        slope = _number(image.facts, "RescaleSlope", 1.0)
        intercept = _number(image.facts, "RescaleIntercept", 0.0)
        pixels = pixels * slope + intercept
    with np.errstate(over="ignore"):  # what overflows is refused as not finite
        return pixels.astype(np.complex64 if np.iscomplexobj(pixels) else np.float32)


def _number(facts: Facts, name: str, default: float) -> float:
    try:
        return float(_first(facts, name) or default)
    except ValueError:
        return math.nan


def _first(facts: Facts, name: str) -> str:
    value = facts.get(name, "")
    return value if isinstance(value, str) else next(iter(value), "")


def _series(
    planes: dict[tuple[Frame, Place], Plane], header: ScanHeader, made: Provenance
) -> tuple[list[Reconstruction], list[str]]:
    """Stack planes; returns the series, and what is doubtful about them."""
    frames = sorted({frame for frame, _ in planes})
    places = sorted({place for _, place in planes})
    first = {place: plane for (_, place), plane in reversed(planes.items())}
    if len(frames) * len(places) > SPARSE * len(planes):
        raise RawDataError(
            f"the server sent {len(planes)} images of {len(frames)} frames at {len(places)} "
            "places; expected volumes, with every place in every frame"
        )
    stack = _stack([first[place] for place in places])
    ordered = [places[number] for number in stack.order]
    one = next(iter(planes.values()))
    shape = one.values.shape
    volume = np.zeros((len(frames) * len(places), *shape), one.values.dtype)
    for number, (frame, place) in enumerate((f, p) for f in frames for p in ordered):
        if (frame, place) in planes:
            volume[number] = planes[frame, place].values
    if not np.isfinite(volume).all():
        raise RawDataError("the server sent values that are not finite; nothing was written")
    remarks = [*stack.notes]
    if missing := len(volume) - len(planes):
        remarks.append(f"{missing} of {len(volume)} images did not come: they are zero")
    imaged = replace(
        header, slices=len(places), grid=shape, canvas=shape, matrix=shape,
        voxel=_voxel(one.head, header), geometry=stack.geometry, stacks=stack.stacks,
        frames=tuple(frames), volumetric=False,
    )  # fmt: skip
    results = split_series(torch.from_numpy(volume), imaged, made)
    return [replace(one, volumetric=header.volumetric) for one in results], remarks


def _stack(planes: Sequence[Plane]) -> SliceStack:
    """Find out where slices lie, as it is done for readouts."""
    heads = np.zeros(len(planes), ACQUISITION_HEADER)
    for number, plane in enumerate(planes):
        heads[number]["idx"]["slice"] = number
        for name in ("position", *DIRECTIONS):
            heads[number][name] = plane.head[name]
    return slice_stack(heads)


def _voxel(head: np.void, header: ScanHeader) -> Vector | None:
    """Return the pixel spacing along our y (MRD's x), x (MRD's y) and the slice thickness."""
    if header.voxel is None and not any(head[name].any() for name in DIRECTIONS):
        return None  # the image claims what the scan does not know
    y, x, z = (float(one) for one in head["field_of_view"] / np.maximum(head["matrix_size"], 1))
    return (y, x, z) if min(y, x, z) > 0 and np.isfinite([y, x, z]).all() else None
