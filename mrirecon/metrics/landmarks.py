"""Whether landmarks of the reference are where they should be in the image."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn.functional import unfold

from mrirecon.errors import ShapeError
from mrirecon.metrics.base import Metric, MetricInfo, Volume, Where

HALF = 7
"""Pixels from the centre of a landmark's patch to its border."""
REACH = 4
"""Pixels to either side within which a landmark is looked for."""
MOST = 60
"""Landmarks of a slice at most."""
APART = 6
"""Pixels between landmarks at least."""
CLEAR = 0.02
"""Of the clearest corner of the slice, below which there is no landmark."""
ALIKE = 0.5
"""Correlation of patches below which a landmark is lost."""
FINE, COARSE = 1.0, 2.0
"""Widths of the Gaussian windows of gradients and of the structure tensor, in pixels."""

Slice = Float64[np.ndarray, "y x"]
Places = Int[np.ndarray, "n 2"]


@dataclass(frozen=True)
class LandmarkShift(Metric):
    """Mean distance in pixels by which landmarks of the reference lie elsewhere in the image.

    Landmarks are corners (Shi and Tomasi, CVPR 1994): places where the smaller eigenvalue of the
    structure tensor is largest. Each is looked for in the image where the normalized
    cross-correlation of patches of 15 x 15 pixels is largest, at most four pixels away; between
    pixels a parabola tells. One whose correlation is below one half everywhere is lost, and counts
    with these four pixels.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        "landmarks", "landmarks", "px", 3, False, "distance of landmarks from their places"
    )

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        if min(image.shape[-2:]) < 2 * (HALF + REACH) + 1:
            raise ShapeError(
                f"landmarks need images of at least {2 * (HALF + REACH) + 1} pixels along each "
                f"side, got {image.shape[-2]} x {image.shape[-1]}"
            )
        found = []
        for number, (x, r) in enumerate(zip(image, reference, strict=True)):
            places = landmarks(r.cpu().numpy())
            if where is not None:
                places = places[where[number].cpu().numpy()[places[:, 0], places[:, 1]]]
            if len(places):
                found.append(distances(x.cpu(), r.cpu(), places))
        if not found:
            raise ShapeError("no landmark of the reference lies where anything is compared")
        return torch.cat(found).mean() + 0 * image.sum()  # not a number where the image is none


def landmarks(image: Slice) -> Places:
    """Return the places (y, x) of the clearest corners of an image, the clearest first."""
    from scipy.ndimage import gaussian_filter, maximum_filter  # takes its time, and few want it

    smooth = [gaussian_filter(image, FINE, order=order) for order in ((1, 0), (0, 1))]
    yy, xx, xy = (
        gaussian_filter(smooth[a] * smooth[b], COARSE) for a, b in ((0, 0), (1, 1), (0, 1))
    )
    clear = (yy + xx) / 2 - np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    border = HALF + REACH
    inside = np.zeros(image.shape, bool)
    inside[border : image.shape[0] - border, border : image.shape[1] - border] = True
    best = (clear == maximum_filter(clear, 2 * APART + 1)) & inside & (clear > CLEAR * clear.max())
    places = np.argwhere(best)
    return places[np.argsort(-clear[best], kind="stable")][:MOST]


def distances(image: Tensor, reference: Tensor, places: Places) -> Float[Tensor, " n"]:
    """Return by how many pixels each landmark lies elsewhere, lost ones counting ``REACH``.

    Args:
        image: Slice ``y x`` in which they are looked for.
        reference: Slice ``y x`` that they were found in.
        places: Places of the landmarks.
    """
    patches = torch.stack([_cut(reference, place, HALF).flatten() for place in places])
    own, _ = _matched(reference, patches, places)  # a parabola is off by a little, here as there
    found, alike = _matched(image, patches, places)
    apart = (found - own).norm(dim=-1).clamp_max(REACH)
    return torch.where(alike < ALIKE, float(REACH), apart)


def _matched(
    image: Tensor, patches: Float[Tensor, "n pixel"], places: Places
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
    """Return where the patches are in an image, from a corner, and how alike they are there."""
    windows = torch.stack([_cut(image, place, HALF + REACH) for place in places]).unsqueeze(1)
    candidates = unfold(windows, 2 * HALF + 1)  # landmark, pixel of the patch, place
    alike = torch.einsum("np,npk->nk", _standard(patches, -1), _standard(candidates, 1))
    best, place = alike.max(-1)
    steps = 2 * REACH + 1
    grid = alike.reshape(-1, steps, steps)
    rows, columns = place // steps, place % steps
    number = torch.arange(len(places))
    down, across = _between(grid[number, :, columns], rows), _between(grid[number, rows], columns)
    return torch.stack([down, across], -1), best


def _cut(image: Tensor, place: np.ndarray, half: int) -> Tensor:
    y, x = (int(one) for one in place)
    return image[y - half : y + half + 1, x - half : x + half + 1]


def _standard(values: Tensor, axis: int) -> Tensor:
    """Take the mean away and divide by the norm, so that products are correlations."""
    centred = values - values.mean(axis, keepdim=True)
    return centred / centred.norm(dim=axis, keepdim=True).clamp_min(1e-30)


def _between(lines: Float[Tensor, "n k"], peaks: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the places of the maxima of parabolas through the peaks and their neighbours."""
    number, last = torch.arange(len(lines)), lines.shape[1] - 1
    before, at, after = (lines[number, (peaks + step).clamp(0, last)] for step in (-1, 0, 1))
    curvature = before - 2 * at + after
    inner = (peaks > 0) & (peaks < last) & (curvature < 0)
    shift = torch.where(inner, 0.5 * (before - after) / torch.where(inner, curvature, 1.0), 0.0)
    return peaks + shift
