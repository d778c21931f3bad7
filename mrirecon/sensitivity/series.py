"""Maps of a series of frames: estimated once, from what all frames have measured."""

import torch
from torch import Tensor

from mrirecon.sampling.calibration import centered_slice
from mrirecon.sensitivity.base import (
    SensitivityEstimator,
    calibration_data,
    calibration_extent,
)
from mrirecon.sensitivity.given import GivenMaps
from mrirecon.types import Maps, Sample

OWN = 8
"""Lines of a fully sampled centre that are one."""


def series_maps(estimator: SensitivityEstimator, series: Sample) -> Maps:
    """Return maps that hold for all frames of a series, for each of them.

    The coils rest while the object moves, so they are estimated from the time average, which is
    sampled where any frame is: frames that leave out other lines need no fully sampled centre of
    their own (TSENSE: Kellman, Epstein and McVeigh, Magn Reson Med 45:846, 2001). Maps that the
    data brings are taken as they are.

    Args:
        estimator: Estimator of the coil sensitivities.
        series: The frames of a slice as a batch.
    """
    if any(isinstance(part, GivenMaps) for part in estimator.modules()):
        return estimator(series)
    maps = estimator(time_average(series))
    return maps.expand(len(series.kspace), *maps.shape[1:])


def calibrated_apart(series: Sample) -> bool:
    """Tell whether every frame brings a fully sampled centre, or a reference scan, of its own.

    Frames along trajectories are taken for a series in time, whose average has a larger centre.
    """
    if series.calibration is not None:
        return bool((series.calibration != series.calibration[:1]).any())
    return series.cartesian and int(calibration_extent(series).min()) >= OWN


def calibrated_by_mean(frame: Sample, series: Sample) -> Sample:
    """Give a frame the calibration data that its series has, for whoever sees it alone.

    That is the centre of the time average, where that is larger than the frame's own.

    Args:
        frame: One frame as a batch of one, in any units.
        series: The frames of the same slice as a batch, in units of their own.
    """
    kspace, extent = calibration_data(time_average(series))
    size = [int(n) for n in extent[0]]
    if frame.calibration is not None or min(size) <= int(calibration_extent(frame).min()):
        return frame
    rows, columns = (centered_slice(n, k) for n, k in zip(kspace.shape[-2:], size, strict=True))
    return frame.replace(calibration=kspace[..., rows, columns])


def time_average(series: Sample) -> Sample:
    """Return a batch of one Sample that holds what all frames of a series have measured.

    On the Cartesian grid each sample is the mean of the frames that measured it. Readouts of other
    trajectories stand side by side. Frames that are empty do not count.

    Args:
        series: The frames of a slice as a batch.
    """
    first = series.map(lambda tensor: tensor[:1]).replace(
        target=None, peak=None, neighbors=None, acs=None, key=series.key[:1], seed=None, frame=None
    )
    if series.trajectory is not None:
        mask = series.mask.expand(*series.mask.shape[:-1], series.kspace.shape[-1])
        return first.replace(
            kspace=side_by_side(series.kspace, -1),
            mask=side_by_side(mask, -1),
            weights=None if series.weights is None else side_by_side(series.weights, -1),
            trajectory=side_by_side(series.trajectory, -2),
            areas=None,
        )
    measured = series.mask & (series.kspace != 0).flatten(1).any(1)[:, None, None]
    count = measured.sum(0, keepdim=True)
    total = (series.kspace * measured.unsqueeze(1)).sum(0, keepdim=True)
    kspace = total / count.clamp_min(1).unsqueeze(1)
    noise = series.noise
    if noise is not None:  # the least averaged samples have this much of it
        fewest = torch.where(count > 0, count, len(series.kspace)).amin()
        noise = noise.amax().expand(1) / fewest.sqrt()
    return first.replace(
        kspace=kspace, mask=series.mask.any(0, keepdim=True), weights=None, noise=noise
    )


def side_by_side(x: Tensor, axis: int) -> Tensor:
    """Put what the frames have along ``axis``, counted from the end, one after the other."""
    joined = torch.cat(list(x), axis)
    return joined.unsqueeze(0)
