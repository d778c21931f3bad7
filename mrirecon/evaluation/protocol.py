"""The protocol by which a reconstruction is compared with its reference."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float32
from torch import Tensor

from mrirecon.errors import RawDataError, ShapeError
from mrirecon.metrics import METRICS

Image = Float32[Tensor, "slice h w"]
Reference = Float32[Tensor, "slices y x"]  # of another size before the crop
Scored = Float32[Tensor, "slice height width"]  # of both


@dataclass(frozen=True)
class Protocol:
    """What of two volumes is compared, and in which units.

    Attributes:
        region: ``whole``, all of the reference, which is what validation scores while a network
            is trained; or ``square``, the central square as wide as the reference, which is what
            fastMRI's ``evaluate.py`` scores. They are the same for square references.
        scale: ``none``, intensities as they are; or ``least_squares``, those of the reconstruction
            are multiplied by the number that brings its volume closest to the reference.
    """

    region: Literal["whole", "square"] = "whole"
    scale: Literal["none", "least_squares"] = "none"


@dataclass(frozen=True)
class Score:
    """The metrics of one volume reconstructed by one method."""

    method: str
    volume: str
    nmse: float
    psnr: float
    ssim: float


def score(
    method: str, name: str, image: Image, reference: Reference, protocol: Protocol | None = None
) -> Score:
    """Score a volume with the metrics of fastMRI's ``evaluate.py``.

    Raises:
        ShapeError: When the volumes do not fit.
        RawDataError: When the reference is empty, so that no score is defined.
    """
    pair = compared(method, name, image, reference, protocol or Protocol())
    return Score(method, name, **{n: metric(*pair) for n, metric in METRICS.items()})


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
        ShapeError: When the volume is smaller than that.
    """
    (h, w), (y, x) = volume.shape[-2:], reference.shape[-2:]
    if protocol.region == "square":
        y = min(y, x)
    if h < y or w < x:
        other = "; with y and x exchanged it would fit" if w >= y and h >= x else ""
        raise ShapeError(
            f"a volume of {h} x {w} pixels is smaller than its reference, {y} x {x}{other}"
        )
    top, left = (h - y) // 2, (w - x) // 2
    return volume[:, top : top + y, left : left + x]
