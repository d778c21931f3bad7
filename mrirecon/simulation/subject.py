"""A simulated subject: what coils see of it in any slice, on any grid and at any time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Complex64, Float32
from scipy.interpolate import make_interp_spline
from torch import Tensor

from mrirecon.simulation.anatomy import Anatomy
from mrirecon.simulation.body_parts import BODY_PARTS, BodyPart
from mrirecon.simulation.coil_array import CoilArray
from mrirecon.simulation.fields import Points
from mrirecon.simulation.motion import Motion
from mrirecon.simulation.phase import ObjectPhase
from mrirecon.simulation.receiver_noise import (
    Covariance,
    apply_channels,
    random_covariance,
    whitening,
)
from mrirecon.simulation.simulation_protocol import SimulationProtocol
from mrirecon.simulation.tissues import tissue_table
from mrirecon.simulation.torso import Torso

Streams = Callable[[str], np.random.Generator]

_NODES = 40
"""Grid per axis on which coil fields and phase are computed before they are interpolated."""


@dataclass(frozen=True)
class Subject:
    """The subject's parameters; small enough to keep, unlike what is computed from them.

    Attributes:
        protocol: What is scanned and how.
        anatomy: Anatomy at rest.
        motions: Motions of this subject, the outermost first.
        array: Receive array around it.
        covariance: Covariance of the noise of the array's channels.
        phase: Phase of the object, which does not move with it.
    """

    protocol: SimulationProtocol
    anatomy: Anatomy | Torso
    motions: tuple[Motion, ...]
    array: CoilArray
    covariance: Covariance
    phase: ObjectPhase

    @classmethod
    def draw(cls, number: int, protocol: SimulationProtocol, streams: Streams) -> "Subject":
        """Draw a subject; the anatomy and its motion depend on ``number`` only.

        Args:
            number: Number of the subject, from zero.
            protocol: What is scanned and how.
            streams: Independent random streams of the scan by their purpose.
        """
        part = BODY_PARTS[protocol.body_part]
        array = part.array(protocol.coils, streams("array"))
        motions = () if protocol.frames is None else protocol.frames.motions
        rng = np.random.default_rng((number, 1))
        return cls(
            protocol=protocol,
            anatomy=part.draw(np.random.default_rng((number, 0)), protocol.lesions),
            motions=tuple(motion.of_subject(rng) for motion in motions),
            array=array,
            covariance=random_covariance(array.centers, streams("covariance")),
            phase=ObjectPhase.draw(streams("phase"), protocol.contrast.dephasing_time, part.air),
        )

    @property
    def part(self) -> BodyPart:
        """The part of the body."""
        return BODY_PARTS[self.protocol.body_part]

    def displacement(
        self, index: int, shape: tuple[int, int], time: float
    ) -> Float32[np.ndarray, "3 h w"]:
        """Return how far from each pixel its tissue lies at rest, in mm.

        The three rows are the parts along increasing y, along increasing x and along the normal of
        the slice.

        Args:
            index: Number of the slice.
            shape: Number of pixels that cover the field of view.
            time: Time since everything was at rest, in ms.
        """
        points = self._points(index, shape)
        moved = self._at_rest(points, time) - points
        geometry = self.protocol.prescription.geometry()
        axes = (geometry.row_direction, geometry.column_direction, geometry.slice_direction)
        parts = np.einsum("ac,cp->ap", np.array(axes, np.float32), moved)
        return parts.reshape(3, *shape)

    def coil_images(
        self, index: int, shape: tuple[int, int], time: float
    ) -> tuple[Complex64[Tensor, "coil h w"], Float32[Tensor, "h w"]]:
        """Return unscaled whitened coil images and the share of the organs in each pixel.

        Args:
            index: Number of the slice.
            shape: Number of pixels that cover the field of view.
            time: Time since everything was at rest, in ms.
        """
        fov = self.protocol.prescription.fov
        points = self._at_rest(self._points(index, shape), time)
        blur = max(size / n for size, n in zip(fov, shape, strict=True))
        fractions, modulation = self.anatomy.fractions(points, blur)
        table = tissue_table(self.protocol.field_strength, self.part.tissues)
        signal = self.protocol.contrast.signal(table)
        density = torch.from_numpy(signal.astype(np.float32)) @ torch.from_numpy(fractions)
        density = (density * torch.from_numpy(modulation)).reshape(shape)
        organs = torch.from_numpy(fractions[self.part.organs].sum(axis=0)).reshape(shape)
        return self.sensitivity(index, shape, with_phase=True) * density, organs

    def sensitivity(
        self, index: int, shape: tuple[int, int], with_phase: bool
    ) -> Complex64[Tensor, "coil h w"]:
        """Return whitened coil sensitivities, with the object's phase if asked for.

        Args:
            index: Number of the slice.
            shape: Number of pixels that cover the field of view.
            with_phase: Whether the phase of the object is part of them.
        """
        halves = [size * 0.51 for size in self.protocol.prescription.fov]
        nodes = [np.linspace(-half, half, _NODES) for half in halves]
        points = self.protocol.prescription.points(index, *nodes)
        fields = self.array.sensitivity(points.T)
        if with_phase:
            fields = fields * np.exp(1j * self.phase(points))
        coarse = torch.from_numpy(fields.astype(np.complex64)).unflatten(-1, (_NODES, _NODES))
        coarse = apply_channels(whitening(self.covariance), coarse)
        along, across = (_spline(n) for n in shape)
        return torch.view_as_complex(
            torch.stack([along @ part @ across.T for part in (coarse.real, coarse.imag)], dim=-1)
        )

    def _points(self, index: int, shape: tuple[int, int]) -> Points:
        """Return the places of ``shape`` pixels in LPS mm."""
        axes = [
            (np.arange(n) - n // 2) * (size / n)
            for n, size in zip(shape, self.protocol.prescription.fov, strict=True)
        ]
        return self.protocol.prescription.points(index, *axes).astype(np.float32)

    def _at_rest(self, points: Points, time: float) -> Points:
        """Return where the tissue that is at ``points`` at a time lies at rest."""
        for motion in self.motions:
            points = points + motion.displacement(points, time)
        return points


@lru_cache(maxsize=16)
def _spline(n: int) -> Float32[Tensor, "n nodes"]:
    """Return the matrix that interpolates from the nodes to ``n`` pixels of the field of view."""
    nodes = np.linspace(-0.51, 0.51, _NODES)
    pixels = (np.arange(n) - n // 2) / n
    return torch.from_numpy(make_interp_spline(nodes, np.eye(_NODES), k=3)(pixels)).float()
