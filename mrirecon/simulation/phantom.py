r"""An analytic phantom: ellipses, whose k-space is known in closed form at any point.

No grid is involved, so that a reconstruction tested with it cannot profit from the model that made
its data ("inverse crime"). The Fourier transform of an ellipse with semi-axes a, b is
:math:`ab\,J_1(2\pi\kappa)/\kappa` with :math:`\kappa = |(a k_a, b k_b)|` in its own axes (Van de
Walle et al., IEEE Trans Med Imaging 19:1127, 2000). Coil sensitivities that are sums of plane waves
shift it, and stay in closed form (Guerquin-Kern et al., IEEE Trans Med Imaging 31:626, 2012).

Lengths are in mm and k in cycles per mm; vectors are ``(h, w)``, and the centre of the phantom lies
at pixel ``(h // 2, w // 2)``.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex64, Complex128, Float, Float64
from scipy.special import j1
from torch import Tensor

Shape = tuple[int, int]
Extent = tuple[float, float]


@dataclass(frozen=True)
class Ellipse:
    """A homogeneous ellipse; where ellipses overlap their intensities add.

    Attributes:
        center: ``(h, w)`` in mm.
        axes: Semi-axes in mm, before rotation along h and w.
        intensity: Real or complex.
        angle: Rotation in degrees, from h towards w.
    """

    center: Extent
    axes: Extent
    intensity: complex | float
    angle: float = 0.0

    def kspace(self, k: Float[np.ndarray, "*shape 2"]) -> Complex128[np.ndarray, "*shape"]:
        r"""Return :math:`\int\rho(r)e^{-2\pi i k\cdot r}dr`."""
        own = k @ self._axes() * np.asarray(self.axes)
        kappa = np.linalg.norm(own, axis=-1)
        safe = np.maximum(kappa, 1e-9)
        disc = np.where(kappa > 1e-9, j1(2 * np.pi * safe) / safe, np.pi)
        shift = np.exp(-2j * np.pi * (k @ np.asarray(self.center)))
        return self.intensity * self.axes[0] * self.axes[1] * disc * shift

    def contains(self, r: Float[np.ndarray, "*shape 2"]) -> Bool[np.ndarray, "*shape"]:
        """Tell which positions lie inside."""
        own = (r - np.asarray(self.center)) @ self._axes() / np.asarray(self.axes)
        return np.square(own).sum(axis=-1) <= 1

    def _axes(self) -> Float64[np.ndarray, "2 2"]:
        """Return the directions of the semi-axes as columns."""
        c, s = np.cos(np.deg2rad(self.angle)), np.sin(np.deg2rad(self.angle))
        return np.array([[c, -s], [s, c]])


@dataclass(frozen=True)
class PlaneWaveCoils:
    r"""Sensitivities that are sums of plane waves, :math:`s_c(r) = \sum_m a_{cm}e^{2\pi i f_m r}`.

    Attributes:
        coefficients: Weight of every wave in every coil.
        frequencies: Frequency of every wave along both axes, in cycles per mm.
    """

    coefficients: Complex128[np.ndarray, "coil wave"]
    frequencies: Float64[np.ndarray, "wave 2"]

    @classmethod
    def draw(cls, coils: int, fov: Extent, rng: np.random.Generator) -> "PlaneWaveCoils":
        """Draw waves of at most half a period over ``fov``, with a strong constant part."""
        steps = np.array([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)], float)
        weights = np.exp(-np.square(steps).sum(axis=1)) / np.sqrt(2)
        draws = rng.standard_normal((coils, 9)) + 1j * rng.standard_normal((coils, 9))
        return cls(weights * draws, 0.5 * steps / np.asarray(fov))

    def __call__(self, r: Float[np.ndarray, "*shape 2"]) -> Complex128[np.ndarray, "coil *shape"]:
        """Evaluate at positions in mm."""
        waves = np.exp(2j * np.pi * (r @ self.frequencies.T))
        return np.moveaxis(waves @ self.coefficients.T, -1, 0)


@dataclass(frozen=True)
class EllipsePhantom:
    """Ellipses, seen by one uniform coil or by ``coils``.

    Attributes:
        ellipses: Ellipses of the object, whose intensities add.
        fov: Field of view ``(h, w)`` in mm.
        coils: Sensitivities; None for a single uniform coil.
    """

    ellipses: tuple[Ellipse, ...]
    fov: Extent = (220.0, 220.0)
    coils: PlaneWaveCoils | None = None

    def transform(self, k: Float[np.ndarray, "*shape 2"]) -> Complex128[np.ndarray, "coil *shape"]:
        """Return the Fourier transform of every coil's image at any ``k`` in cycles per mm."""
        if self.coils is None:
            return self._object(k)[None]
        shifted = np.stack([self._object(k - f) for f in self.coils.frequencies])
        return np.tensordot(self.coils.coefficients, shifted, axes=1)

    def kspace(self, shape: Shape) -> Complex64[Tensor, "coil h w"]:
        r"""Sample k-space on the grid of a scan with ``shape`` pixels.

        Scaled by :math:`\sqrt{hw}/(FOV_h FOV_w)`, so that :func:`mrirecon.fourier.ifft` gives the
        intensities of the image, but for Gibbs ringing.
        """
        k = _grid(shape, (1.0 / self.fov[0], 1.0 / self.fov[1]))
        gain = np.sqrt(shape[0] * shape[1]) / (self.fov[0] * self.fov[1])
        return torch.from_numpy((self.transform(k) * gain).astype(np.complex64))

    def image(self, shape: Shape) -> Complex64[Tensor, "h w"]:
        """Evaluate the object at the pixels' positions."""
        r = self.positions(shape)
        total = sum(ellipse.intensity * ellipse.contains(r) for ellipse in self.ellipses)
        return torch.from_numpy(np.broadcast_to(total, shape).astype(np.complex64))

    def maps(self, shape: Shape) -> Complex64[Tensor, "coil h w"]:
        """Evaluate the sensitivities at the pixels' positions."""
        if self.coils is None:
            return torch.ones((1, *shape), dtype=torch.complex64)
        return torch.from_numpy(self.coils(self.positions(shape)).astype(np.complex64))

    def positions(self, shape: Shape) -> Float64[np.ndarray, "h w 2"]:
        """Return the positions of the pixels in mm."""
        return _grid(shape, (self.fov[0] / shape[0], self.fov[1] / shape[1]))

    def _object(self, k: Float[np.ndarray, "*shape 2"]) -> Complex128[np.ndarray, "*shape"]:
        total = np.zeros(k.shape[:-1], np.complex128)
        for ellipse in self.ellipses:
            total += ellipse.kspace(k)
        return total


def head_phantom(coils: int = 1, fov: Extent = (220.0, 220.0), seed: int = 0) -> EllipsePhantom:
    """Return a simple asymmetric head of ten ellipses, in the manner of Shepp and Logan (1974)."""
    ellipses = (
        Ellipse((0.0, 0.0), (98.0, 76.0), 1.0),
        Ellipse((0.0, 0.0), (92.0, 70.0), -0.7),
        Ellipse((0.0, 0.0), (88.0, 66.0), 0.3),
        Ellipse((-5.0, 24.0), (34.0, 11.0), 0.4, -18.0),
        Ellipse((-5.0, -24.0), (42.0, 14.0), 0.4, 18.0),
        Ellipse((-45.0, 0.0), (22.0, 18.0), -0.15),
        Ellipse((42.0, 18.0), (9.0, 7.0), 0.25, 30.0),
        Ellipse((52.0, -20.0), (12.0, 6.0), -0.2, 65.0),
        Ellipse((-62.0, 25.0), (4.0, 4.0), 0.5),
        Ellipse((12.0, 46.0), (5.0, 2.5), 0.35),
    )
    waves = PlaneWaveCoils.draw(coils, fov, np.random.default_rng(seed)) if coils > 1 else None
    return EllipsePhantom(ellipses, fov, waves)


def _grid(shape: Shape, spacing: Extent) -> Float64[np.ndarray, "h w 2"]:
    axes = [(np.arange(n) - n // 2) * step for n, step in zip(shape, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
