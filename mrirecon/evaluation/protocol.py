"""How a reconstruction is compared with its reference."""

from dataclasses import dataclass

from jaxtyping import Float32
from torch import Tensor

from mrirecon.errors import ShapeError
from mrirecon.metrics import METRICS

Image = Float32[Tensor, "slice h w"]
Reference = Float32[Tensor, "slices y x"]  # of another size before the crop


@dataclass(frozen=True)
class Score:
    """The metrics of one volume reconstructed by one method."""

    method: str
    volume: str
    nmse: float
    psnr: float
    ssim: float


def score(method: str, name: str, image: Image, reference: Reference) -> Score:
    """Score as fastMRI's ``evaluate.py`` does, after its square crop."""
    if len(image) != len(reference):
        raise ShapeError(
            f"{name}: {method} has {len(image)} slices, its reference {len(reference)}"
        )
    try:
        image, reference = square(image, reference), square(reference, reference)
    except ShapeError as error:
        raise ShapeError(f"{name}, {method}: {error}") from error
    return Score(method, name, **{n: metric(image, reference) for n, metric in METRICS.items()})


def square(volume: Image, reference: Reference) -> Float32[Tensor, "slice height width"]:
    """Crop to the reference's width in both directions, as fastMRI places the crop.

    A reference that is wider than high is cropped to its own shape; fastMRI refuses it.

    Raises:
        ShapeError: When the volume is smaller than that.
    """
    (h, w), (y, x) = volume.shape[-2:], reference.shape[-2:]
    y = min(y, x)
    if h < y or w < x:
        raise ShapeError(f"a volume of {h} x {w} pixels is smaller than its reference, {y} x {x}")
    top, left = (h - y) // 2, (w - x) // 2
    return volume[:, top : top + y, left : left + x]
