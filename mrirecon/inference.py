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
from mrirecon.data.series import Window, joint_windows, same_units, series_of_planes
from mrirecon.errors import ConfigError
from mrirecon.image import center_fit
from mrirecon.reconstructors.base import FrameWindows, Reconstructor, check_sampling
from mrirecon.reconstructors.learned.guarded import unguarded
from mrirecon.reconstructors.parts.denoising import DenoisingReconstructor
from mrirecon.scan import Scan, ScanHeader
from mrirecon.sharing import give_way
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
            is ``joint`` gets the frames of a slice as one batch, or windows of them.
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
    shown: Iterable[Window] = groups
    if progress:
        shown = tqdm(groups, desc=scan.header.name, unit="batch", leave=False)
    with torch.inference_mode():
        batches = read_batches(scan, groups, reconstructor, transform)
        for window in shown:
            give_way(device.type)
            batch = next(batches).to(device)
            image = on_matrix(reconstructor, batch, scan.header)
            scale = 1.0 if batch.scale is None else batch.scale[:, None, None]
            images = finish((image * scale)[window.kept]).cpu()
            made.update(zip(window.results, images, strict=True))
    return torch.stack([made[i] for i in wanted])


def scan_batches(
    scan: Scan,
    reconstructor: Reconstructor,
    batch_size: int = 1,
    planes: Sequence[int] | None = None,
) -> list[Window]:
    """Return which planes of a scan a method gets at once: windows of frames if it is joint.

    Only ``planes`` come, if they are given, and what is reconstructed together with them.

    They are in such an order that the neighbours of a plane are read one after the other.
    """
    wanted = set(range(len(scan)) if planes is None else planes)
    if reconstructor.joint:
        windows = joint_windows(scan.header, reconstructor.windows)
        return [window for window in windows if not wanted.isdisjoint(window.results)]
    order = list(range(len(scan)))
    if reconstructor.context and reconstructor.context_along != "slices":
        order = list(chain.from_iterable(series_of_planes(scan.header, FrameWindows())))
    order = [index for index in order if index in wanted]
    starts = range(0, len(order), batch_size)
    return [Window(tuple(order[start : start + batch_size])) for start in starts]


def read_batches(
    scan: Scan,
    windows: Sequence[Window],
    reconstructor: Reconstructor,
    transform: Transform,
) -> Iterator[Sample]:
    """Yield the planes of a scan as a method gets them; joint frames share their units."""
    order = list(chain.from_iterable(window.planes for window in windows))
    slices = slices_with_neighbors(scan, order, Neighbors.of(reconstructor))
    for window in windows:
        batch = collate([transform(next(slices)) for _ in window.planes])
        yield same_units(batch) if reconstructor.joint else batch


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


def on_matrix(
    reconstructor: Reconstructor, batch: Sample, header: ScanHeader
) -> Complex64[Tensor, "b y x"]:
    """Reconstruct with the voxels of the final image, and cut out its field of view."""
    check_sampling(reconstructor, batch)
    return center_fit(reconstructor.on_canvas(batch, header.canvas), header.matrix)
