"""The protocol by which a reconstruction is compared with its reference."""

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from mrirecon.arguments import check_not_negative
from mrirecon.errors import RawDataError, ShapeError
from mrirecon.evaluation.scores.foreground import foreground
from mrirecon.metrics import METRICS, Metric, MetricInfo

Image = Float32[Tensor, "slice h w"]
Reference = Float32[Tensor, "slices y x"]  # of another size before the crop
Scored = Float32[Tensor, "kept height width"]  # of both
Where = Bool[Tensor, "kept height width"]

PERCENTILE = 0.995
"""Of the grey values of a slice, by which the CMRxRecon challenge of 2025 divides it."""


@dataclass(frozen=True)
class Protocol:
    """What of two volumes is compared, in which units, and by which metrics.

    Attributes:
        name: Name of the protocol.
        region: ``whole``, all of the reference, which is what validation scores while a network
            is trained; or ``square``, the central square as wide as the reference, which is what
            fastMRI's ``evaluate.py`` scores. They are the same for square references.
        scale: ``none``, intensities as they are; or ``least_squares``, those of the reconstruction
            are multiplied by the number that brings its volume closest to the reference.
        ends: Number of slices at each end that are left out.
        slices: Number of slices that volumes of this protocol have; another one is warned of, as
            the slices may lie along another axis. 0 for any.
        per: ``volume``, metrics see a volume; or ``slice``, they see one slice at a time, with its
            own data range, and a volume gets the mean over its slices. Slices whose reference is
            zero everywhere are left out.
        normalize: ``none``; or ``maximum`` or ``percentile``, each volume, or slice, is divided by
            its own maximum, or by its own percentile of 99.5.
        swapped: Cases in which metrics get the reference as the image and the image as the
            reference: ``never``, ``always``, or ``frames``, where a file has several slices and
            several frames. :func:`score` and :func:`values` know no frames; see :meth:`of_stack`.
        foreground: Whether only voxels of the object count, as
            :func:`~mrirecon.evaluation.scores.foreground.foreground` finds it in the reference.
        metrics: Metrics by name.
    """

    name: str = "whole"
    region: Literal["whole", "square"] = "whole"
    scale: Literal["none", "least_squares"] = "none"
    ends: int = 0
    slices: int = 0
    per: Literal["volume", "slice"] = "volume"
    normalize: Literal["none", "maximum", "percentile"] = "none"
    swapped: Literal["never", "always", "frames"] = "never"
    foreground: bool = False
    metrics: Mapping[str, Metric] = field(default_factory=lambda: dict(METRICS))

    def __post_init__(self) -> None:
        check_not_negative(ends=self.ends, slices=self.slices)

    @functools.cached_property
    def infos(self) -> dict[str, MetricInfo]:
        """How the values of each metric are written and read."""
        return {name: metric.info for name, metric in self.metrics.items()}

    def comparing(self, what: str) -> "Protocol":
        """Return the protocol with the metrics of magnitudes only, or with those of velocities.

        Velocities keep their units: they are neither scaled nor exchanged, and a volume is one.

        Args:
            what: ``magnitude`` or ``velocity``.
        """
        own = {name: m for name, m in self.metrics.items() if m.compares == what}
        return replace(self, metrics=own) if what == "magnitude" else Protocol(metrics=own)

    def of_stack(self, frames: int, slices: int) -> "Protocol":
        """Return the protocol for a volume of so many frames with so many slices each."""
        if self.swapped != "frames":
            return self
        return replace(self, swapped="always" if frames > 1 and slices > 1 else "never")

    def facts(self) -> dict[str, object]:
        """Return all that defines the scores, for a report."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "metrics"}
        return {**own, "metrics": {name: _settings(m) for name, m in self.metrics.items()}}


def _settings(metric: Metric) -> dict[str, object]:
    """Return the class of a metric and what it was given."""
    kind = f"{type(metric).__module__}.{type(metric).__qualname__}"
    if not is_dataclass(metric):
        return {"kind": kind}
    return {"kind": kind, **{f.name: _plain(getattr(metric, f.name)) for f in fields(metric)}}


def _plain(value: object) -> object:
    """Return a value as JSON can hold it: functions by their names."""
    if value is None or isinstance(value, str | int | float):
        return value
    return getattr(value, "__qualname__", str(value))


@dataclass(frozen=True)
class Score:
    """The metrics of one volume reconstructed by one method.

    Attributes:
        method: Name of the method; empty when nobody has named one.
        volume: Name of the volume; empty like that of the method.
        values: Value of each metric by its name; also to be had as attributes, as in
            ``score.psnr``.
        region: Label of the region that was scored; empty for all that the protocol compares.
    """

    method: str
    volume: str
    values: Mapping[str, float]
    region: str = ""

    def __getattr__(self, name: str) -> float:
        values: Mapping[str, float] = self.__dict__.get("values", {})
        if name in values:
            return values[name]
        known = ", ".join(values)
        raise AttributeError(f"{name} was not scored" + (f"; there are {known}" if known else ""))

    def __str__(self) -> str:
        place = ", ".join(filter(None, (self.method, self.volume, self.region)))
        values = ", ".join(f"{name}={value:.4g}" for name, value in self.values.items())
        return f"{place}: {values}" if place else values

    def row(self) -> dict[str, object]:
        """Return the score as a row of a table; the region only where there is one."""
        place = {"region": self.region} if self.region else {}
        return {"method": self.method, "volume": self.volume, **place, **self.values}


def score(
    method: str, name: str, image: Image, reference: Reference, protocol: Protocol | None = None
) -> Score:
    """Score a volume; with the metrics of fastMRI's ``evaluate.py``, unless told otherwise.

    Raises:
        ShapeError: When the volumes do not fit.
        RawDataError: When the reference is empty, so that no score is defined.
    """
    protocol = protocol or Protocol()
    pair = compared(method, name, image, reference, protocol)
    where = foreground(pair[1]) if protocol.foreground else None
    return Score(method, name, values(*pair, protocol, where))


def values(
    image: Scored, reference: Scored, protocol: Protocol, where: Where | None = None
) -> dict[str, float]:
    """Return every metric of what is compared, see :func:`compared`.

    Args:
        image: Reconstruction as it is compared.
        reference: Reference as it is compared.
        protocol: Protocol that both were made by.
        where: Voxels that count; None for all.

    Raises:
        RawDataError: When a metric has no value, or one of less than all numbers.
    """
    found: dict[str, list[float]] = {name: [] for name in protocol.metrics}
    for x, r, w in _units(image, reference, protocol, where):
        if protocol.normalize != "none":
            x, r = (v / _own_scale(v, protocol.normalize) for v in (x, r))
        if protocol.swapped == "always":
            x, r = r, x
        for name, metric in protocol.metrics.items():
            value = metric(x, r, w)
            if not value > -math.inf:  # files of scores keep numbers, and infinity for perfect
                raise RawDataError(
                    f"{name} is {value}, expected a number (or infinity for a perfect image); "
                    "leave the metric or the volume out"
                )
            found[name].append(value)
    return {name: sum(each) / len(each) for name, each in found.items()}


def _units(
    image: Scored, reference: Scored, protocol: Protocol, where: Where | None
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Yield what metrics see at a time: the volume, or the slices that have a value."""
    if protocol.per == "volume":
        yield image, reference, where
        return
    places = [None] * len(image) if where is None else list(where)
    for x, r, w in zip(image, reference, places, strict=True):
        if r.any() and (w is None or w.any()):
            yield x[None], r[None], None if w is None else w[None]


def compared(
    method: str, name: str, image: Image, reference: Reference, protocol: Protocol
) -> tuple[Scored, Scored]:
    """Return what is compared of a volume and its reference.

    Raises:
        ShapeError: When the volumes do not fit.
        RawDataError: When the reference is empty.
    """
    if len(image) != len(reference):
        raise ShapeError(
            f"{name}: {method} has {len(image)} slices, its reference {len(reference)}"
        )
    try:
        x, r = (region(volume, reference, protocol) for volume in (image, reference))
    except ShapeError as error:
        raise ShapeError(f"{name}, {method}: {error}") from error
    if not r.any():
        raise RawDataError(
            f"{name}: the reference is zero everywhere, so no score is defined; leave it out"
        )
    if protocol.scale == "least_squares":
        x = x * fitted_factor(x, r)
    return x, r


def fitted_factor(image: Image, reference: Image) -> float:
    """Return the number that brings ``image`` closest to ``reference``; 1 for an empty image."""
    x, r = image.double(), reference.double()
    energy = float(x.square().sum())
    return float((x * r).sum()) / energy if energy > 0 else 1.0


def region(volume: Image, reference: Reference, protocol: Protocol) -> Scored:
    """Crop to the region of the reference that is scored, as fastMRI places a crop.

    A reference that is wider than high is never cropped; fastMRI refuses it.

    Raises:
        ShapeError: When the volume is smaller than that, or has too few slices.
    """
    (h, w), (y, x) = volume.shape[-2:], reference.shape[-2:]
    if protocol.region == "square":
        y = min(y, x)
    if h < y or w < x:
        other = "; with y and x exchanged it would fit" if w >= y and h >= x else ""
        raise ShapeError(
            f"a volume of {h} x {w} pixels is smaller than its reference, {y} x {x}{other}"
        )
    slices = len(volume)
    if slices <= 2 * protocol.ends:
        raise ShapeError(
            f"the protocol {protocol.name} leaves out {protocol.ends} slices at each end, but "
            f"there are only {slices}; protocol.ends= leaves out fewer"
        )
    top, left = (h - y) // 2, (w - x) // 2
    return volume[protocol.ends : slices - protocol.ends, top : top + y, left : left + x]


def _own_scale(volume: Tensor, normalize: str) -> float:
    """Return what a volume is divided by; 1 where that would be zero."""
    if normalize == "maximum":
        found = float(volume.max())
    else:
        ordered = volume.double().abs().flatten().sort().values
        place = PERCENTILE * (len(ordered) - 1)  # linear between ranks, as NumPy does
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        found = float(torch.lerp(ordered[low], ordered[high], place - low))
    return found if found != 0 else 1.0
