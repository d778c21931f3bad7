"""The acquisition of a simulated scan: samples measured, their order and their noise."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex64
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_pad
from mrirecon.sampling.base import DrawnMask, SamplingPattern, scan_rng
from mrirecon.sampling.calibration import center_slice
from mrirecon.simulation.receiver_noise import apply_channels, coloring, white_noise
from mrirecon.simulation.simulated_scan import SimulatedScan

NOISE_BANDWIDTH = 0.793
"""Relative receiver noise bandwidth: the share of noise power that passes the receive filter."""

DWELL_TIME = 8.0
NOISE_DWELL_TIME = 5.0
"""Time per sample of the (oversampled) readouts and of the noise scan, in µs."""

Raw = Complex64[np.ndarray, "coil sample line"]


@dataclass(frozen=True)
class AcquisitionOptions:
    """What a scanner does besides measuring every line once.

    Attributes:
        sampling: Line pattern that undersamples phase encoding, or None.
        noise_readouts: Readouts of the noise scan; zero for none.
        oversampling: Readout oversampling, 1 or 2.
        partial_fourier: Share of phase encodings that is acquired, above 0.5; early ones are left
            out.
        phase_resolution: Share of phase encodings around the centre that is acquired at all; the
            rest is zero-filled.
        echo_fraction: Share of the readout that is acquired, above 0.5; its beginning is left out.
        averages: Number of times that every line is measured.
        slab: Whether the slices are those of one slab, measured as partitions along the slice
            direction: a stack of stars, or of spirals. For trajectories only.
    """

    sampling: SamplingPattern | None = None
    noise_readouts: int = 32
    oversampling: int = 2
    partial_fourier: float = 1.0
    phase_resolution: float = 1.0
    echo_fraction: float = 1.0
    averages: int = 1
    slab: bool = False

    def __post_init__(self) -> None:
        for name in ("partial_fourier", "echo_fraction"):
            if not 0.5 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected 0.5 < {name} <= 1")
        if not 0 < self.phase_resolution <= 1:
            raise ConfigError(f"phase_resolution is {self.phase_resolution}; expected 0 to 1")
        if self.oversampling not in (1, 2):
            raise ConfigError(f"oversampling is {self.oversampling}; expected 1 or 2")
        if self.noise_readouts < 0 or self.averages < 1:
            raise ConfigError(
                f"noise_readouts is {self.noise_readouts}, averages is {self.averages}; expected "
                "at least 0 and at least 1"
            )


@dataclass(frozen=True)
class LinePlan:
    """The measured part of k-space.

    Attributes:
        first: First phase encoding of the measured interval, on the grid of the image.
        last: Last phase encoding of that interval, included.
        center: The line of k = 0, counted from ``first``.
        skipped: Samples left out at the beginning of each readout.
        samples: Samples of a full readout, oversampling included.
        kept: Whether each phase encoding of the grid is measured.
        calibration: Whether each phase encoding lies in the fully sampled centre.
        raster: Whether the image would have had each phase encoding without a fully sampled centre.
        drawn: The undersampling, or None.
    """

    first: int
    last: int
    center: int
    skipped: int
    samples: int
    kept: Bool[np.ndarray, "w"]
    calibration: Bool[np.ndarray, "w"]
    raster: Bool[np.ndarray, "w"]
    drawn: DrawnMask | None


def plan_lines(scan: SimulatedScan, options: AcquisitionOptions, frame: int = 0) -> LinePlan:
    """Decide what to measure in a frame; undersampling is seeded by the scan's name.

    Raises:
        ConfigError: When the sampling pattern undersamples the readout, or lines shall form a slab.
    """
    if options.slab:
        raise ConfigError(
            "slab: a stack of partitions needs trajectories, for instance "
            "+trajectory@simulation.trajectory=golden"
        )
    h, w = scan.header.grid
    count = max(1, round(options.phase_resolution * w))
    first = w // 2 - count // 2
    last = first + count - 1
    first += count - int(np.ceil(options.partial_fourier * count))
    samples = options.oversampling * h
    skipped = samples - max(samples // 2 + 1, round(options.echo_fraction * samples))
    measured = np.zeros(w, bool)
    measured[first : last + 1] = True
    calibration = np.zeros(w, bool)
    raster = np.ones(w, bool)
    kept, drawn = measured, None
    if options.sampling is not None:
        drawn = options.sampling.of_frame((h, w), scan_rng(scan.header.name), frame)
        if drawn.mask.shape[0] != 1:
            raise ConfigError(
                f"{type(options.sampling).__name__} undersamples the readout; raw files of 2-D "
                "scans need a line pattern"
            )
        lines = drawn.mask[0].numpy()
        if drawn.acs[1] > 1:  # a single line in the middle is there by chance
            calibration[center_slice(w, drawn.acs[1])] = True
        raster = _raster(lines, calibration, drawn.nominal)
        kept = measured & lines
        calibration &= kept
    return LinePlan(first, last, w // 2 - first, skipped, samples, kept, calibration, raster, drawn)


def _raster(
    lines: Bool[np.ndarray, "w"], calibration: Bool[np.ndarray, "w"], nominal: float
) -> Bool[np.ndarray, "w"]:
    """Find the regular undersampling that ``lines`` continue outside the centre, if there is one.

    Irregular patterns have no such raster; then every line belongs to the image.
    """
    outer = np.flatnonzero(lines & ~calibration)
    spacing = round(nominal)
    if not len(outer) or len(np.unique(outer % spacing)) > 1:
        return np.ones_like(lines)
    return np.arange(len(lines)) % spacing == outer[0] % spacing


def raw_slice(scan: SimulatedScan, index: int, options: AcquisitionOptions) -> Iterator[Raw]:
    r"""Yield every average of a slice as the receivers see it: colored, oversampled, all lines.

    With the whitened k-space :math:`y`, the covariance :math:`\Psi = LL^H` and white noise
    :math:`g`, the raw samples are :math:`L/\sqrt 2\,(y + g)`. Oversampling measures a field of
    view twice as long, in which nothing but the object lies.
    """
    clean = scan.noise_free(index)
    h, w = clean.shape[-2:]
    if options.oversampling > 1:
        image = ifft(clean, axes=(-2,))
        clean = fft(center_pad(image, (options.oversampling * h, w)), axes=(-2,))
    yield from received(scan, clean, options.averages, index)


def received(
    scan: SimulatedScan, clean: Complex64[Tensor, "coil sample line"], averages: int, index: int
) -> Iterator[Raw]:
    """Yield every average of whitened readouts as the receivers see them, with their noise.

    Args:
        scan: Scan that the readouts belong to.
        clean: Readouts without noise.
        averages: Number of averages.
        index: Number that tells these readouts from all others of the scan.
    """
    mixing = coloring(scan.covariance)
    for average in range(averages):
        noise = white_noise(tuple(clean.shape), scan.rng("raw noise", index, average))
        yield apply_channels(mixing, clean + torch.from_numpy(noise)).numpy()


def noise_readouts(
    scan: SimulatedScan, options: AcquisitionOptions
) -> Complex64[np.ndarray, "coil sample line"]:
    r"""Return the noise scan, with the covariance :math:`0.793\,\Psi\,t_{acq}/t_{noise}`.

    Noise power grows with the bandwidth, the inverse of the dwell time t, and the receive filter
    passes 0.793 of it, averaged over the whole band. The imaging readouts lie in the middle of
    theirs, where the filter is flat (Kellman and McVeigh, Magn Reson Med 54:1439, 2005).
    """
    h = scan.header.grid[0] * options.oversampling
    shape = (scan.header.coils, h, options.noise_readouts)
    white = torch.from_numpy(white_noise(shape, scan.rng("noise scan")))
    gain = np.sqrt(NOISE_BANDWIDTH * DWELL_TIME / NOISE_DWELL_TIME)
    return apply_channels(gain * coloring(scan.covariance), white).numpy()
