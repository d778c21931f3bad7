"""Comparing an image with measured k-space: what every self-supervised objective needs."""

from weakref import WeakSet

import torch
from jaxtyping import Bool, Complex64, Float
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.operators import Coils, coil_samples
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sensitivity.base import SensitivityEstimator, calibration_extent, maps_shape
from mrirecon.types import Extent, Image, KSpace, Maps, Mask, Sample

_PHASED: WeakSet[Reconstructor] = WeakSet()  # methods whose images are known to have a phase


def without(sample: Sample, held: Mask, extent: Extent | None) -> Sample:
    """Hold measured positions, and the target, out of a batch of Samples.

    Out of the neighbours, too: at the end of a stack a slice is its own neighbour, and would show
    what is to be predicted.

    Args:
        sample: A batch of slices.
        held: Positions that are no longer measured.
        extent: The fully sampled centre that is left, where there was a larger one; None for
            samples along a trajectory, whose places tell.
    """
    seen, near = sample.mask & ~held, sample.neighbors
    left = None if extent is None else torch.minimum(calibration_extent(sample), extent)
    beside = None if extent is None else extent.unsqueeze(-2)
    return sample.replace(
        kspace=sample.kspace * seen.unsqueeze(-3),
        mask=seen,
        acs=left,
        target=None,
        neighbors=near and without(near, held.unsqueeze(-3), beside),
    )


def refuse_neighbors(sample: Sample, change: str) -> None:
    """Refuse Samples with neighbours where only the slice itself would be changed.

    Raises:
        ConfigError: At the end of a stack a slice is its own neighbour, and would stay unchanged.
    """
    if sample.neighbors is not None:
        raise ConfigError(
            f"objective: {change} one slice, but the method sees its neighbours too, and at the "
            "end of a stack the slice itself; use a model without context, or another objective"
        )


def reconstruct_with_maps(reconstructor: Reconstructor, sample: Sample) -> tuple[Image, Maps]:
    """Return the image with its phase, and the sensitivities that the method itself used for it.

    A method that ends with a root-sum-of-squares is asked for its coil-combined image, if it knows
    one: what it keeps of the measurement would tell nothing about what it predicts.

    The maps are those that the estimator inside the method returned last for the slices themselves,
    not for their neighbours, so they cost nothing and a learned estimator gets its gradient; a
    method without one uses ``sample.maps``.

    Raises:
        ConfigError: When there are no maps, or the image has no phase.
    """
    found: list[Maps] = []
    hooks = [
        module.register_forward_hook(lambda _, __, maps: found.append(maps))
        for module in reconstructor.modules()
        if isinstance(module, SensitivityEstimator)
    ]
    try:
        image = reconstructor.with_phase(sample)
    finally:
        for hook in hooks:
            hook.remove()
    name = type(reconstructor).__name__
    own = [maps for one in found if (maps := _of_slices(one, sample, reconstructor)) is not None]
    maps = own[-1] if own else sample.maps
    if maps is None:
        raise ConfigError(
            f"objective: {name} has no coil sensitivities, and {sample.key} brings none, so its "
            "image cannot be compared with measured k-space; choose a model with a sensitivity"
        )
    if reconstructor not in _PHASED:
        _check_phase(reconstructor, image)
    return image, maps


def _check_phase(reconstructor: Reconstructor, image: Image) -> None:
    """Refuse a method that returns magnitudes; once, as a GPU is waited for."""
    # exact zeros everywhere: a magnitude, not an image that happens to be nearly real
    if image.imag.any():
        _PHASED.add(reconstructor)
    elif image.real.any():
        raise ConfigError(
            f"objective: {type(reconstructor).__name__} returned a magnitude, but comparing with "
            "measured k-space needs the phase; set model.combination=sense, or choose a method "
            "that combines the coils"
        )


def _of_slices(
    maps: Complex64[Tensor, "*any coil h w"], sample: Sample, method: Reconstructor
) -> Maps | None:
    """Return the maps of the slices; None for those of their neighbours alone.

    A method with context may have estimated all slices of its windows at once, along one more axis,
    a joint one those of all frames together.
    """
    context = method.context
    *batch, coils, h, w = maps_shape(sample)
    if method.joint and maps.shape[0] == 1:
        maps = maps.expand(len(sample.kspace), *maps.shape[1:])
    if maps.shape == (*batch, coils, h, w):
        return maps
    if maps.shape == (*batch, 2 * context + 1, coils, h, w):
        return maps[..., context, :, :, :]
    return None


def predicted_kspace(
    sample: Sample, image: Image, maps: Maps
) -> Complex64[Tensor, "*b coil hk wk"]:
    """Return the k-space that every coil would measure everywhere, or along the trajectory."""
    return coil_samples(sample, Coils(maps)(image))


def unseen(image: Image, maps: Maps) -> Float[Tensor, " b"]:
    """Return the share of each image's norm that lies where all maps are zero.

    No measurement tells anything about these pixels, so a network would leave there whatever the
    rest of the image taught it: objectives without a reference draw them to zero.
    """
    nobody = (maps == 0).all(-3)
    outside = torch.linalg.vector_norm((image * nobody).flatten(1), dim=-1)
    size = torch.linalg.vector_norm(image.detach().flatten(1), dim=-1)
    return outside / torch.where(size == 0, 1.0, size)


def relative_error(
    predicted: KSpace, measured: KSpace, where: Bool[Tensor, "b #h #w"]
) -> Float[Tensor, " b"]:
    r"""Return :math:`\|d\|_2/\|y\|_2 + \|d\|_1/\|y\|_1` of each member over ``where``.

    The normalized loss of SSDU (Yaman et al., Magn Reson Med 84:3172, 2020).
    """
    inside = where.unsqueeze(-3)
    error, y = ((v * inside).abs().flatten(1) for v in (predicted - measured, measured))
    total: Float[Tensor, " b"] = torch.zeros_like(error[:, 0])
    for order in (2, 1):
        size = torch.linalg.vector_norm(y, order, dim=-1)
        size = torch.where(size == 0, 1.0, size)  # an empty slice has nothing to be relative to
        total = total + torch.linalg.vector_norm(error, order, dim=-1) / size
    return total
