"""The one record that travels from a raw file to an image, and the names of its axes.

====== =============================================================================
axis   meaning
====== =============================================================================
*b     any number of leading batch axes, usually one; none inside a data set
coil   receive channels
h      readout; fully sampled in Cartesian scans
w      phase encoding; the axis that line patterns undersample
y x    rows and columns of the reconstructed image, after interpolation and cropping
====== =============================================================================

k-space and image share ``h w`` because every transform is orthonormal and keeps the grid.
Index ``n // 2`` is the centre of every axis, for odd sizes too. In non-Cartesian k-space ``h``
counts the samples of a readout and ``w`` the readouts, spokes or arms, which line patterns
undersample as they do phase encodings; the image has the grid of :attr:`Sample.grid`. Complex data
is native ``torch.complex64``; real and imaginary channels exist only in
:mod:`mrirecon.networks.parts.channels`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import AbstractDtype, Bool, Complex64, Float32, Int64
from torch import Tensor

from mrirecon.buffers import divided
from mrirecon.errors import ShapeError

if TYPE_CHECKING:
    from jaxtyping import Complex as StoredComplex
else:

    class StoredComplex(AbstractDtype):
        """complex64; from file to device also complex32 (see :mod:`mrirecon.half_precision`)."""

        dtypes = ("complex32", "complex64")


KSpace = Complex64[Tensor, "*b coil h w"]
Maps = Complex64[Tensor, "*b coil h w"]
Image = Complex64[Tensor, "*b h w"]
Mask = Bool[Tensor, "*b #h #w"]
Magnitude = Float32[Tensor, "*b y x"]
Volume = Float32[Tensor, "slice y x"]
Extent = Int64[Tensor, "*b 2"]


#: The columns of :attr:`Sample.protocol`: T, ms, ms, ms and degrees.
PROTOCOL = ("field_strength", "repetition_time", "echo_time", "inversion_time", "flip_angle")


@dataclass(frozen=True)
class Sample:
    """One slice, or a batch of slices, of one scan or of several; never modified in place.

    Attributes:
        kspace: Measured k-space, zero where ``mask`` is False.
        mask: True where the scanner acquired a sample and the pattern kept it: an unmeasured zero
            (partial Fourier, zero padding) is not a measurement of zero. A line pattern has a
            single row and broadcasts.
        weights: Inverse noise variance of each sample relative to the best one, in [0, 1]: how
            often it was averaged. None when all measured samples are alike. How much a sample
            counts follows from it, in :func:`~mrirecon.operators.weighting.data_weights`.
        trajectory: Place of each sample in k-space along the axes ``h w`` of the image, in cycles
            per field of view: the step of the Cartesian grid, whose centre is at 0. None on that
            grid.
        areas: Part of a Cartesian cell of k-space that each sample of a trajectory stands for, as
            :func:`~mrirecon.operators.areas.with_areas` computes it; None when nobody has.
        image_grid: Size ``(h, w)`` of the image of non-Cartesian k-space, else None.
        maps: Precomputed coil sensitivities with unit root-sum-of-squares, or None when the
            reconstructor estimates its own.
        calibration: A separate reference scan on a grid of its own, or None.
        target: Reference magnitude image on the reconstruction matrix, or None.
        peak: Maximum of the reference volume, in the units of ``target``; the data range of SSIM.
        scale: ``physical k-space = scale * kspace``; None before normalisation.
        noise: Standard deviation of the noise in each real component of the best-averaged samples
            of ``kspace``, white over coils; None when unknown.
        acs: Size ``(h, w)`` of the fully sampled centre; None when nobody has told it.
        protocol: How the contrast was made, in the order of :data:`PROTOCOL`; NaN where the file
            does not tell, None when nobody has looked.
        region: Size ``(h, w)`` of the central part of the image on the grid that is the field of
            view of the reconstruction: without readout oversampling, for instance. None when nobody
            has told it.
        neighbors: The slices around this one in the order of the stack, without this one, as a
            batch whose last batch axis ``near`` counts them; in the units of ``kspace``. None when
            nobody has asked for them.
        key: ``(scan name, slice index)``; in a batch, a tuple of these.
        frame: Number of the frame of its scan, from 0, on which patterns of dynamic scans depend;
            in a batch a tuple of these. None when nobody has told it.
        seed: Seed of what is random about this slice when it is prepared in a batch (see
            :mod:`mrirecon.data.batches`), in a batch a tuple of these; None when nobody has set it.

    Raises:
        ShapeError: When k-space, mask, trajectory or maps are no tensors of their kind, or do not
            fit one another.
    """

    kspace: StoredComplex[Tensor, "*b coil h w"]
    mask: Mask
    weights: Float32[Tensor, "*b #h #w"] | None = None
    trajectory: Float32[Tensor, "*b h w 2"] | None = None
    areas: Float32[Tensor, "*b h w"] | None = None
    image_grid: tuple[int, int] | None = None
    maps: StoredComplex[Tensor, "*b coil hi wi"] | None = None
    calibration: Complex64[Tensor, "*b coil hc wc"] | None = None
    target: Magnitude | None = None
    peak: Float32[Tensor, "*b"] | None = None
    scale: Float32[Tensor, "*b"] | None = None
    noise: Float32[Tensor, "*b"] | None = None
    acs: Extent | None = None
    protocol: Float32[Tensor, "*b 5"] | None = None
    region: Extent | None = None
    neighbors: "Sample | None" = None
    key: tuple[Any, ...] = ()
    frame: int | tuple[Any, ...] | None = None
    seed: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_fits(self.kspace, self.mask)
        self._check_places()

    @property
    def grid(self) -> tuple[int, int]:
        """Size ``(h, w)`` of the image, and of k-space when it is Cartesian."""
        if self.image_grid is not None:
            return self.image_grid
        h, w = self.kspace.shape[-2:]
        return h, w

    @property
    def cartesian(self) -> bool:
        """Whether k-space lies on the Cartesian grid."""
        return self.trajectory is None

    def replace(self, **changes: Any) -> "Sample":
        """Return a copy with the given fields changed."""
        return replace(self, **changes)

    def completed(
        self,
        *,
        key: tuple[str, int],
        region: Sequence[int],
        frame: int,
        protocol: Mapping[str, float | None],
        white: bool,
    ) -> "Sample":
        """Note what the header of its scan tells, where the reader has not told it.

        Args:
            key: Name of the scan and number of the slice.
            region: Size ``(h, w)`` of the field of view of the reconstruction on the grid.
            frame: Number of the frame of the scan.
            protocol: Numbers of :data:`PROTOCOL` by name, and others; None where unknown.
            white: Whether the noise has unit variance in physical units.
        """
        found: dict[str, Any] = {}
        if not self.key:
            found["key"] = key
        if self.noise is None and white:
            one = torch.ones(self.kspace.shape[:-3])
            found["noise"] = one if self.scale is None else one / self.scale
        if self.region is None:
            found["region"] = torch.tensor(region)
        if self.frame is None:
            found["frame"] = frame
        if self.protocol is None:
            known = (protocol[name] for name in PROTOCOL)
            found["protocol"] = torch.tensor([torch.nan if one is None else one for one in known])
        return self.replace(**found) if found else self

    def divided(self, unit: Float32[Tensor, "*b"]) -> "Sample":
        """Express everything, the neighbours too, in a unit that is given in the present one.

        ``scale`` grows by it, so that physical units can be restored.
        """
        unit = unit.expand(self.kspace.shape[:-3])
        pixel = unit[..., None, None]
        coils = pixel.unsqueeze(-1)
        return self.replace(
            kspace=divided(self.kspace, coils),
            calibration=None if self.calibration is None else divided(self.calibration, coils),
            target=None if self.target is None else self.target / pixel,
            peak=None if self.peak is None else self.peak / unit,
            scale=unit if self.scale is None else self.scale * unit,
            noise=None if self.noise is None else self.noise / unit,
            neighbors=self.neighbors and self.neighbors.divided(unit[..., None]),
        )

    def _check_places(self) -> None:
        if (self.trajectory is None) != (self.image_grid is None):
            raise ShapeError("a Sample: trajectory and image_grid are given together, or neither")
        shape = self.kspace.shape
        places = None if self.trajectory is None else self.trajectory.shape
        if places is not None and places != (*shape[:-3], *shape[-2:], 2):
            raise ShapeError(
                f"a Sample: expected a trajectory (..., h, w, 2) for k-space {tuple(shape)} "
                f"(..., coil, h, w), got {tuple(places)}"
            )
        if self.maps is not None and self.maps.shape[-2:] != self.grid:
            raise ShapeError(
                f"a Sample: expected maps on the image's grid {self.grid}, got "
                f"{tuple(self.maps.shape)}"
            )

    def tensors(self) -> dict[str, Tensor]:
        """Return the fields that hold tensors, by name; without those of the neighbours."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def map(self, function: Callable[[Tensor], Tensor]) -> "Sample":
        """Return a copy with ``function`` applied to every tensor, the neighbours' too."""
        changed: dict[str, Any] = {name: function(value) for name, value in self.tensors().items()}
        if self.neighbors is not None:
            changed["neighbors"] = self.neighbors.map(function)
        return self.replace(**changed)

    def to(self, *args: Any, **kwargs: Any) -> "Sample":
        """Move every tensor, as ``Tensor.to`` does; Lightning calls this on each batch."""
        return self.map(lambda tensor: tensor.to(*args, **kwargs))

    def pin_memory(self) -> "Sample":
        """Pin every tensor; the DataLoader calls this when ``pin_memory=True``."""
        return self.map(lambda tensor: tensor.pin_memory())


Transform = Callable[[Sample], Sample]


def check_fits(kspace: Any, mask: Any) -> None:
    """Refuse what cannot be k-space and mask of a Sample.

    Raises:
        ShapeError: When they are no tensors of their kind, or do not fit each other.
    """
    for name, value, kind in (("kspace", kspace, "complex"), ("mask", mask, "bool")):
        if not isinstance(value, Tensor) or kind not in str(value.dtype):
            found = f"{value.dtype} " if isinstance(value, Tensor) else ""
            raise ShapeError(
                f"{name} of a Sample: expected a {kind} tensor, got {found}{type(value).__name__}; "
                "mrirecon.MemoryScan makes Samples of arrays"
            )
    fits = all(m in (1, n) for m, n in zip(mask.shape[-2:], kspace.shape[-2:], strict=False))
    if kspace.ndim < 3 or mask.ndim != kspace.ndim - 1 or not fits:
        raise ShapeError(
            "a Sample: expected k-space (..., coil, h, w) and a mask (..., 1 or h, 1 or w), got "
            f"{tuple(kspace.shape)} and {tuple(mask.shape)}"
        )
