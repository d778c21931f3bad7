"""ESPIRiT: coil sensitivities as eigenvectors of what the calibration data repeats."""

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.buffers import sent
from mrirecon.sampling.calibration import REGION, SMALLEST_KERNEL
from mrirecon.sensitivity.base import (
    SensitivityEstimator,
    calibration_blocks,
    check_calibration,
    fitting_kernel,
    in_order,
    kernel_remark,
    maps_shape,
)
from mrirecon.sensitivity.eigenmaps import eigenmaps
from mrirecon.sensitivity.subspace import espirit_nodes, virtual_coil
from mrirecon.types import Maps, Sample

MapSets = Complex64[Tensor, "*b set coil h w"]
ValueSets = Float32[Tensor, "*b set h w"]


class Espirit(SensitivityEstimator):
    r"""ESPIRiT maps (Uecker et al., Magn Reson Med 71:990, 2014).

    The patches of ``kernel`` x ``kernel`` x coils that slide over the calibration data span a
    subspace with projector :math:`P`. At every pixel :math:`r` the coil sensitivities are the
    eigenvector with eigenvalue one of the coils x coils matrix

    .. math:: G_{cd}(r) = \frac{1}{k^2}\sum_{\delta} e^{2\pi i\,\delta r}
              \sum_{u - v = \delta} P_{(c,u),(d,v)}

    Its phase is referenced to the coil combination of largest energy, so that a dead coil does no
    harm. Needs no gradient and gives none. On large grids eigenvectors are interpolated where that
    is exact enough, see :mod:`mrirecon.sensitivity.eigenmaps`.

    Args:
        kernel: Width of a patch; half the calibration region, rounded up, where that is less.
        calibration: Largest width of the calibration region; the rest of a larger one is ignored.
        threshold: Singular values of the calibration matrix below this part of the largest one are
            noise. Raise it for noisy data, or let null take what noise alone would have: of the
            level that the Sample tells, else of the one found in the smallest singular values. That
            needs prewhitened coils.
        crop: Maps are zero where the eigenvalue is smaller: it is 1 inside the object and lower in
            empty background. Knowing the background lets CG-SENSE amplify less noise from R = 2 on;
            0 crops nothing and keeps the background, which a coil-combined reference has, too: take
            it against such a one at R = 1 and little noise. `mrirecon evaluate` tells how much of
            an error lies in background that was cut off. The default lies below the 0.95 of
            other programs to spare the rim of the object where calibration data is scarce or noisy.
        sets: How many sets of maps :meth:`map_sets` returns, for soft SENSE: a pixel onto which
            the object folds back has as many eigenvalues near 1 as there are layers.
        soft: Let the maps fall off around ``crop`` instead of ending there, by the S-curve of BART.
            Their root-sum-of-squares is then at most 1 instead of 0 or 1.
    """

    def __init__(
        self,
        kernel: int = 6,
        calibration: int = 24,
        threshold: float | None = 0.02,
        crop: float = 0.9,
        sets: int = 1,
        soft: bool = False,
    ) -> None:
        super().__init__()
        check_calibration(kernel, calibration, SMALLEST_KERNEL)
        if threshold is not None and not 0 < threshold < 1:
            raise ValueError(f"threshold must lie between 0 and 1, got {threshold}")
        if not 0 <= crop < 1:
            raise ValueError(f"crop must lie in [0, 1), got {crop}")
        check_at_least(1, sets=sets)
        self.kernel = kernel
        self.calibration = calibration
        self.threshold = threshold
        self.crop = crop
        self.sets = sets
        self.soft = soft

    def forward(self, sample: Sample) -> Maps:
        """Return the first set of maps; all ones for a single coil, zero for an empty slice.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        return self.estimate(sample)[0]

    def estimate(self, sample: Sample) -> tuple[Maps, Float32[Tensor, "*b h w"]]:
        """Return the maps, and the eigenvalue by which ``crop`` decides where they are zero.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        maps, eigenvalues = self.estimate_sets(sample, 1)
        return maps[..., 0, :, :, :], eigenvalues[..., 0, :, :]

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        return kernel_remark(sample, self.kernel, "ESPIRiT")

    def map_sets(self, sample: Sample) -> MapSets:
        """Return all sets; from the second on they are zero except where layers overlap."""
        return self.estimate_sets(sample)[0]

    @torch.no_grad()
    def estimate_sets(self, sample: Sample, sets: int | None = None) -> tuple[MapSets, ValueSets]:
        """Return the maps and the eigenvalues of the first ``sets`` sets, all when None.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        with torch.autocast(sample.kspace.device.type, enabled=False):  # eigenvectors need float32
            return self._estimate_sets(sample, self.sets if sets is None else sets)

    def _estimate_sets(self, sample: Sample, sets: int) -> tuple[MapSets, ValueSets]:
        *batch, coils, h, w = maps_shape(sample)
        if coils == 1:
            ones = sample.kspace.new_ones(maps_shape(sample)).unsqueeze(-4)
            return _pad_sets(ones, sets, -4), _pad_sets(ones[..., 0, :, :].real, sets, -3)
        members: list[int] = []
        maps: list[Tensor] = []
        eigenvalues: list[Tensor] = []
        for chosen, block in calibration_blocks(sample, self.calibration, REGION, "ESPIRiT"):
            kernel = fitting_kernel(self.kernel, block.shape[-2:])
            result = eigenmaps(
                espirit_nodes(block, kernel, self.threshold, _noise(sample, chosen)),
                (h, w),
                virtual_coil(block),
                sets=min(sets, coils),
                smallest=self._smallest,
                weights=self._weights,
            )
            members += chosen
            maps.append(result.vectors)
            eigenvalues.append(result.values)
        vectors, values = in_order(maps, members), in_order(eigenvalues, members)
        return (
            _pad_sets(vectors.reshape(*batch, *vectors.shape[1:]), sets, -4),
            _pad_sets(values.reshape(*batch, *values.shape[1:]), sets, -3),
        )

    @property
    def _smallest(self) -> float:
        """The eigenvalue below which weights are zero."""
        return max(0.0, 2 * self.crop - 1) ** 2 if self.soft else self.crop

    def _weights(self, values: Float32[Tensor, "..."]) -> Float32[Tensor, "..."]:
        """Return what the unit vectors of these eigenvalues are multiplied by."""
        if not self.soft:
            return ((values > 0) & (values >= self.crop)).float()
        # BART's s-curve of the singular value: 0 at 2 crop - 1, a half at crop, 1 at 1
        x = ((values.clamp_min(0).sqrt() - self.crop) / (1 - self.crop)).clamp(-1, 1)
        return torch.where(values > 0, 0.5 * (1 + 2 * x / (1 + x.square())), 0.0)


def _noise(sample: Sample, members: list[int]) -> Float32[Tensor, "b"] | None:
    """Return the noise of the calibration data; that of a separate scan, or gridded, is unknown."""
    if sample.noise is None or sample.calibration is not None or not sample.cartesian:
        return None
    noise = sample.noise.reshape(-1)
    return noise if members == [*range(len(noise))] else noise[sent(members, noise.device)]


def _pad_sets(x: Tensor, sets: int, axis: int) -> Tensor:
    """Append zeros: there are no more eigenvectors than coils."""
    missing = list(x.shape)
    missing[axis] = sets - x.shape[axis]
    return torch.cat([x, x.new_zeros(missing)], axis) if missing[axis] > 0 else x
