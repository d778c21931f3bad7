"""From a Scan to a volume with any reconstructor."""

from collections.abc import Iterable

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor
from tqdm import tqdm

from mrirecon.data.collate import collate
from mrirecon.image import center_fit, interpolate
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.scan import Scan, ScanHeader
from mrirecon.types import Transform, Volume


def reconstruct_scan(
    scan: Scan,
    reconstructor: Reconstructor,
    transform: Transform,
    *,
    batch_size: int = 1,
    device: torch.device | None = None,
    progress: bool = False,
) -> Volume:
    """Reconstruct every slice of ``scan``.

    Args:
        scan: Read slice by slice; only one batch of k-space is held.
        reconstructor: In evaluation mode afterwards.
        transform: Applied to every slice first; normalisation is undone here.
        batch_size: Slices computed at once.
        device: Where to compute; where the reconstructor's parameters are when None.
        progress: Whether to show a progress bar.

    Returns:
        Magnitude images on ``scan.header.matrix``, in the units of the raw file.
    """
    reconstructor = reconstructor.eval()
    if device is None:
        device = next((p.device for p in reconstructor.parameters()), torch.device("cpu"))
    images: list[Tensor] = []
    starts: Iterable[int] = range(0, len(scan), batch_size)
    if progress:
        starts = tqdm(starts, desc=scan.header.name, unit="batch", leave=False)
    with torch.inference_mode():
        for start in starts:
            stop = min(start + batch_size, len(scan))
            batch = collate([transform(scan[i]) for i in range(start, stop)]).to(device)
            image = reconstructor(batch)
            scale = 1.0 if batch.scale is None else batch.scale[:, None, None]
            images.append(to_matrix(image * scale, scan.header).cpu())
    return torch.cat(images)


def to_matrix(image: Complex64[Tensor, "b h w"], header: ScanHeader) -> Float32[Tensor, "b y x"]:
    """Interpolate to the reconstruction voxel, cut out the field of view, take the magnitude."""
    return center_fit(interpolate(image, header.canvas), header.matrix).abs()
