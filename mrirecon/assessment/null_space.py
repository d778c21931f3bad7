"""What of an image the data have measured, and what the method has added to them."""

from typing import NamedTuple

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.assessment.noise_maps import Plane
from mrirecon.assessment.residuals import Record, aligned, maps_of_record, noise_level
from mrirecon.errors import MriReconError
from mrirecon.image import root_sum_of_squares
from mrirecon.operators import SenseNormal, coil_images, sense_normal
from mrirecon.operators.weighting import OVERLAP
from mrirecon.quality import Added, Part
from mrirecon.solvers import solve_cg
from mrirecon.types import Image, Sample

ITERATIONS = 4000
ACCURACY = 0.05
"""Residual that is left, in units of the threshold: components that the data hardly tell are wrong
by the residual over the threshold, so a small one wants a small residual."""
LEAST, MOST = 1e-5, 1.0
"""Bounds of the noise's power over the signal's: below, single precision tells no difference."""
BRIGHT = 0.1
"""Part of the 99th percentile above which a pixel belongs to the object."""


def measured_part(
    image: Complex64[Tensor, "*b h w"], normal: SenseNormal, threshold: float
) -> Complex64[Tensor, "*b h w"]:
    r"""Return the part of an image that data could have told.

    :math:`(A^HA + \lambda)^{-1}A^HA\,x`: a component of the image that encoding passes with the
    singular value :math:`s` is kept to :math:`s^2 / (s^2 + \lambda)`. What is left of the image
    lies in the null space of the encoding, as far as noise lets anybody tell.

    Args:
        image: Images ``x`` of one slice or several.
        normal: Normal operator :math:`A^HA` of the encoding.
        threshold: The weight :math:`\lambda`, the power of the noise over that of the signal.

    Raises:
        MriReconError: When conjugate gradients do not get there.
    """
    found = solve_cg(
        lambda x: normal(x) + threshold * x,
        normal(image),
        iterations=ITERATIONS,
        tolerance=ACCURACY * threshold,
    )
    if not found.converged.all():
        raise MriReconError(f"conjugate gradients did not converge within {ITERATIONS} steps")
    return found.x


class Reference(NamedTuple):
    """The image of the full data, with the phase of the maps of record, and its name."""

    image: Image
    name: str


def added(plane: Plane, record: Record, full: Sample | None) -> tuple[Added | None, str]:
    """Split an image into what was measured and what was added, and so its error.

    Components count as measured as far as their signal exceeds the noise: the threshold is the
    variance of the noise over the mean power of the object's pixels.

    Args:
        plane: The plane that was looked at, its data as the method got them.
        record: Image and sensitivities of record.
        full: The same plane without undersampling, if it was sampled fully; None else.

    Returns:
        The split, and why there is none of the error.
    """
    power = record.image.abs().square()
    bright = power > BRIGHT**2 * torch.quantile(power.flatten(), 0.99)
    if not bright.any():
        return None, "the image is zero"
    threshold = float(2 * noise_level(plane) ** 2 / power[bright].mean())
    threshold = min(max(threshold, LEAST), MOST)
    normal = sense_normal(plane.sample, record.maps)
    weight = 1.0 if plane.sample.cartesian else 1 / OVERLAP  # that samples have

    def split(image: Image, name: str) -> Part:
        rest = image - measured_part(image, normal, weight * threshold)
        energy = float(image.abs().square().sum())
        share = float(rest.abs().square().sum()) / energy if energy else 0.0
        return Part(image[0].abs().cpu().numpy(), rest[0].abs().cpu().numpy(), share, name)

    try:
        image = split(record.image, "image")
    except MriReconError as problem:
        return None, str(problem)
    if full is None:
        return Added(image, None, threshold), "the scan is not fully sampled, or was not reduced"
    try:
        reference = _reference(plane.sample, record, full)
        error = split(record.image - reference.image, f"image minus {reference.name}")
    except MriReconError as problem:
        return Added(image, None, threshold), str(problem)
    return Added(image, error, threshold), ""


def _reference(sample: Sample, record: Record, full: Sample) -> Reference:
    """Combine the full data; with the magnitude that the method's image is nearer to.

    A method returns a combination of coils, or a root-sum-of-squares, whose noise is another one.
    """
    maps, _ = maps_of_record(full)
    coils = coil_images(full)
    if full.scale is not None and sample.scale is not None:
        coils = coils * (full.scale / sample.scale)[:, None, None, None]
    combined = aligned((maps.conj() * coils).sum(-3), sample, record.maps)
    turned = torch.polar(root_sum_of_squares(coils), combined.angle())
    references = (
        Reference(combined, "the combination of the full data"),
        Reference(turned, "the root-sum-of-squares of the full data"),
    )
    return min(references, key=lambda one: float((one.image - record.image).abs().square().sum()))
