"""From a Scan to a volume with any reconstructor."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor
from tqdm import tqdm

from mrirecon.data.collate import collate
from mrirecon.image import center_fit, interpolate
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.scan import Scan, ScanHeader, told_noise
from mrirecon.types import Sample, Transform, Volume


def reconstruct_scan(
    scan: Scan,
    reconstructor: Reconstructor,
    transform: Transform,
    *,
    batch_size: int = 1,
    device: torch.device | None = None,
    progress: bool = False,
) -> Volume:
    """Reconstruct every slice of every frame of ``scan``.

    Args:
        scan: Read slice by slice; only one batch of k-space is held.
        reconstructor: In evaluation mode afterwards. One that is ``joint`` gets all frames of a
            slice as one batch.
        transform: Applied to every slice first; normalisation is undone here.
        batch_size: Slices computed at once; of no effect on a ``joint`` reconstructor.
        device: Where to compute; where the reconstructor's parameters are when None.
        progress: Whether to show a progress bar.

    Returns:
        Magnitude images on ``scan.header.matrix``, in the units of the raw file and the order of
        the scan.
    """
    reconstructor = reconstructor.eval()
    if device is None:
        device = next((p.device for p in reconstructor.parameters()), torch.device("cpu"))
    planes: dict[int, Tensor] = {}
    groups = scan_batches(scan, reconstructor.joint, batch_size)
    batches: Iterable[range] = groups
    if progress:
        batches = tqdm(groups, desc=scan.header.name, unit="batch", leave=False)
    with torch.inference_mode():
        for indices in batches:
            batch = read_batch(scan, indices, transform, reconstructor.joint).to(device)
            image = reconstructor(batch)
            scale = 1.0 if batch.scale is None else batch.scale[:, None, None]
            planes.update(zip(indices, to_matrix(image * scale, scan.header).cpu(), strict=True))
    return torch.stack([planes[i] for i in range(len(scan))])


def scan_batches(scan: Scan, joint: bool, batch_size: int = 1) -> list[range]:
    """Return which planes of a scan are computed at once: all frames of a slice if ``joint``."""
    if joint:
        return [range(s, len(scan), scan.header.slices) for s in range(scan.header.slices)]
    starts = range(0, len(scan), batch_size)
    return [range(start, min(start + batch_size, len(scan))) for start in starts]


def read_batch(scan: Scan, indices: Iterable[int], transform: Transform, joint: bool) -> Sample:
    """Read planes of a scan as a method gets them; ``joint`` frames share their units."""
    samples = [transform(told_noise(scan[i], scan.header)) for i in indices]
    return collate(same_units(samples) if joint else samples)


def same_units(frames: Sequence[Sample]) -> list[Sample]:
    """Give the frames of a slice, each normalised by itself, the units of the brightest one."""
    scales = [frame.scale for frame in frames if frame.scale is not None]
    if len(scales) < len(frames):
        return list(frames)
    common = torch.stack(scales).amax(0)
    return [_in_units(frame, scale, common) for frame, scale in zip(frames, scales, strict=True)]


def _in_units(sample: Sample, old: Tensor, new: Tensor) -> Sample:
    factor = old / new
    pixel = factor[..., None, None]
    return sample.replace(
        kspace=sample.kspace * pixel.unsqueeze(-1),
        calibration=None if sample.calibration is None
        else sample.calibration * pixel.unsqueeze(-1),
        target=None if sample.target is None else sample.target * pixel,
        peak=None if sample.peak is None else sample.peak * factor,
        noise=None if sample.noise is None else sample.noise * factor,
        scale=new,
    )  # fmt: skip


def to_matrix(image: Complex64[Tensor, "b h w"], header: ScanHeader) -> Float32[Tensor, "b y x"]:
    """Interpolate to the reconstruction voxel, cut out the field of view, take the magnitude."""
    return center_fit(interpolate(image, header.canvas), header.matrix).abs()
