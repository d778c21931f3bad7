"""From a Scan to a volume with any reconstructor."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import torch
from jaxtyping import Complex64
from torch import Tensor
from tqdm import tqdm

from mrirecon.data.collate import collate
from mrirecon.data.surroundings import Surroundings, surrounded, told
from mrirecon.image import center_fit
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.scan import Scan, ScanHeader
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
        scan: Read slice by slice, each once; only one batch of k-space is held, and the slices
            around it for a method that wants to see them (``context``).
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
    groups = scan_batches(scan, reconstructor, batch_size)
    shown: Iterable[Sequence[int]] = groups
    if progress:
        shown = tqdm(groups, desc=scan.header.name, unit="batch", leave=False)
    with torch.inference_mode():
        batches = read_batches(scan, groups, reconstructor, transform)
        for indices in shown:
            batch = next(batches).to(device)
            image = on_matrix(reconstructor, batch, scan.header).abs()
            scale = 1.0 if batch.scale is None else batch.scale[:, None, None]
            planes.update(zip(indices, (image * scale).cpu(), strict=True))
    return torch.stack([planes[i] for i in range(len(scan))])


def scan_batches(
    scan: Scan, reconstructor: Reconstructor, batch_size: int = 1
) -> list[Sequence[int]]:
    """Return which planes of a scan a method gets at once: all frames of a slice if it is joint.

    They are in such an order that the neighbours of a plane are read one after the other.
    """
    of_slice = [range(s, len(scan), scan.header.slices) for s in range(scan.header.slices)]
    if reconstructor.joint:
        return list(of_slice)
    order = list(range(len(scan)))
    if reconstructor.context and reconstructor.context_along == "frames":
        order = list(chain.from_iterable(of_slice))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def read_batches(
    scan: Scan,
    groups: Sequence[Sequence[int]],
    reconstructor: Reconstructor,
    transform: Transform,
) -> Iterator[Sample]:
    """Yield the planes of a scan as a method gets them; joint frames share their units."""
    slices = windows(scan, list(chain.from_iterable(groups)), Surroundings.of(reconstructor))
    for indices in groups:
        samples = [transform(next(slices)) for _ in indices]
        yield collate(same_units(samples) if reconstructor.joint else samples)


def windows(scan: Scan, indices: Sequence[int], surroundings: Surroundings) -> Iterator[Sample]:
    """Yield these slices of a scan with their neighbours and with what the header tells.

    Each slice is read once and held for as long as a later one has it in its surroundings.

    Args:
        scan: As a reader or the simulation made it.
        indices: In the order in which the slices are wanted.
        surroundings: What the method declares; see :meth:`Surroundings.of`.
    """
    header = scan.header
    plan = [(index, *surroundings.around(header, index)) for index in indices]
    uses = Counter(chain.from_iterable(plan))
    held: dict[int, Sample] = {}
    for wanted in plan:
        for index in wanted:
            if index not in held:
                held[index] = told(scan[index], header, index)
        sample = surrounded(held[wanted[0]], [held[index] for index in wanted[1:]])
        uses.subtract(wanted)
        held = {index: one for index, one in held.items() if uses[index]}
        yield sample


def same_units(frames: Sequence[Sample]) -> list[Sample]:
    """Give the frames of a slice, each normalised by itself, the units of the brightest one."""
    scales = [frame.scale for frame in frames if frame.scale is not None]
    if len(scales) < len(frames):
        return list(frames)
    common = torch.stack(scales).amax(0)
    return [frame.divided(common / scale) for frame, scale in zip(frames, scales, strict=True)]


def on_matrix(
    reconstructor: Reconstructor, batch: Sample, header: ScanHeader
) -> Complex64[Tensor, "b y x"]:
    """Reconstruct with the voxels of the final image, and cut out its field of view."""
    return center_fit(reconstructor.on_canvas(batch, header.canvas), header.matrix)
