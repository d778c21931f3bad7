"""From a Scan to a volume with any reconstructor."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import torch
from jaxtyping import Complex64
from torch import Tensor
from tqdm import tqdm

from mrirecon.data.collate import collate
from mrirecon.data.neighbors import Neighbors, with_neighbors
from mrirecon.errors import ConfigError
from mrirecon.image import center_fit
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.guarded import unguarded
from mrirecon.reconstructors.parts.denoising import DenoisingReconstructor
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
    planes: Sequence[int] | None = None,
) -> Volume:
    """Reconstruct every slice of every frame of ``scan``, or some of them.

    Args:
        scan: Scan that is read slice by slice, each once; only one batch of k-space is held, and
            the slices around it for a method that wants to see them (``context``).
        reconstructor: Method that makes the images; it is in evaluation mode afterwards. One that
            is ``joint`` gets all frames of a slice as one batch.
        transform: Preprocessing, applied to every slice first; normalisation is undone here.
        batch_size: Number of slices computed at once; of no effect on a ``joint`` reconstructor.
        device: Torch device that computes; None takes that of the reconstructor's parameters.
        progress: Whether to show a progress bar.
        planes: Numbers of the wanted planes, each of which equals that of the whole scan; None
            takes all.

    Returns:
        Magnitude images on ``scan.header.matrix``, in the units of the raw file and the order of
        the scan, or of ``planes``.
    """
    return _reconstructed(
        scan, reconstructor, transform, batch_size, device, progress, planes, torch.abs
    )


def reconstruct_complex(
    scan: Scan,
    reconstructor: Reconstructor,
    transform: Transform,
    *,
    batch_size: int = 1,
    device: torch.device | None = None,
    progress: bool = False,
    planes: Sequence[int] | None = None,
) -> Complex64[Tensor, "plane y x"]:
    """Like :func:`reconstruct_scan`, with the phase.

    Raises:
        ConfigError: When the method gives magnitudes only.
    """

    def with_phase(image: Tensor) -> Tensor:
        if image.any() and not image.imag.any():
            name = type(unguarded(reconstructor)).__name__
            raise ConfigError(
                f"image=complex: the images of {name} have no phase, for it combines the coils by "
                "root-sum-of-squares or takes the phase away; choose image=magnitude, "
                f"{_with_phase(reconstructor)}or a method that combines coils with sensitivities "
                "(cg_sense)"
            )
        return image

    return _reconstructed(
        scan, reconstructor, transform, batch_size, device, progress, planes, with_phase
    )


def _with_phase(reconstructor: Reconstructor) -> str:
    """Say how this method keeps the phase, if it can."""
    able = isinstance(unguarded(reconstructor), DenoisingReconstructor)
    return "model.combination=sense, " if able else ""


def _reconstructed(
    scan: Scan,
    reconstructor: Reconstructor,
    transform: Transform,
    batch_size: int,
    device: torch.device | None,
    progress: bool,
    planes: Sequence[int] | None,
    finish: Callable[[Tensor], Tensor],
) -> Tensor:
    """Reconstruct planes; ``finish`` makes of each batch of complex images what is kept."""
    reconstructor = reconstructor.eval()
    if device is None:
        device = next((p.device for p in reconstructor.parameters()), torch.device("cpu"))
    wanted = range(len(scan)) if planes is None else planes
    made: dict[int, Tensor] = {}
    groups = scan_batches(scan, reconstructor, batch_size, wanted)
    shown: Iterable[Sequence[int]] = groups
    if progress:
        shown = tqdm(groups, desc=scan.header.name, unit="batch", leave=False)
    with torch.inference_mode():
        batches = read_batches(scan, groups, reconstructor, transform)
        for indices in shown:
            batch = next(batches).to(device)
            image = on_matrix(reconstructor, batch, scan.header)
            scale = 1.0 if batch.scale is None else batch.scale[:, None, None]
            made.update(zip(indices, finish(image * scale).cpu(), strict=True))
    return torch.stack([made[i] for i in wanted])


def scan_batches(
    scan: Scan,
    reconstructor: Reconstructor,
    batch_size: int = 1,
    planes: Sequence[int] | None = None,
) -> list[Sequence[int]]:
    """Return which planes of a scan a method gets at once: all frames of a slice if it is joint.

    Only ``planes`` come, if they are given, and what is reconstructed together with them.

    They are in such an order that the neighbours of a plane are read one after the other.
    """
    of_slice = [range(s, len(scan), scan.header.slices) for s in range(scan.header.slices)]
    wanted = set(range(len(scan)) if planes is None else planes)
    if reconstructor.joint:
        return [frames for frames in of_slice if not wanted.isdisjoint(frames)]
    order = list(range(len(scan)))
    if reconstructor.context and reconstructor.context_along != "slices":
        order = list(chain.from_iterable(of_slice))
    order = [index for index in order if index in wanted]
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def read_batches(
    scan: Scan,
    groups: Sequence[Sequence[int]],
    reconstructor: Reconstructor,
    transform: Transform,
) -> Iterator[Sample]:
    """Yield the planes of a scan as a method gets them; joint frames share their units."""
    slices = slices_with_neighbors(
        scan, list(chain.from_iterable(groups)), Neighbors.of(reconstructor)
    )
    for indices in groups:
        samples = [transform(next(slices)) for _ in indices]
        yield collate(same_units(samples) if reconstructor.joint else samples)


def slices_with_neighbors(
    scan: Scan, indices: Sequence[int], neighbors: Neighbors
) -> Iterator[Sample]:
    """Yield these slices of a scan with their neighbours.

    Each slice is read once and held for as long as a later one has it in its neighbors.

    Args:
        scan: Scan as a reader or the simulation made it.
        indices: Numbers of the slices in the order in which they are wanted.
        neighbors: What the method declares; see :meth:`Neighbors.of`.
    """
    header = scan.header
    plan = [(index, *neighbors.around(header, index)) for index in indices]
    uses = Counter(chain.from_iterable(plan))
    held: dict[int, Sample] = {}
    for wanted in plan:
        for index in wanted:
            if index not in held:
                held[index] = scan[index]
        sample = with_neighbors(held[wanted[0]], [held[index] for index in wanted[1:]])
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
