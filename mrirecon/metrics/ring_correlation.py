"""Scanned Fourier ring correlation: where an image shows what its reference does not, or omits it.

After Kc et al., "sFRC for assessing hallucinations in medical image restoration",
arXiv:2603.04673: patches of an image are correlated with the same patches of the reference, ring
by ring of their Fourier transforms. Where the paper sets a frequency by hand at which correlations
may fall, the threshold here follows from the image: see :func:`scan_rings`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import fold, pad, unfold

from mrirecon.errors import ShapeError
from mrirecon.fourier import plain_fft, plain_ifft

PATCH = 16
"""Pixels along each side of a patch: a few times a small structure, so that little else is in."""
STEP = 4
"""Pixels from a patch to the next one."""
RINGS = 5
"""Rings that count, from the first: structures of two or more pixels; the rest is noise."""
COARSE = 2
"""Rings in which strong structure of the reference must be found in any image."""
ALIKE = 60
"""Patches at least that are taken together to see what is usual."""
MOST_GROUPS = 12
"""Groups of patches at most, from weak to strong structure."""
FAINT = 0.1
"""Of the brightest patch, below which a patch shows no object."""
SPREAD = 2.25
"""Bins of the transform that one is spread over by the Hann window, in two dimensions."""
NORMAL_QUANTILE = 3.7190
"""Of a probability of one in 10,000."""
FLOOR = 1e-6
"""Of the mean power of a ring, which counts as no difference: far below any image's noise."""


@dataclass(frozen=True)
class RingScan:
    """What scanning an image has found.

    Attributes:
        scores: Score of each patch: power that the correlations leave unexplained, divided by
            what is usual in patches of like structure. About 1 where nothing is changed, above
            :func:`threshold` where structure is invented or missing; zero where there is no object.
        correlations: Fourier ring correlation of each patch, from the first ring.
        usual: Correlation of each ring that the patch would have as one of its like.
        shows_object: Patches that show the object.
        shape: Size of the image (y, x).
    """

    scores: Float[Tensor, "v u"]
    correlations: Float[Tensor, "v u ring"]
    usual: Float[Tensor, "v u ring"]
    shows_object: Bool[Tensor, "v u"]
    shape: tuple[int, int]

    @property
    def suspicious(self) -> Bool[Tensor, "v u"]:
        """Patches of the object whose correlations are below the threshold, or are no number."""
        return self.shows_object & ~(self.scores <= threshold())

    def map(self) -> Float[Tensor, "y x"]:
        """Return the scores on the pixels of the image, the mean over the patches of a pixel."""
        window = _window(self.scores).flatten()[:, None]
        flat = self.scores.flatten()
        size = _padded(self.shape)
        total, weight = (
            fold((window * each)[None], size, PATCH, stride=STEP)[0, 0]
            for each in (flat, torch.ones_like(flat))
        )
        y, x = self.shape
        return (total / weight.clamp_min(1e-12))[:y, :x]

    def centers(self) -> tuple[Int[Tensor, " v"], Int[Tensor, " u"]]:
        """Return the rows and columns of pixels at the centres of the patches."""
        rows, columns = (
            (STEP * torch.arange(n, device=self.scores.device) + PATCH // 2).clamp_max(size - 1)
            for n, size in zip(self.scores.shape, self.shape, strict=True)
        )
        return rows, columns

    def worst(self, count: int) -> Int[Tensor, "n corner"]:
        """Return the first pixels (y, x) of the patches with the highest scores, highest first."""
        flat = self.scores.flatten()
        chosen = flat.topk(min(count, len(flat))).indices
        columns = self.scores.shape[1]
        return STEP * torch.stack((chosen // columns, chosen % columns), -1)


def scan_rings(image: Float[Tensor, "y x"], reference: Float[Tensor, "y x"]) -> RingScan:
    r"""Correlate all patches of a slice with those of its reference.

    Patches have a Hann window and no mean. Of their transforms :math:`X` and :math:`R`, a ring has
    the correlation :math:`c = \mathrm{Re}\sum XR^* / \sqrt{\sum|X|^2\sum|R|^2}`, which neither
    smoothing nor another scale of the intensities changes. The power without correlation
    is :math:`(1 - c^2)(\sum|X|^2 + g^2\sum|R|^2)`, where :math:`g` is the usual ratio of the image
    to the reference in this ring: what was added to the image, and what was taken from the
    reference. Noise, smoothing and artifacts leave such power everywhere, more of it where there
    is more structure. The usual power is therefore the median over patches that have about the
    same :math:`\sum|R|^2`. The score is the quotient of both, the mean over all bins of the rings.

    The reference is first brought to the resolution of the image, by the mean gain of each ring.
    Whatever is usual in the image, coarse structure that is stronger than the median also has to
    correlate more than the half-bit curve asks for.

    Args:
        image: Magnitudes of a slice.
        reference: Magnitudes that it should have.

    Raises:
        ShapeError: When the shapes differ, or the images are smaller than a patch.
    """
    if image.shape != reference.shape or min(image.shape) < PATCH:
        raise ShapeError(
            f"ring correlations need two images of one shape and at least {PATCH} x {PATCH} "
            f"pixels, got {tuple(image.shape)} and {tuple(reference.shape)}"
        )
    x, (r, brightness) = _spectra(image)[0], _spectra(reference)
    shows = brightness > FAINT * brightness.max()
    structure = _over(_rings(reference)[:, 1 : COARSE + 1], r.abs().square())
    r, _ = _spectra(_blurred(reference, _transfer(x[shows], r[shows])))
    shape = image.shape[0], image.shape[1]
    rows, columns = ((n - PATCH) // STEP + 1 for n in _padded(shape))
    rings = _rings(reference)[:, 1 : RINGS + 1]
    count = rings.sum(0)
    cross, own, power = (
        _over(rings, v) for v in ((x * r.conj()).real, x.abs().square(), r.abs().square())
    )
    gain = cross[shows].sum(0) / power[shows].sum(0).clamp_min(1e-30)
    expected_power = power * gain.square()
    correlation = cross / (own * power).clamp_min(1e-30).sqrt()
    squared = correlation.clamp(0, 1).square()  # of opposite contrast is not alike
    both = own + expected_power
    unexplained = (1 - squared) * both
    floor = FLOOR * both[shows].sum(0) / shows.sum().clamp_min(1)
    usual = _usual(unexplained, power, shows) + floor
    quotient = unexplained / usual.clamp_min(1e-30)
    scores = (quotient * count).sum(-1) / count.sum()
    scores = torch.maximum(scores, _lost(squared, structure, shows, count))
    bound = (1 - usual / both.clamp_min(1e-30)).clamp_min(0).sqrt()

    def grid(v: Tensor) -> Tensor:
        return v.unflatten(0, (rows, columns))

    return RingScan(grid(scores * shows), grid(correlation), grid(bound), grid(shows), shape)


def threshold() -> float:
    """Return the score that one in 10,000 patches of mere Gaussian noise would exceed.

    That of a chi-squared variable, divided by its median, with as many degrees of freedom as there
    are independent bins in the rings (Wilson and Hilferty, Proc Natl Acad Sci USA 17:684, 1931).
    """
    bins = _rings(torch.zeros(1, dtype=torch.float64))[:, 1 : RINGS + 1]
    freedom = float(bins.sum()) / SPREAD
    step = 2 / (9 * freedom)
    cubes = ((1 - step + z * step**0.5) ** 3 for z in (NORMAL_QUANTILE, 0.0))
    high, median = cubes
    return high / median


def _lost(
    squared: Float[Tensor, "patch ring"],
    structure: Float[Tensor, "patch coarse"],
    shows: Bool[Tensor, " patch"],
    count: Float[Tensor, " ring"],
) -> Float[Tensor, " patch"]:
    """Return the threshold times how far strong, coarse structure is below the half-bit curve.

    An image that is wrong everywhere has nothing usual to be compared with. The half-bit curve is
    that of van Heel and Schatz, J Struct Biol 151:250, 2005.
    """
    roots = (count / SPREAD).sqrt()
    half_bit = (0.2071 + 1.9102 / roots) / (1.2071 + 0.9102 / roots)
    below = (1 - squared) / (1 - half_bit.square())
    for ring in range(COARSE):
        known = structure[shows, ring]
        strong = structure[:, ring] > (known.median() if len(known) else 0)
        below[:, ring] *= strong
    return threshold() * below[:, :COARSE].amax(1)


def _padded(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the size at which patches reach the last pixels."""
    y, x = (n + (PATCH - n) % STEP for n in shape)
    return y, x


def _window(like: Tensor) -> Float[Tensor, "p q"]:
    line = torch.hann_window(PATCH, periodic=True, dtype=like.dtype, device=like.device)
    return line[:, None] * line


def _spectra(image: Tensor) -> tuple[Tensor, Float[Tensor, " patch"]]:
    """Return the transforms of all patches without their means, ``patch p q``, and the means."""
    height, width = _padded((image.shape[0], image.shape[1]))
    grown = pad(
        image[None, None], (0, width - image.shape[1], 0, height - image.shape[0]), "replicate"
    )
    patches = unfold(grown, PATCH, stride=STEP)[0].T.unflatten(1, (PATCH, PATCH))
    window = _window(image)
    mean = (patches * window).sum((-2, -1)) / window.sum()
    return plain_fft(((patches - mean[:, None, None]) * window).to(_complex(image)), (-2, -1)), mean


def _complex(like: Tensor) -> torch.dtype:
    return torch.complex128 if like.dtype == torch.float64 else torch.complex64


def _rings(like: Tensor) -> Float[Tensor, "bin ring"]:
    """Return the bins of every ring, from that of the mean, as columns of ones."""
    radius = _frequency(PATCH, PATCH).mul(PATCH).round().flatten()
    inside = radius[:, None] == torch.arange(PATCH // 2 + 1)
    return inside.to(like.dtype).to(like.device)


def _frequency(height: int, width: int) -> Float[Tensor, "height width"]:
    """Return the spatial frequency of each bin, in cycles per pixel, the origin first."""
    axes = (
        ((torch.arange(n, dtype=torch.float64) + n // 2) % n - n // 2) / n for n in (height, width)
    )
    y, x = axes
    return torch.hypot(y[:, None], x)


def _transfer(x: Tensor, r: Tensor) -> Float[Tensor, " ring"]:
    """Return the gain of each ring, from that of the mean, which is one."""
    rings = _rings(x.real)
    cross, power = (_over(rings, v).sum(0) for v in ((x * r.conj()).real, r.abs().square()))
    gain = (cross / power.clamp_min(1e-30)).clamp_min(0)
    gain[0] = gain[1]
    return gain


def _blurred(image: Float[Tensor, "y x"], gain: Float[Tensor, " ring"]) -> Float[Tensor, "y x"]:
    """Multiply the transform of an image with the gains of rings, linear between them."""
    height, width = image.shape
    place = (_frequency(height, width) * PATCH).clamp_max(len(gain) - 1).to(image.device)
    low = place.long().clamp_max(len(gain) - 2)
    gains = torch.lerp(gain[low], gain[low + 1], (place - low).to(gain.dtype))
    return plain_ifft(plain_fft(image.to(_complex(image)), (-2, -1)) * gains, (-2, -1)).real


def _over(rings: Float[Tensor, "bin ring"], values: Tensor) -> Float[Tensor, "patch ring"]:
    return values.flatten(1) @ rings


def _usual(
    values: Float[Tensor, "patch ring"],
    structure: Float[Tensor, "patch ring"],
    shows: Bool[Tensor, " patch"],
) -> Float[Tensor, "patch ring"]:
    """Return the median of values over the patches with about the same structure."""
    found = torch.zeros_like(values)
    places = shows.nonzero()[:, 0]
    groups = min(MOST_GROUPS, max(1, len(places) // ALIKE))
    for ring in range(values.shape[1]):
        ordered = places[structure[places, ring].argsort()]
        for group in ordered.tensor_split(groups):
            found[group, ring] = values[group, ring].median()
    return found
