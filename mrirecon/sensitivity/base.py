"""The contract of estimators of coil sensitivities, and their calibration data."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Complex64, Int64
from torch import Tensor, nn

from mrirecon.buffers import sent
from mrirecon.errors import MriReconError
from mrirecon.image import center_fit, root_sum_of_squares
from mrirecon.operators.gridding import central_kspace
from mrirecon.sampling.calibration import center_slice, central_block
from mrirecon.sampling.cells import cells, dense_width
from mrirecon.types import Extent, Maps, Mask, Sample

LARGEST = 48
"""Size of the centre of non-Cartesian k-space that is gridded to calibrate on."""

LEAST_GRIDDED = 6
"""Least width of a gridded centre: the cells at its rim are known in part only."""


class CalibrationError(MriReconError, ValueError):
    """A Sample lacks the maps or the calibration data that an estimator needs."""


class SensitivityEstimator(nn.Module, ABC):
    """Estimates the coil sensitivities of a Sample; may have parameters to train."""

    @abstractmethod
    def forward(self, sample: Sample) -> Maps:
        """Return maps on the Sample's grid, with unit root-sum-of-squares where they are not 0."""

    def map_sets(self, sample: Sample) -> Complex64[Tensor, "*b set coil h w"]:
        """Return all sets of maps, for soft SENSE; most estimators have a single one."""
        return self(sample).unsqueeze(-4)

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        """Return what a user should know about how this Sample is treated, a sentence each."""
        inner = (child for child in self.children() if isinstance(child, SensitivityEstimator))
        return tuple(remark for child in inner for remark in child.remarks(sample))


def calibration_data(sample: Sample) -> tuple[Complex64[Tensor, "*b coil hc wc"], Extent]:
    """Return k-space to calibrate on and the size ``(h, w)`` of its fully sampled centre.

    That is the separate reference scan when there is one, else the Sample itself, or the gridded
    centre of one that is not Cartesian. The reference scan is taken to cover the same field of
    view.
    """
    if sample.calibration is None:
        extent = calibration_extent(sample)
        return (
            sample.kspace if sample.cartesian else central_kspace(sample, _gridded(sample))
        ), extent
    size = sent(sample.calibration.shape[-2:], sample.kspace.device)
    return sample.calibration, size.expand(*sample.kspace.shape[:-3], 2)


def calibration_extent(sample: Sample) -> Extent:
    """Return the size of each member's fully sampled centre: as told, else found in its mask.

    A slice of which nothing was measured, because the scanner skipped it, lacks no centre: its
    k-space is zero and so is all that is made of it. Its size is that of the grid.
    """
    extent = _told_or_found(sample)
    measured = sample.mask.flatten(-2).any(-1)
    sizes = zip(extent.unbind(-1), _gridded(sample), strict=True)
    return torch.stack([torch.where(measured, told, full) for told, full in sizes], -1)


def _told_or_found(sample: Sample) -> Extent:
    if sample.acs is not None:
        return sample.acs
    batch, shape = sample.kspace.shape[:-3], _gridded(sample)
    if sample.cartesian:
        masks = sample.mask.expand(*batch, sample.mask.shape[-2], shape[1]).cpu().numpy()
        found = [central_block(mask, shape) for mask in masks.reshape(-1, *masks.shape[-2:])]
    else:
        hit = center_fit(cells(sample), shape).reshape(-1, *shape).cpu()
        found = [(width, width) for width in map(dense_width, hit)]
    return sent(found, sample.kspace.device).reshape(*batch, 2)


def _gridded(sample: Sample) -> tuple[int, int]:
    """Return the size of Cartesian k-space to calibrate on: of a trajectory's, the centre."""
    h, w = sample.grid
    return (h, w) if sample.cartesian else (min(h, LARGEST), min(w, LARGEST))


def calibration_blocks(
    sample: Sample, largest: int, smallest: int, method: str
) -> Iterator[tuple[list[int], Complex64[Tensor, "n coil hc wc"]]]:
    """Yield the calibration regions of a batch, members with regions of one size together.

    Args:
        sample: One slice or a batch with any batch axes; members are numbered as if these were
            flattened.
        largest: Largest height and width of a region in samples; the rest of a wider one is left
            out.
        smallest: Smallest height and width in samples that the method needs.
        method: Name of the method, for the message.

    Raises:
        CalibrationError: When a region is too small.
    """
    kspace, extent = calibration_data(sample)
    kspace = kspace.reshape(-1, *kspace.shape[-3:])
    sizes = [(int(size[0]), int(size[1])) for size in extent.reshape(-1, 2).tolist()]
    if not sample.cartesian and sample.calibration is None:
        smallest = max(smallest, LEAST_GRIDDED)
    for size in sizes:
        if min(size) < smallest:
            raise CalibrationError(_too_small(size, smallest, method))
    for size in sorted(set(sizes)):
        members = [index for index, other in enumerate(sizes) if other == size]
        rows, columns = (
            center_slice(full, min(count, largest))
            for full, count in zip(kspace.shape[-2:], size, strict=True)
        )
        blocks = kspace[:, :, rows, columns]
        yield members, blocks if len(members) == len(blocks) else blocks[members]


def maps_shape(sample: Sample) -> tuple[int, ...]:
    """Return the shape of the maps of a Sample: ``(*batch, coil, h, w)`` of the image's grid."""
    return (*sample.kspace.shape[:-2], *sample.grid)


def in_order(parts: Sequence[Tensor], members: Sequence[int]) -> Tensor:
    """Put results of groups of members, listed one after the other, where the members belong."""
    together = parts[0] if len(parts) == 1 else torch.cat(list(parts))
    if list(members) == list(range(len(members))):
        return together
    return together[sent(members, together.device).argsort()]


def fitting_kernel(kernel: int, block: Sequence[int], windows: int = 2) -> int:
    """Return the widest kernel, up to ``kernel``, that fits a calibration region.

    Args:
        kernel: Width of the kernel that was asked for.
        block: Size of the region.
        windows: How many kernels wide it must be, a sample less where that is an odd number: five
            lines give a kernel of three as many places along them as it is wide.
    """
    return min(kernel, -(-min(block) // windows))


def kernel_remark(sample: Sample, kernel: int, method: str, windows: int = 2) -> tuple[str, ...]:
    """Say that a smaller kernel is taken, if it is; nothing where no kernel fits at all."""
    if sample.kspace.shape[-3] == 1:
        return ()
    h, w = calibration_data(sample)[1].reshape(-1, 2).amin(0).tolist()
    found = fitting_kernel(kernel, (h, w), windows)
    if found == kernel or found < 2:
        return ()
    return (
        f"The fully sampled centre has {h} x {w} samples (h x w): {method} takes a kernel of "
        f"{found} instead of {kernel}, which needs {windows * kernel}.",
    )


def check_calibration(kernel: int, calibration: int, smallest: int) -> None:
    """Raise ValueError unless ``calibration`` holds enough patches of a sensible ``kernel``."""
    if kernel < smallest:
        raise ValueError(f"kernel must be at least {smallest}, got {kernel}")
    if calibration < 2 * kernel:
        raise ValueError(
            f"calibration must be at least twice the kernel of {kernel}, got {calibration}"
        )


def _too_small(size: tuple[int, int], smallest: int, method: str) -> str:
    enough = "sensitivity=espirit, " if min(size) >= 3 else ""  # has the least demands
    return (
        f"{method} needs a fully sampled centre of at least {smallest} x {smallest} samples "
        f"(h x w), found {size[0]} x {size[1]}; choose a sampling with more central lines, "
        f"{enough}a method without maps (model=zero_filled), or provide a calibration scan or maps"
    )


def in_center(size: int, count: Int64[Tensor, "*b"]) -> Bool[Tensor, "*b n"]:
    """Mark the central ``count`` positions, ``[(size - count + 1) // 2, … + count)``."""
    start = ((size - count + 1) // 2).unsqueeze(-1)
    index = torch.arange(size, device=count.device)
    return (index >= start) & (index < start + count.unsqueeze(-1))


def calibration_center(sample: Sample) -> Mask:
    """Mark the samples of the fully sampled centre, of the size of :func:`calibration_extent`."""
    h, w = sample.kspace.shape[-2:]
    extent = calibration_extent(sample)
    if sample.trajectory is not None:
        return (2 * sample.trajectory.abs() <= extent[..., None, None, :]).all(-1)
    rows, columns = in_center(h, extent[..., 0]), in_center(w, extent[..., 1])
    return rows.unsqueeze(-1) & columns.unsqueeze(-2)


def unit_norm(coil_images: Complex64[Tensor, "*b coil h w"]) -> Complex64[Tensor, "*b coil h w"]:
    """Divide by the root-sum-of-squares over coils; what is zero in every coil stays zero."""
    norm = root_sum_of_squares(coil_images).unsqueeze(-3)
    return coil_images / torch.where(norm == 0, 1.0, norm)
