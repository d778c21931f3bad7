"""Likeness of images, whatever their scale, place and orientation: band-limited phase correlation.

Ito et al., A fingerprint matching algorithm using phase-only correlation, IEICE Trans Fundamentals
E87-A:682, 2004. All frequencies of a band count alike. A low band finds how two images may lie on
one another; a high one, where outlines that all heads share count little, tells whether they are
one image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex64, Float16, Float32
from torch import Tensor

from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit

SIZE, BAND = 64, 18
"""Pixels of the views that are compared first, and the highest frequency that counts."""
COARSE = 6
"""Highest frequency of the signature that finds candidates."""
KEPT = 192
"""Pixels of the larger side of the image that is kept."""
FINE, LOWEST, HIGHEST = 128, 10, 44
"""Pixels of the views that decide, and the frequencies that count."""
RESOLVED = 0.4
"""Highest frequency that counts, relative to the pixels that an object has."""
OBJECT = 0.15
"""Magnitude relative to the 98th percentile from which on there is an object."""
OBJECT_VIEW, FIELD, PIXELS, COARSE_PIXELS = range(4)
VIEWS = ("object", "field of view", "pixels", "pixels")
"""What is taken to be of equal size in two images: the object, so that crop, zoom and field of view
do not matter; the field of view; the pixels, so that a part may be cut off. Pixels are shrunk by a
power of two, and once more, as an image of which a part was cut off may have one less."""
PAIRS = ((OBJECT_VIEW, OBJECT_VIEW), (FIELD, FIELD), (PIXELS, PIXELS), (PIXELS, COARSE_PIXELS),
         (COARSE_PIXELS, PIXELS))  # fmt: skip
"""Views that are compared."""
TURNS = ("", "mirrored top to bottom", "mirrored left to right", "turned by 180 degrees",
         "transposed", "turned by 90 degrees", "turned by 270 degrees",
         "transposed along the other diagonal")  # fmt: skip
"""Orientations, in the order of :func:`turned`."""
PROMISING = 0.3
"""Agreement in the low band from which on two images are looked at closely."""
OVERLAP = 0.7
"""Share of the smaller image that must lie on the other one."""
LOOKED_AT = 4
"""Ways to lie on one another that are looked at closely."""

Picture = Float32[Tensor, "_ _"]
"""A real image of any size."""


@dataclass(frozen=True)
class Sketch:
    """What is kept of an image so that it can be compared: some ten kilobytes.

    Attributes:
        image: Magnitude image, shrunk to at most ``KEPT`` pixels.
        shape: Size of the image before that.
        box: First and last row and column of the object, in pixels of ``image``.
        phases: Phases of the low band as complex numbers of magnitude 1, for each of ``VIEWS``.
        signature: Magnitudes of the lowest frequencies, of zero mean and unit norm, for each view.
    """

    image: Float16[Tensor, "y x"]
    shape: tuple[int, int]
    box: tuple[int, int, int, int]
    phases: Complex64[Tensor, "view ky kx"]
    signature: Float32[Tensor, "view coarse"]


@dataclass(frozen=True)
class Likeness:
    """How alike two images are.

    Attributes:
        score: Agreement of the phases of fine structure, from 0 to 1.
        view: Name of what was taken to be of equal size.
        turn: Orientation of the second image relative to the first; empty for the same.
    """

    score: float
    view: str = ""
    turn: str = ""


def sketch(image: Picture) -> Sketch | None:
    """Return what is compared of a magnitude image; None where it shows nothing."""
    top = float(torch.quantile(image.flatten()[:: max(1, image.numel() // 500_000)], 0.98))
    if top <= 0:
        return None
    shrink = max(1.0, max(image.shape) / KEPT)
    small = _resized((image / top).clamp_max(4), *(max(1, round(n / shrink)) for n in image.shape))
    rows, columns = ((small > OBJECT).float().mean(axis) > 0.05 for axis in (1, 0))
    ends = [torch.nonzero(line)[:, 0] for line in (rows, columns)]
    if min(len(one) for one in ends) < 16:
        return None
    (first, last), (left, right) = ((int(e[0]), int(e[-1]) + 1) for e in ends)
    box, shape = (first, last, left, right), (image.shape[0], image.shape[1])
    views = torch.stack([_view(small, shape, box, view, SIZE) for view in range(len(VIEWS))])
    spectra = _band(fft(views.to(torch.complex64)), BAND)
    phases = spectra / spectra.abs().clamp_min(1e-12)
    phases[:, BAND, BAND] = 0
    signature = (_band(spectra, COARSE).abs() + 1e-12).log().flatten(1)
    signature = signature - signature.mean(1, keepdim=True)
    signature = signature / signature.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return Sketch(small.half(), shape, box, phases, signature)


def candidates(sketches: Sequence[Sketch], most: int) -> list[tuple[int, int]]:
    """Return the pairs whose signatures are among the most similar ones of either.

    Args:
        sketches: Sketches of all images.
        most: Number of most similar images that are looked at for each image and pair of views.
    """
    size = 2 * COARSE + 1
    pairs: set[tuple[int, int]] = set()
    if len(sketches) < 2:
        return []
    signatures = torch.stack([one.signature for one in sketches])
    for one, other in PAIRS:
        grid = signatures[:, other].unflatten(-1, (size, size))
        # magnitudes of a real image do not change when it is turned by 180 degrees
        all_turns = torch.stack([grid, grid.flip(-1), grid.mT, grid.mT.flip(-1)], 1).flatten(2)
        for number, own in enumerate(signatures[:, one]):
            likeness = (all_turns @ own).amax(1)
            likeness[number] = -2
            for near in likeness.topk(min(most, len(sketches) - 1)).indices.tolist():
                pairs.add((min(number, near), max(number, near)))
    return sorted(pairs)


def compare(first: Sketch, second: Sketch) -> Likeness:
    """Return how alike two images are, in the best view and orientation."""
    return _compare(first, second, 0)


def symmetry(one: Sketch) -> float:
    """Return how alike an image is to itself in other orientations, as a round phantom is."""
    return _compare(one, one, 1).score


def _compare(first: Sketch, second: Sketch, least_turn: int) -> Likeness:
    spectra = turned(second.phases)[least_turn:]
    cross = torch.stack([first.phases[a] * spectra[:, b].conj() for a, b in PAIRS], 1)
    peaks = ifft(center_fit(cross, (SIZE, SIZE))).abs().flatten(2).amax(-1)
    peaks = peaks * SIZE / ((2 * BAND + 1) ** 2 - 1)
    best = Likeness(0.0)
    for place in peaks.flatten().topk(LOOKED_AT).indices.tolist():
        turn, pair = divmod(place, len(PAIRS))
        if float(peaks[turn, pair]) < PROMISING:
            break
        score = _closely(first, second, PAIRS[pair], turn + least_turn)
        if score > best.score:
            best = Likeness(score, VIEWS[PAIRS[pair][0]], TURNS[turn + least_turn])
    return best


def turned(values: Tensor) -> Tensor:
    """Return images, or their spectra, in all orientations, along a new first axis."""
    across = values.mT
    turns = [values, values.flip(-2), values.flip(-1), values.flip(-1, -2)]
    if values.shape[-1] == values.shape[-2]:
        turns += [across, across.flip(-2), across.flip(-1), across.flip(-1, -2)]
    return torch.stack(turns)


def aligned(first: Sketch, second: Sketch, likeness: Likeness) -> tuple[Picture, Picture]:
    """Return two images as they lie on one another, for people to see."""
    views = PAIRS[next(n for n, (a, _) in enumerate(PAIRS) if VIEWS[a] == likeness.view)]
    one, other = _pair(first, second, views, TURNS.index(likeness.turn))
    return one, other.roll(_shift(one, other, torch.ones(FINE, FINE)), (0, 1))


def _closely(first: Sketch, second: Sketch, views: tuple[int, int], turn: int) -> float:
    """Compare the fine structure, up to what the coarser of both resolves, where both overlap."""
    one, other = _pair(first, second, views, turn)
    highest = int(min(HIGHEST, _resolved(first, views[0]), _resolved(second, views[1])))
    if highest < LOWEST + 4:
        return 0.0
    distance = (torch.arange(FINE) - FINE // 2).abs()
    radius = torch.maximum(distance[:, None], distance)
    band = ((radius >= LOWEST) & (radius <= highest)).float()
    found = _score(one, other, band)
    if views[0] in (OBJECT_VIEW, FIELD):
        return found
    shift = _shift(one, other, band)
    moved = other.roll(shift, (0, 1))
    common = [(one != 0).any(axis) & (moved != 0).any(axis) for axis in (1, 0)]
    ends = [torch.nonzero(line)[:, 0] for line in common]
    area = min(int((picture != 0).sum()) for picture in (one, other))
    if len(ends[0]) * len(ends[1]) < OVERLAP * area:
        return found
    rows, columns = (slice(int(line[0]), int(line[-1]) + 1) for line in ends)
    parts = [_framed(picture[rows, columns], FINE) for picture in (one, moved)]
    return max(found, _score(parts[0], parts[1], band))


def _score(one: Picture, other: Picture, band: Picture) -> float:
    cross = _phases(one) * _phases(other).conj() * band
    return float(ifft(cross).abs().max()) * FINE / float(band.sum())


def _shift(one: Picture, other: Picture, band: Picture) -> tuple[int, int]:
    peak = ifft(_phases(one) * _phases(other).conj() * band).abs()
    row, column = divmod(int(peak.argmax()), FINE)
    return row - FINE // 2, column - FINE // 2


def _pair(
    first: Sketch, second: Sketch, views: tuple[int, int], turn: int
) -> tuple[Picture, Picture]:
    pictures = [
        _view(one.image.float(), one.shape, one.box, view, FINE)
        for one, view in zip((first, second), views, strict=True)
    ]
    return pictures[0], turned(pictures[1])[turn]


def _phases(picture: Picture) -> Complex64[Tensor, "y x"]:
    spectrum = fft(picture.to(torch.complex64))
    return spectrum / spectrum.abs().clamp_min(1e-12)


def _resolved(one: Sketch, view: int) -> float:
    """Return the highest frequency of a view, in periods per view, that an image resolves."""
    rows, columns = one.image.shape
    if view == OBJECT_VIEW:
        rows, columns = one.box[1] - one.box[0], one.box[3] - one.box[2]
    elif view != FIELD:
        return RESOLVED * FINE
    return RESOLVED * min(rows, columns)


def _view(
    small: Picture, shape: tuple[int, int], box: tuple[int, int, int, int], view: int, size: int
) -> Picture:
    """Return one of ``VIEWS`` on ``size`` pixels, without mean and with damped edges."""
    if view == OBJECT_VIEW:
        picture = _resized(small[box[0] : box[1], box[2] : box[3]], size, size)
    elif view == FIELD:
        picture = _resized(small, size, size)
    else:
        factor = 1
        while max(shape) > SIZE * factor:
            factor *= 2
        factor *= 2 if view == COARSE_PIXELS else 1
        scale = size / SIZE / factor
        picture = _resized(small, *(max(1, round(n * scale)) for n in shape))
    return _framed(picture, size)


def _framed(picture: Picture, size: int) -> Picture:
    """Take away the mean and damp the edges, which would make a cross in the spectrum."""
    windows = []
    for n in picture.shape:
        ramp = torch.hann_window(max(2 * (n // 8), 2), periodic=False)[: max(n // 8, 1)]
        window = torch.ones(n)
        window[: len(ramp)], window[-len(ramp) :] = ramp, ramp.flip(0)
        windows.append(window)
    return center_fit((picture - picture.mean()) * windows[0][:, None] * windows[1], (size, size))


def _resized(image: Picture, height: int, width: int) -> Picture:
    return torch.nn.functional.interpolate(
        image[None, None], (height, width), mode="bilinear", antialias=True, align_corners=False
    )[0, 0]


def _band(spectra: Tensor, highest: int) -> Tensor:
    middle = spectra.shape[-1] // 2
    band = slice(middle - highest, middle + highest + 1)
    return spectra[..., band, band]
