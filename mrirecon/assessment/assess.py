"""Looks closely at one plane of a scan."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.assessment.noise_maps import Plane, is_linear, noise_maps
from mrirecon.assessment.null_space import added
from mrirecon.assessment.residuals import Record, record_of, residuals
from mrirecon.data.collate import collate
from mrirecon.data.gaps import has_gaps
from mrirecon.data.neighbors import Neighbors
from mrirecon.data.series import same_units
from mrirecon.image import center_fit, root_sum_of_squares
from mrirecon.inference import slices_with_neighbors
from mrirecon.operators import cartesian_kspace, coil_images
from mrirecon.quality import Added, CoilPictures, MeasuredMask, Part, Quality, Spacing
from mrirecon.reconstruction import chosen_planes
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.sampling import achieved_acceleration, cells
from mrirecon.sampling.sampled_readouts import sampled_plane_of
from mrirecon.scan import Scan, ScanHeader
from mrirecon.selection import Selection
from mrirecon.sensitivity import Espirit, GivenMaps, SensitivityEstimator
from mrirecon.sensitivity.series import calibrated_apart, calibrated_by_mean
from mrirecon.types import Image, Maps, Sample, Transform

SERIES = 32
"""At most so many frames of a series are averaged to calibrate the one that is looked at."""


def assess(
    scan: Scan,
    reconstructor: Reconstructor,
    transform: Transform,
    *,
    series: str = "",
    selection: Selection | None = None,
    device: torch.device | None = None,
    reference: Transform | None = None,
) -> Quality:
    """Look closely at the middle plane that was reconstructed of a series' first frame.

    It is the one nearest to the middle that is not empty, if there is any.

    The sensitivities are estimated and the regularization is chosen once and then held fixed, so
    noise in them is not seen.

    Args:
        scan: Scan that was reconstructed.
        reconstructor: Method that reconstructed it; it is not changed.
        transform: Preprocessing that every Sample goes through first.
        series: Suffix of the series.
        selection: Slices and frames that were reconstructed; None when all were.
        device: Torch device that computes; None takes the CPU.
        reference: Preprocessing without the undersampling that ``transform`` does; None when that
            takes nothing away.
    """
    header, device = scan.header, device or torch.device("cpu")
    part = chosen_planes(header, series, selection or Selection())
    first = part.frames[0] * header.slices
    begin = part.slices[0]
    reconstructor = reconstructor.eval()
    with torch.inference_mode():
        middle, raw = _judged(scan, part.slices, first, Neighbors.of(reconstructor))
        sample = collate([transform(raw)]).to(device)
        if reconstructor.joint:
            frames = [frame * header.slices + middle for frame in part.frames[:SERIES]]
            sample = _in_series(sample, [transform(scan[number]) for number in frames])
        masks = [_mask(sample, header, middle)]
        if middle != begin:
            one = _mask(collate([transform(scan[first + begin])]), header, begin)
            masks = [*([] if (one.mask == masks[0].mask).all() else [one]), *masks]
        coils, maps = _coils(sample, header, reconstructor)
        plane = Plane(sample, header, maps)
        if maps is not None and is_linear(reconstructor):  # it is called several times
            reconstructor = _with_given_maps(reconstructor)
            if isinstance(reconstructor, CgSense):
                reconstructor = reconstructor.settled(sample, maps)
            plane = Plane(sample.replace(maps=maps), header, maps)
        image = reconstructor(plane.sample)
        noise, reason = noise_maps(plane, reconstructor, image)
        missing = [("SNR and noise amplification", reason)] if noise is None else []
        image = _phased(image, reconstructor, plane)
        record, why = record_of(sample, image)
        residual, own_residual = residuals(plane, image, record)
        parts = None
        if record is None:
            missing.append(("data consistency with maps of record", why))
        else:
            parts, lacking = _parts(plane, record, raw, reference)
            missing += lacking
        kspace = root_sum_of_squares(cartesian_kspace(sample))[0].cpu().numpy()
    correlation = scan.noise_correlation()
    if correlation is None:
        missing.append(("noise correlation", "the file has no noise scan that was used"))
    y, x = np.unravel_index(int(kspace.argmax()), kspace.shape)
    return Quality(
        plane=_name(header, middle),
        masks=tuple(masks),
        kspace=kspace,
        peak=(int(y), int(x)),
        coils=coils,
        gridded=not sample.cartesian,
        noise=noise,
        correlation=correlation,
        residual=residual,
        own_residual=own_residual,
        added=parts,
        missing=tuple(missing),
    )


def _in_series(sample: Sample, frames: Sequence[Sample]) -> Sample:
    """Calibrate a frame as the method did that saw the whole series."""
    if len(frames) == 1 or sample.calibration is not None:
        return sample
    series = same_units(collate(frames)).to(sample.kspace.device)
    return sample if calibrated_apart(series) else calibrated_by_mean(sample, series)


def _parts(
    plane: Plane, record: Record, raw: Sample, reference: Transform | None
) -> tuple[Added | None, list[tuple[str, str]]]:
    """Return what the method has added to the data, and what of that is not known."""
    found, why = _added(plane, record, raw, reference)
    if found is None:
        return None, [("measured and added part of the image", why)]
    if why and reference is not None:
        return found, [("measured and added part of the error", why)]
    return found, []


def _added(
    plane: Plane, record: Record, raw: Sample, reference: Transform | None
) -> tuple[Added | None, str]:
    """Split the image, and its error where the full data are there, and show the field of view."""
    full = None
    if reference is not None and raw.mask.all() and not has_gaps(raw).any():
        full = collate([reference(raw)]).to(plane.sample.kspace.device)
    found, why = added(plane, record, full)
    if found is None:
        return None, why

    def cut(part: Part) -> Part:
        whole, rest = (
            _view(torch.from_numpy(one), plane.header) for one in (part.whole, part.unmeasured)
        )
        return replace(part, whole=whole, unmeasured=rest)

    error = None if found.error is None else cut(found.error)
    return replace(found, image=cut(found.image), error=error, spacing=_spacing(plane.header)), why


def _phased(image: Image, reconstructor: Reconstructor, plane: Plane) -> Image:
    """Return the image with its phase where the method knows it: a smooth one explains less."""
    knows = type(reconstructor).with_phase is not Reconstructor.with_phase
    return image if image.imag.any() or not knows else reconstructor.with_phase(plane.sample)


def _judged(
    scan: Scan, slices: Sequence[int], first: int, neighbors: Neighbors
) -> tuple[int, Sample]:
    """Return the slice that is looked at, of the frame that begins with the plane ``first``."""
    place = len(slices) // 2
    nearest = sorted(slices, key=lambda number: abs(slices.index(number) - place))
    seen = ((n, next(slices_with_neighbors(scan, [first + n], neighbors))) for n in nearest)
    middle = next(seen)
    found = (one for one in chain([middle], seen) if one[1].kspace.any())
    return next(found, middle)


def _name(header: ScanHeader, index: int) -> str:
    kind = "plane across the readout" if header.volumetric else "slice"
    return f"{kind} {index + 1} of {header.slices}"


def _mask(sample: Sample, header: ScanHeader, index: int) -> MeasuredMask:
    mask, known = cells(sample)[0], sample.acs
    acs = (0, 0) if known is None else (int(known[0, 0]), int(known[0, 1]))
    acceleration = achieved_acceleration(mask)
    if not sample.cartesian:
        plane = sampled_plane_of(sample.map(lambda values: values[0].cpu())).description()
        acs, acceleration = plane.acs, plane.acceleration
    return MeasuredMask(_name(header, index), mask.cpu().numpy().copy(), acs, acceleration)


def _coils(
    sample: Sample, header: ScanHeader, reconstructor: Reconstructor
) -> tuple[CoilPictures, Maps | None]:
    """Estimate the sensitivities as the method does, or show the coil images instead."""
    estimators = [m for m in reconstructor.modules() if isinstance(m, SensitivityEstimator)]
    spacing = _spacing(header)
    if not estimators:
        pictures = _view(coil_images(sample)[0].abs(), header)
        of = "coil images of the measured k-space"
        return CoilPictures(pictures, of, spacing, unit="a.u."), None
    estimator, eigenvalue, crop = estimators[0], None, 0.0
    if isinstance(estimator, Espirit):
        maps, values = estimator.estimate(sample)
        eigenvalue, crop = _view(values[0], header), estimator.crop
    else:
        maps = estimator(sample)
    name = f"coil sensitivities of {type(estimator).__name__}"
    return CoilPictures(_view(maps[0].abs(), header), name, spacing, eigenvalue, crop), maps


def _with_given_maps(reconstructor: Reconstructor) -> Reconstructor:
    """Return a copy that takes its sensitivities from the Sample."""
    reconstructor = copy.deepcopy(reconstructor)
    for module in list(reconstructor.modules()):
        for name, child in module.named_children():
            if isinstance(child, SensitivityEstimator):
                setattr(module, name, GivenMaps())
    return reconstructor


def _view(pictures: Float32[Tensor, "*c h w"], header: ScanHeader) -> np.ndarray:
    """Cut the image's field of view out of pictures on the k-space grid, without resampling."""
    sizes = zip(header.matrix, header.grid, header.canvas, strict=True)
    shape = [max(1, round(matrix * grid / canvas)) for matrix, grid, canvas in sizes]
    return center_fit(pictures, shape).cpu().numpy()


def _spacing(header: ScanHeader) -> Spacing:
    """Pixel spacing of the k-space grid's images."""
    voxel = header.voxel or (1.0, 1.0, 1.0)
    dy, dx = (v * c / g for v, c, g in zip(voxel, header.canvas, header.grid, strict=False))
    return (dy, dx)
