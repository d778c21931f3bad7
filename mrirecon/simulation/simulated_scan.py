"""A simulated scan: multi-coil k-space of one subject, computed when a slice is asked for."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Complex64, Float32, Float64
from scipy.interpolate import make_interp_spline
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit, root_sum_of_squares
from mrirecon.scan import Scan, ScanHeader
from mrirecon.simulation.anatomy import Anatomy
from mrirecon.simulation.coil_array import CoilArray, head_array
from mrirecon.simulation.contrast import CONTRASTS
from mrirecon.simulation.phase import ObjectPhase
from mrirecon.simulation.receiver_noise import (
    Covariance,
    apply_channels,
    random_covariance,
    white_noise,
    whitening,
)
from mrirecon.simulation.simulation_protocol import SimulationProtocol
from mrirecon.simulation.threads import single_thread
from mrirecon.simulation.tissues import BRAIN, tissue_table
from mrirecon.types import Sample

_OVERSAMPLING = 2
"""Points of the simulated object per pixel and axis: k-space is truncated, as by a scanner."""

_NODES = 40
"""Grid per axis on which coil fields and phase are computed before they are interpolated."""


@dataclass(frozen=True)
class _Subject:
    """The subject's parameters; small enough to keep, unlike what is computed from them."""

    anatomy: Anatomy
    array: CoilArray
    covariance: Covariance
    phase: ObjectPhase


class SimulatedScan(Scan):
    """One subject, fully sampled, in whitened units: noise has unit variance per component.

    The object is evaluated on a grid twice as fine as the image and k-space is truncated to the
    matrix, so that the image shows true Gibbs ringing. Equal arguments give bit-identical Samples;
    the anatomy depends on ``subject`` only, so that its contrasts agree.

    Args:
        subject: Number of the subject, from zero; seeds everything.
        protocol: Protocol, which tells what is scanned and how.
        with_maps: Whether Samples carry the true sensitivities, unit root-sum-of-squares.
    """

    def __init__(
        self,
        subject: int,
        protocol: SimulationProtocol | None = None,
        with_maps: bool = False,
    ) -> None:
        if subject < 0:
            raise ConfigError(f"subject is {subject}; expected a number from zero")
        self.subject = subject
        self.protocol = protocol or SimulationProtocol()
        self.with_maps = with_maps
        prescription = self.protocol.prescription
        name = f"subject{subject:04d}"
        self.header = ScanHeader(
            name=f"{name}_{self.protocol.contrast.label}.h5",
            format="simulated",
            slices=prescription.slices,
            coils=self.protocol.coils,
            grid=prescription.matrix,
            canvas=prescription.matrix,
            matrix=prescription.matrix,
            voxel=prescription.voxel,
            geometry=prescription.geometry(),
            subject=name,
            acquisition=self.protocol.acquisition,
            sequence=self.protocol.contrast.sequence(self.protocol.field_strength),
            whitened=True,
            notes=("Simulated; the target is free of noise.",),
        )

    @single_thread()
    def _read(self, index: int) -> Sample:
        index = self._checked(index)
        clean = self.noise_free(index)
        noise = white_noise(tuple(clean.shape), self.rng("noise", index))
        return Sample(
            kspace=clean + torch.from_numpy(noise),
            mask=torch.ones(1, clean.shape[-1], dtype=torch.bool),
            maps=self.true_maps(index) if self.with_maps else None,
            target=root_sum_of_squares(ifft(clean)),
            peak=torch.tensor(self._volume[1], dtype=torch.float32),
            key=(self.header.name, index),
        )

    @property
    def covariance(self) -> Covariance:
        """Noise covariance of the raw channels, before whitening."""
        return self._subject.covariance

    @single_thread()
    def noise_free(self, index: int) -> Complex64[Tensor, "coil h w"]:
        """Return the whitened k-space of a slice without its noise."""
        return self._signal(self._checked(index))[0] * self._volume[0]

    @single_thread()
    def target(self, index: int) -> Float32[Tensor, "h w"]:
        """Return the noise-free root-sum-of-squares image of a slice."""
        return root_sum_of_squares(ifft(self.noise_free(index)))

    @single_thread()
    def true_maps(self, index: int) -> Complex64[Tensor, "coil h w"]:
        """Return the whitened sensitivities with unit root-sum-of-squares."""
        fields = self._sensitivity(self._checked(index), self.header.matrix, with_phase=False)
        return fields / root_sum_of_squares(fields)

    def rng(self, purpose: str, *numbers: int) -> np.random.Generator:
        """Return an independent random stream of this scan for one ``purpose``."""
        name = f"{self.header.name} {purpose}"
        return np.random.default_rng((self.subject, zlib.crc32(name.encode()), *numbers))

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"slice {index} of {self.header.name}, which has {len(self)} slices")
        return index

    @cached_property
    def _subject(self) -> _Subject:
        array = head_array(self.protocol.coils, self.rng("array"))
        return _Subject(
            anatomy=Anatomy.draw(np.random.default_rng((self.subject, 0)), self.protocol.lesions),
            array=array,
            covariance=random_covariance(array.centers, self.rng("covariance")),
            phase=ObjectPhase.draw(self.rng("phase"), self.protocol.contrast.dephasing_time),
        )

    @cached_property
    def _volume(self) -> tuple[float, float]:
        """Scale that reaches the protocol's SNR, and the target's maximum over all slices."""
        total, weight, peak = 0.0, 0.0, 0.0
        for index in range(len(self)):
            kspace, brain = self._signal(index)
            image = root_sum_of_squares(ifft(kspace))
            total += float((image * brain).sum(dtype=torch.float64))
            weight += float(brain.sum(dtype=torch.float64))
            peak = max(peak, float(image.max()))
        if total == 0.0:
            raise ConfigError(
                f"the slices of {self.header.name} show no brain; move them with "
                "prescription.center, given in LPS mm"
            )
        scale = float(np.float32(self.protocol.snr * weight / total))
        return scale, peak * scale

    def _signal(self, index: int) -> tuple[Complex64[Tensor, "coil h w"], Float32[Tensor, "h w"]]:
        """Return unscaled whitened k-space of a slice and the share of brain in each pixel."""
        h, w = self.header.matrix
        fine = (_OVERSAMPLING * h, _OVERSAMPLING * w)
        points = self.protocol.prescription.points(index, *self._axes(fine)).astype(np.float32)
        blur = max(size / n for size, n in zip(self.protocol.prescription.fov, fine, strict=True))
        fractions, modulation = self._subject.anatomy.fractions(points, blur)
        signal = self.protocol.contrast.signal(tissue_table(self.protocol.field_strength))
        density = torch.from_numpy(signal.astype(np.float32)) @ torch.from_numpy(fractions)
        density = (density * torch.from_numpy(modulation)).reshape(fine)
        brain = torch.from_numpy(fractions[BRAIN[0] :].sum(axis=0)).reshape(fine)
        image = self._sensitivity(index, fine, with_phase=True) * density
        # one axis at a time, so that the second transform sees only what is kept
        lines = center_fit(fft(image, axes=(-1,)), (w,))
        kspace = center_fit(fft(lines, axes=(-2,)), (h, w)) / _OVERSAMPLING
        first_row, first_column = (_OVERSAMPLING * (n % 2) // 2 for n in (h, w))
        return kspace, brain[first_row::_OVERSAMPLING, first_column::_OVERSAMPLING]

    def _axes(self, shape: tuple[int, int]) -> list[Float64[np.ndarray, "n"]]:
        """Return the in-plane coordinates of ``shape`` pixels in mm, zero at ``n // 2``."""
        fov = self.protocol.prescription.fov
        return [(np.arange(n) - n // 2) * (size / n) for n, size in zip(shape, fov, strict=True)]

    def _sensitivity(
        self, index: int, shape: tuple[int, int], with_phase: bool
    ) -> Complex64[Tensor, "coil h w"]:
        """Return whitened coil sensitivities, with the object's phase if asked for."""
        halves = [size * 0.51 for size in self.protocol.prescription.fov]
        nodes = [np.linspace(-half, half, _NODES) for half in halves]
        points = self.protocol.prescription.points(index, *nodes)
        fields = self._subject.array.sensitivity(points.T)
        if with_phase:
            fields = fields * np.exp(1j * self._subject.phase(points))
        coarse = torch.from_numpy(fields.astype(np.complex64)).unflatten(-1, (_NODES, _NODES))
        coarse = apply_channels(whitening(self.covariance), coarse)
        along, across = (_spline(n) for n in shape)
        return torch.view_as_complex(
            torch.stack([along @ part @ across.T for part in (coarse.real, coarse.imag)], dim=-1)
        )


@lru_cache(maxsize=16)
def _spline(n: int) -> Float32[Tensor, "n nodes"]:
    """Return the matrix that interpolates from the nodes to ``n`` pixels of the field of view."""
    nodes = np.linspace(-0.51, 0.51, _NODES)
    pixels = (np.arange(n) - n // 2) / n
    return torch.from_numpy(make_interp_spline(nodes, np.eye(_NODES), k=3)(pixels)).float()


def simulated_scans(
    first: int,
    count: int,
    protocol: SimulationProtocol | None = None,
    contrasts: Sequence[str] = ("t1", "t2", "flair", "pd"),
    with_maps: bool = False,
) -> list[SimulatedScan]:
    """Return the scans of subjects ``first`` to ``first + count - 1``, one each.

    Ranges that do not overlap share no subject, whatever the protocol.

    Args:
        first: Number of the first subject.
        count: Number of subjects.
        protocol: Protocol of all scans, which tells what is scanned and how; None takes the default
            one.
        contrasts: Labels from ``CONTRASTS`` that take turns by the subject's number; empty to give
            every subject the protocol's contrast.
        with_maps: Whether Samples carry the true sensitivities.
    """
    protocol = protocol or SimulationProtocol()
    unknown = [label for label in contrasts if label not in CONTRASTS]
    if unknown:
        raise ConfigError(
            f"contrasts has {', '.join(map(repr, unknown))}; expected some of "
            f"{', '.join(CONTRASTS)}"
        )
    scans = []
    for subject in range(first, first + count):
        chosen = protocol
        if contrasts:
            chosen = replace(protocol, contrast=CONTRASTS[contrasts[subject % len(contrasts)]])
        scans.append(SimulatedScan(subject, chosen, with_maps))
    return scans
