"""Samples of non-Cartesian k-space that is stored as an array."""

import numpy as np
import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.raw.frame_calibration import LARGEST, READOUTS, averaged_center, dense_center
from mrirecon.raw.trajectory_signal import measured_samples
from mrirecon.readers.arrays.trajectory_scan import TrajectoryScan
from mrirecon.readers.base import blaming
from mrirecon.types import Sample


def filled(scan: TrajectoryScan, index: int) -> Sample:
    """Return a plane of a scan.

    Raises:
        RawDataError: When it is damaged.
    """
    sample = _plane(scan, index)
    if len(scan.header.frames) > 1 and dense_center(sample) < LARGEST:
        sample = sample.replace(calibration=_calibration(scan, index % scan.array.slices))
    return sample.replace(key=(scan.header.name, index))


def _plane(scan: TrajectoryScan, index: int, parts: int | None = None) -> Sample:
    """Read the readouts of a plane; ``parts`` of a stored frame are frames of their own."""
    whole, slice_ = divmod(index, scan.array.slices)
    parts = scan.parts_of_frame if parts is None else parts
    frame, part = divmod(whole, parts)
    size = scan.array.grid[1]
    if parts == scan.parts_of_frame and scan.reading.spokes_per_frame is not None:
        size = scan.reading.spokes_per_frame
    mine = slice(part * size, (part + 1) * size)
    with blaming(scan.path), scan.open() as file:
        values = scan.array.read(scan.values(file), frame * scan.array.slices + slice_)
    kspace = torch.from_numpy(values)[:, :, mine].contiguous()
    return Sample(
        kspace=kspace,
        mask=measured_samples(kspace),
        trajectory=scan.placed.of_frame(frame)[:, mine],
        image_grid=scan.header.grid,
    )


def _calibration(scan: TrajectoryScan, slice_: int) -> Complex64[Tensor, "coil hc wc"] | None:
    """Return the centre of k-space of all frames of a slice together."""
    if slice_ not in scan.centers:
        frames, (_, readouts) = len(scan.array.frames), scan.array.grid
        count = min(frames, -(-READOUTS // readouts))
        chosen = np.linspace(0, frames - 1, count).round().astype(np.int64).tolist()
        planes = [_plane(scan, frame * scan.array.slices + slice_, 1) for frame in chosen]
        masks = [one.mask.expand(one.kspace.shape[-2:]) for one in planes]
        places = [one.trajectory for one in planes if one.trajectory is not None]
        average = planes[0].replace(
            kspace=torch.cat([one.kspace for one in planes], -1),
            mask=torch.cat(masks, -1),
            trajectory=torch.cat(places, 1),
        )
        scan.centers[slice_] = averaged_center(average)
    return scan.centers[slice_]
