"""A simulated scan: multi-coil k-space of one subject, computed when a slice is asked for."""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit, root_sum_of_squares
from mrirecon.operators import NonUniformFourier
from mrirecon.scan import Frame, Scan, ScanHeader
from mrirecon.simulation.body_parts import BODY_PARTS
from mrirecon.simulation.contrast import CONTRASTS
from mrirecon.simulation.receiver_noise import Covariance, white_noise
from mrirecon.simulation.simulation_protocol import SimulationProtocol
from mrirecon.simulation.subject import Subject
from mrirecon.simulation.threads import single_thread
from mrirecon.types import Sample

_OVERSAMPLING = 2
"""Points of the simulated object per pixel and axis: k-space is truncated, as by a scanner."""


class SimulatedScan(Scan):
    """One subject, fully sampled, in whitened units: noise has unit variance per component.

    The object is evaluated on a grid twice as fine as the image and k-space is truncated to the
    matrix, so that the image shows true Gibbs ringing. Equal arguments give bit-identical Samples;
    the anatomy depends on ``subject`` only, so that its contrasts agree. With the protocol's
    ``frames`` it is a series of a moving object: each frame is evaluated where its tissue is at
    that time, coils and noise stay. Along the protocol's ``trajectory`` the Fourier transform of
    the same fine grid is computed at the very places of the samples, with as much noise per time
    of the readout.

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
        name, frames = f"subject{subject:04d}", self.protocol.frames
        sequence = self.protocol.contrast.sequence(self.protocol.field_strength)
        if frames is not None and frames.counter == "repetition":
            sequence = replace(sequence, frame_interval=frames.interval / 1000)
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
            sequence=sequence,
            frames=(Frame(),) if frames is None else frames.frames(),
            whitened=True,
            notes=("Simulated; the target is free of noise.",),
        )

    @single_thread()
    def _read(self, index: int) -> Sample:
        clean, trajectory = self.noise_free(index), self.protocol.trajectory
        frames, matrix = self.protocol.frames, self.header.matrix
        still = trajectory is None and (frames is None or frames.states == 1)
        noise = white_noise(tuple(clean.shape), self.rng("noise", index))
        frame = self._place(index)[1]
        return Sample(
            trajectory=None if trajectory is None else trajectory.places(matrix[0], frame),
            image_grid=None if trajectory is None else matrix,
            kspace=clean + torch.from_numpy(noise),
            mask=torch.ones(1, clean.shape[-1], dtype=torch.bool),
            maps=self.true_maps(index) if self.with_maps else None,
            target=root_sum_of_squares(ifft(clean)) if still else self.target(index),
            peak=torch.tensor(self._volume[1], dtype=torch.float32),
            key=(self.header.name, index),
        )

    @property
    def covariance(self) -> Covariance:
        """Noise covariance of the raw channels, before whitening."""
        return self._subject.covariance

    @single_thread()
    def noise_free(self, index: int) -> Complex64[Tensor, "coil h w"]:
        """Return the whitened k-space of a slice of a frame without its noise."""
        plane, frame = self._place(index)
        frames, trajectory = self.protocol.frames, self.protocol.trajectory
        times = (0.0,) if frames is None else frames.times(frame)
        readouts = self.header.grid[1] if trajectory is None else trajectory.readouts
        bounds = np.linspace(0, readouts, len(times) + 1).round().astype(int).tolist()
        parts = [
            self._readouts(plane, frame, time, slice(*ends))
            for time, ends in zip(times, pairwise(bounds), strict=True)
        ]
        return torch.cat(parts, -1) * self._volume[0]

    @single_thread()
    def target(self, index: int) -> Float32[Tensor, "h w"]:
        """Return the noise-free root-sum-of-squares image, in the middle of the frame."""
        return root_sum_of_squares(ifft(self.truth(index)))

    @single_thread()
    def truth(self, index: int) -> Complex64[Tensor, "coil h w"]:
        """Return the whitened k-space of the object as it is in the middle of the frame."""
        plane, frame = self._place(index)
        return self._signal(plane, self._time(frame))[0] * self._volume[0]

    @single_thread()
    def true_maps(self, index: int) -> Complex64[Tensor, "coil h w"]:
        """Return the whitened sensitivities with unit root-sum-of-squares."""
        plane, _ = self._place(index)
        fields = self._subject.sensitivity(plane, self.header.matrix, with_phase=False)
        return fields / root_sum_of_squares(fields)

    @single_thread()
    def displacement(self, index: int) -> Float32[np.ndarray, "3 h w"]:
        r"""Return how far from each pixel its tissue lies at rest, in mm.

        With it, :math:`u`, the object of a frame is that at rest at :math:`p + u(p)`: the first two
        rows, along increasing y and x, divided by the voxel, tell where to interpolate the target
        of the first frame. The third is along the normal of the slice.
        """
        plane, frame = self._place(index)
        return self._subject.displacement(plane, self.header.matrix, self._time(frame))

    def rng(self, purpose: str, *numbers: int) -> np.random.Generator:
        """Return an independent random stream of this scan for one ``purpose``."""
        name = f"{self.header.name} {purpose}"
        return np.random.default_rng((self.subject, zlib.crc32(name.encode()), *numbers))

    def _place(self, index: int) -> tuple[int, int]:
        """Return the numbers of a slice and of its frame."""
        if not 0 <= index < len(self):
            raise IndexError(f"slice {index} of {self.header.name}, which has {len(self)} slices")
        frame, plane = divmod(index, self.header.slices)
        return plane, frame

    def _time(self, frame: int) -> float:
        return 0.0 if self.protocol.frames is None else self.protocol.frames.time(frame)

    @cached_property
    def _subject(self) -> Subject:
        return Subject.draw(self.subject, self.protocol, self.rng)

    @cached_property
    def _volume(self) -> tuple[float, float]:
        """Scale that reaches the protocol's SNR at rest, and the targets' maximum."""
        total, weight, peak = 0.0, 0.0, 0.0
        for index in range(len(self)):
            plane, frame = self._place(index)
            kspace, organs = self._signal(plane, self._time(frame))
            image = root_sum_of_squares(ifft(kspace))
            if frame == 0:
                total += float((image * organs).sum(dtype=torch.float64))
                weight += float(organs.sum(dtype=torch.float64))
            peak = max(peak, float(image.max()))
        if total == 0.0:
            raise ConfigError(
                f"the slices of {self.header.name} show no {self._subject.part.organ}; move them "
                "with prescription.center, given in LPS mm"
            )
        level = self.protocol.snr
        if self.protocol.trajectory is not None:  # shorter samples have more noise
            level /= self.protocol.trajectory.oversampling(self.header.matrix[0]) ** 0.5
        scale = float(np.float32(level * weight / total))
        return scale, peak * scale

    def _readouts(
        self, plane: int, frame: int, time: float, chosen: slice
    ) -> Complex64[Tensor, "coil h w"]:
        """Return unscaled k-space of some readouts of a frame, with the object as at a time."""
        trajectory, (h, w) = self.protocol.trajectory, self.header.matrix
        if trajectory is None:
            return self._signal(plane, time)[0][..., chosen]
        fine = (_OVERSAMPLING * h, _OVERSAMPLING * w)
        image, _ = self._subject.coil_images(plane, fine, time)
        places = trajectory.measured_places(h, frame)[:, chosen]
        transform = NonUniformFourier(places.flatten(0, 1), fine)
        return transform(image).unflatten(-1, places.shape[:2]) / _OVERSAMPLING

    def _signal(
        self, plane: int, time: float
    ) -> tuple[Complex64[Tensor, "coil h w"], Float32[Tensor, "h w"]]:
        """Return unscaled whitened k-space of a slice and the share of organs in each pixel."""
        h, w = self.header.matrix
        fine = (_OVERSAMPLING * h, _OVERSAMPLING * w)
        image, organs = self._subject.coil_images(plane, fine, time)
        # one axis at a time, so that the second transform sees only what is kept
        lines = center_fit(fft(image, axes=(-1,)), (w,))
        kspace = center_fit(fft(lines, axes=(-2,)), (h, w)) / _OVERSAMPLING
        first_row, first_column = (_OVERSAMPLING * (n % 2) // 2 for n in (h, w))
        return kspace, organs[first_row::_OVERSAMPLING, first_column::_OVERSAMPLING]


def simulated_scans(
    first: int,
    count: int,
    protocol: SimulationProtocol | None = None,
    contrasts: Sequence[str] | None = None,
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
            every subject the protocol's contrast. None takes ``t1``, ``t2``, ``flair`` and ``pd``
            for heads, the protocol's contrast for torsos.
        with_maps: Whether Samples carry the true sensitivities.
    """
    protocol = protocol or SimulationProtocol()
    contrasts = BODY_PARTS[protocol.body_part].contrasts if contrasts is None else contrasts
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
