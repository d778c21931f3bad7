"""Cases of the measured benchmark: a slice of a fully sampled scan, a mask, and references."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from mrirecon.data.collate import collate
from mrirecon.data.gaps import has_gaps
from mrirecon.data.transforms import Normalize, Undersample
from mrirecon.errors import RawDataError
from mrirecon.evaluation.scores.protocol import fitted_factor
from mrirecon.fourier import ifft
from mrirecon.image import center_crop, root_sum_of_squares
from mrirecon.metrics.fastmri import psnr, ssim
from mrirecon.readers import open_scan
from mrirecon.sampling import EquispacedLines, PoissonDisc, SamplingPattern
from mrirecon.scan import Scan
from mrirecon.sensitivity import Espirit
from mrirecon.types import Sample

NARROW = 160
"""Up to so many phase encodings, 16 lines of calibration are tried beside 24."""
MEASURES = ("combined", "combined, object", "RSS", "RSS, object")
"""References, and where images are compared with them."""
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Pattern:
    """An undersampling pattern and what it is called."""

    name: str
    sampling: SamplingPattern | None


def patterns(
    width: int, uniform: Sequence[int], poisson: Sequence[float], acs: Sequence[int] | None
) -> list[Pattern]:
    """Return the patterns of a scan of ``width`` phase encodings; acceleration 1 takes nothing.

    Args:
        width: Number of phase encodings.
        uniform: Spacings of lines.
        poisson: Accelerations of Poisson discs with a centre of 24 x 24.
        acs: Numbers of central lines; None takes 24, on narrow grids 16 as well.
    """
    centers = acs or ([24, 16] if width <= NARROW else [24])
    found = [
        Pattern(f"uniform {rate}, {center} ACS", EquispacedLines(rate, acs=center))
        for center in centers
        for rate in uniform
        if rate > 1
    ]
    if 1 in uniform:
        found.append(Pattern("full", None))
    return found + [Pattern(f"Poisson {rate:g}", PoissonDisc(float(rate))) for rate in poisson]


@dataclass(frozen=True)
class Case:
    """One slice under one mask.

    Attributes:
        file: Name of the file.
        checksum: Of its content.
        number: Number of the plane.
        pattern: What the mask is called.
        full: The fully sampled plane, as read.
        undersampled: What is left of it, in the same units.
    """

    file: str
    checksum: str
    number: int
    pattern: str
    full: Sample
    undersampled: Sample

    @property
    def name(self) -> str:
        return f"{self.file} [{self.number}], {self.pattern}"

    @property
    def acceleration(self) -> float:
        """The measured positions divided by the kept ones."""
        shape = self.full.kspace.shape[-2:]
        measured, kept = (s.mask.expand(1, *shape).sum() for s in (self.full, self.undersampled))
        return float(measured / kept)

    @property
    def key(self) -> str:
        """What tells the case from all others, by content."""
        mask = self.undersampled.mask.expand(1, *self.full.kspace.shape[-2:])
        digest = hashlib.sha256(mask.numpy().tobytes()).hexdigest()
        return f"{self.checksum} {self.number} {digest}"

    @cached_property
    def sample(self) -> Sample:
        """A batch of the normalised undersampled slice; what every classical method gets."""
        return collate([Normalize()(self.undersampled)])

    @cached_property
    def references(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Coil combination and root-sum-of-squares of the full data, and where the object is.

        In the units of :attr:`sample`. The combination keeps the background; the object is where
        the eigenvalue of the maps is above the usual threshold.
        """
        assert self.sample.scale is not None
        full = collate([self.full]).divided(self.sample.scale)
        images = ifft(full.kspace)
        with torch.inference_mode():
            combined = (Espirit(crop=0)(full).conj() * images).sum(-3).abs()
            inside = (Espirit()(full) != 0).any(-3)
        return self.shown(combined), self.shown(root_sum_of_squares(images)), self.shown(inside)

    def shown(self, image: torch.Tensor) -> torch.Tensor:
        """Cut the field of view out of a batch of images on the grid."""
        region = self.full.region
        return image if region is None else center_crop(image, region.tolist())

    def scores(self, image: torch.Tensor) -> Scores:
        """Compare an image ``(1, h, w)`` in the units of :attr:`sample` with all references.

        The factor of least squares is removed; ``unscaled`` is the PSNR without that.
        """
        combined, rss, inside = self.references
        magnitude = self.shown(image.abs()).float()
        found = {}
        for measure in MEASURES:
            reference = combined if measure.startswith("combined") else rss
            if measure.endswith("object"):
                if not inside.any():
                    continue
                x, r = magnitude[inside][None, None], reference[inside][None, None]
                factor = fitted_factor(x, r)
                similarity = ssim(magnitude * inside * factor, reference * inside)
            else:
                x, r = magnitude, reference
                factor = fitted_factor(x, r)
                similarity = ssim(x * factor, r)
            found[measure] = {
                "psnr": psnr(x * factor, r), "ssim": similarity, "unscaled": psnr(x, r)
            }  # fmt: skip
        return found


@dataclass(frozen=True)
class Planes:
    """The chosen planes of a fully sampled file.

    Args:
        path: Path of the file.
        chosen: Numbers of the planes; None takes all.

    Raises:
        RawDataError: When there is no such file or plane, or the first one is not fully sampled.
    """

    path: Path
    chosen: Sequence[int] | None = None

    def __post_init__(self) -> None:
        for number in self.numbers:
            if not 0 <= number < len(self.scan):
                raise RawDataError(
                    f"{self.path}: has planes 0 to {len(self.scan) - 1}, not {number}"
                )
        self.full(self.numbers[0])

    @cached_property
    def scan(self) -> Scan:
        return open_scan(self.path)

    @property
    def numbers(self) -> list[int]:
        return list(range(len(self.scan)) if self.chosen is None else self.chosen)

    def full(self, number: int) -> Sample:
        """Read a plane.

        Raises:
            RawDataError: When it is not fully sampled, or empty.
        """
        sample = self.scan[number]
        if bool(has_gaps(sample)):
            raise RawDataError(
                f"{self.path}: plane {number} is undersampled, so there is nothing to compare "
                "with; give a fully sampled file"
            )
        if not sample.kspace.any():
            raise RawDataError(f"{self.path}: plane {number} is empty; leave it out with --slices")
        return sample


def cases(
    planes: Planes,
    uniform: Sequence[int],
    poisson: Sequence[float],
    acs: Sequence[int] | None,
) -> Iterator[Case]:
    """Yield the cases of a file; masks are those of ``mrirecon reconstruct sampling=...``.

    Args:
        planes: The planes.
        uniform: Spacings of lines.
        poisson: Accelerations of Poisson discs.
        acs: Numbers of central lines; None chooses.

    Raises:
        RawDataError: When a plane is not fully sampled.
    """
    checksum = hashlib.sha256(planes.path.read_bytes()).hexdigest()
    for number in planes.numbers:
        full = planes.full(number)
        for pattern in patterns(full.kspace.shape[-1], uniform, poisson, acs):
            kept = full if pattern.sampling is None else Undersample(pattern.sampling)(full)
            yield Case(planes.path.name, checksum, number, pattern.name, full, kept)
