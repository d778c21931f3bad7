"""Measures of a reconstruction, so that a person can judge it; plain numbers only."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

Spacing = tuple[float, float]
LARGEST_MISFIT = 0.1
"""Part of the measured k-space that an image may leave unexplained, noise apart."""
LEAST_SIGNAL = 0.05
"""Part of the energy of the measured k-space that noise does not explain, below which there is no
signal to judge an image by."""


@dataclass(frozen=True)
class MeasuredMask:
    """How one plane was sampled.

    Attributes:
        name: Name of the plane, in words.
        mask: True where k-space was used.
        acs: Size ``(h, w)`` of the fully sampled centre.
        acceleration: All positions divided by the used ones.
    """

    name: str
    mask: Bool[np.ndarray, "h w"]
    acs: tuple[int, int]
    acceleration: float


@dataclass(frozen=True)
class CoilPictures:
    """Coil sensitivities, or coil images where the method has no sensitivities.

    Attributes:
        magnitude: One picture per coil.
        of: Contents of the pictures, in words.
        spacing: Distance of the pixels along both axes in mm.
        eigenvalue: Largest ESPIRiT eigenvalue at every pixel: 1 where the sensitivity model
            explains the calibration data. None for other estimators.
        crop: Eigenvalue below which the maps are zero.
        unit: Unit of the magnitude.
    """

    magnitude: Float32[np.ndarray, "coil h w"]
    of: str
    spacing: Spacing = (1.0, 1.0)
    eigenvalue: Float32[np.ndarray, "h w"] | None = None
    crop: float = 0.0
    unit: str = "1"


@dataclass(frozen=True)
class NoiseMaps:
    """What the receivers' noise becomes in the image, by pseudo-replicas.

    Robson et al., Magn Reson Med 60:895, 2008.

    Attributes:
        signal: Magnitude image, in units of the noise of a fully sampled image.
        deviation: Standard deviation of the image's noise in the same units, so 1 where nothing
            is amplified.
        replicas: Number of reconstructions that it was estimated from.
        spacing: Distance of the pixels along both axes in mm.
    """

    signal: Float32[np.ndarray, "y x"]
    deviation: Float32[np.ndarray, "y x"]
    replicas: int
    spacing: Spacing = (1.0, 1.0)

    @property
    def snr(self) -> Float32[np.ndarray, "y x"]:
        """Signal divided by noise; 0 where the method leaves neither."""
        return np.divide(
            self.signal, self.deviation, out=np.zeros_like(self.signal), where=self.deviation > 0
        )

    @property
    def inside(self) -> Bool[np.ndarray, "y x"]:
        """Where there is something to see: a tenth of the 99th percentile and above."""
        return self.signal > 0.1 * np.percentile(self.signal, 99)


@dataclass(frozen=True)
class Residual:
    """How far the k-space that an image predicts is from the measured one.

    Attributes:
        maps: The sensitivities that it was predicted with, in words.
        relative: Norm of the difference, divided by that of the measured k-space.
        noise: Root-mean-square of the difference in units of the noise's standard deviation: about
            1 when noise is all that is left over. None when the noise is not known.
        misfit: Norm of the difference without the part that noise explains, divided like
            ``relative``; where the noise is not known it is estimated as for every method.
        signal: Part of the energy of the measured k-space that noise does not explain.
    """

    maps: str
    relative: float
    noise: float | None
    misfit: float
    signal: float = 1.0

    @property
    def fits(self) -> bool:
        """Whether the image explains the measured data."""
        return self.misfit <= LARGEST_MISFIT

    @property
    def empty(self) -> bool:
        """Whether the measured data are noise, or zero: any image explains them, and none does."""
        return self.signal < LEAST_SIGNAL

    @property
    def verdict(self) -> str:
        """What the misfit means, in a few words."""
        if self.empty:
            return "NO SIGNAL in the data"
        return "fits the data" if self.fits else "DOES NOT FIT the data"


@dataclass(frozen=True)
class Part:
    """An image, or an error, and what of it the data have not measured.

    Attributes:
        whole: Magnitude of the image or error.
        unmeasured: Magnitude of its part in the null space of the encoding.
        share: Part of the energy that was not measured.
        name: Name of what was split, in words.
    """

    whole: Float32[np.ndarray, "y x"]
    unmeasured: Float32[np.ndarray, "y x"]
    share: float
    name: str


@dataclass(frozen=True)
class Added:
    """What a method has added to the data.

    Attributes:
        image: Split of the image.
        error: Split of the error; None without a fully sampled reference.
        threshold: Power of the noise over that of the signal, above which a component of the image
            counts as measured.
        spacing: Distance of the pixels along both axes in mm.
    """

    image: Part
    error: Part | None
    threshold: float
    spacing: Spacing = (1.0, 1.0)


@dataclass(frozen=True)
class Quality:
    """Measured on one plane, the middle one of a series, and on the run as a whole.

    What could not be measured is None, and ``missing`` says why.

    Attributes:
        plane: The plane, in words.
        masks: Masks of the first plane and of this one; a single entry when they agree.
        kspace: Root-sum-of-squares over coils of what the method was given.
        peak: Position of its largest value, which should be ``(h // 2, w // 2)`` or beside it.
        coils: Sensitivities or coil images.
        gridded: Whether k-space was sampled along a trajectory, and ``kspace`` is gridded.
        noise: SNR and noise amplification.
        correlation: Magnitude of the noise correlation between coils, before whitening.
        residual: Residual of the image and the maps of record, ESPIRiT's of the same data, which
            are the same for every method, so that methods compare.
        own_residual: Residual of the image and the maps that the method itself has used; None when
            it has none, or its image has no phase.
        added: What the method has added to the data, with the maps of record.
        missing: Names of what was not measured, each with the reason.
        seconds: Durations by what was done.
        memory: Peak memory in MB by where.
    """

    plane: str
    masks: tuple[MeasuredMask, ...]
    kspace: Float32[np.ndarray, "h w"]
    peak: tuple[int, int]
    coils: CoilPictures
    gridded: bool = False
    noise: NoiseMaps | None = None
    correlation: Float64[np.ndarray, "coil coil"] | None = None
    residual: Residual | None = None
    own_residual: Residual | None = None
    added: Added | None = None
    missing: tuple[tuple[str, str], ...] = ()
    seconds: tuple[tuple[str, float], ...] = ()
    memory: tuple[tuple[str, float], ...] = ()

    @property
    def misfit(self) -> float | None:
        """Part of the measured k-space that the image does not explain; None if unknown."""
        found = self.residual or self.own_residual
        return None if found is None or found.empty else found.misfit

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user must know before the image is trusted, one sentence each."""
        found = self.residual or self.own_residual
        if found is not None and found.empty:
            return (
                f"The measured k-space is noise or zero: {found.signal:.1%} of its energy are "
                f"signal, where at least {LEAST_SIGNAL:.0%} are needed to judge an image. What "
                "the image shows is not the object.",
            )
        if found is None or found.fits:
            return ()
        return (
            f"The image does not fit the measured data: {found.misfit:.0%} of the measured k-space "
            f"is not explained by image, {found.maps} and noise, where up to {LARGEST_MISFIT:.0%} "
            "is usual. Structures may be missing or invented.",
        )
