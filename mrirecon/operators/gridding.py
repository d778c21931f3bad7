"""Between samples of k-space, on the Cartesian grid or not, and images of the coils."""

from collections.abc import Iterator

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.operators.areas import areas
from mrirecon.operators.nonuniform import NonUniformFourier
from mrirecon.types import KSpace, Sample

CoilImages = Complex64[Tensor, "*b coil hi wi"]


def coil_images(sample: Sample) -> CoilImages:
    r"""Return the coil images of the measured samples; what was not measured counts as zero.

    .. math:: x_c = F^H D y_c

    with the :func:`~mrirecon.operators.areas.areas` :math:`D` of the samples: the inverse transform
    of Cartesian k-space, and gridding with density compensation of any other.
    """
    if sample.trajectory is None:
        return ifft(sample.kspace)
    return transposed(sample, sample.kspace * areas(sample).unsqueeze(-3))


def coil_samples(sample: Sample, images: CoilImages) -> KSpace:
    r"""Return :math:`F x_c`: what a scanner would have measured of coil images, at all places.

    Args:
        sample: Sample that tells the places, and the grid of the images.
        images: Image of each coil.
    """
    if sample.trajectory is None:
        return fft(images)
    batch, shape = sample.kspace.shape[:-3], sample.kspace.shape[-2:]
    flat = images.reshape(-1, *images.shape[-3:])
    found = [F(x) for F, x in zip(transforms(sample), flat, strict=True)]
    return torch.stack(found).reshape(*batch, images.shape[-3], *shape)


def transposed(sample: Sample, values: Complex64[Tensor, "*b coil h w"]) -> CoilImages:
    """Return :math:`F^H` of values at the places of a sample, adjoint to :func:`coil_samples`."""
    if sample.trajectory is None:
        return ifft(values)
    flat = values.reshape(-1, values.shape[-3], values.shape[-2] * values.shape[-1])
    found = [F.adjoint(y) for F, y in zip(transforms(sample), flat, strict=True)]
    return torch.stack(found).reshape(*values.shape[:-2], *sample.grid)


def transforms(sample: Sample) -> Iterator[NonUniformFourier]:
    """Yield the transform of each member of a non-Cartesian batch, along all of its readouts."""
    assert sample.trajectory is not None
    for places in sample.trajectory.flatten(-3, -2).reshape(-1, *_flat(sample)):
        yield NonUniformFourier(places, sample.grid)


def cartesian_kspace(sample: Sample) -> Complex64[Tensor, "*b coil hi wi"]:
    """Return k-space on the grid of the image; that of a trajectory is gridded."""
    return sample.kspace if sample.trajectory is None else fft(coil_images(sample))


def central_kspace(sample: Sample, size: tuple[int, int]) -> Complex64[Tensor, "*b coil hc wc"]:
    """Return the centre of Cartesian k-space: cut out, or gridded from the samples in it.

    Args:
        sample: One slice or a batch.
        size: Size ``(hc, wc)`` of the centre.
    """
    if sample.trajectory is None:
        return center_fit(sample.kspace, size)
    weighted = (sample.kspace * areas(sample).unsqueeze(-3)).flatten(-2)
    members = zip(
        weighted.reshape(-1, *weighted.shape[-2:]),
        sample.trajectory.flatten(-3, -2).reshape(-1, *_flat(sample)),
        strict=True,
    )
    first, last = (
        torch.tensor([edge(n) for n in size], device=weighted.device)
        for edge in (lambda n: -(n // 2) - 0.5, lambda n: (n - 1) // 2 + 0.5)
    )
    found = []
    for values, places in members:
        inside = ((places >= first) & (places < last)).all(-1)
        image = values.new_zeros(len(values), *size)
        if inside.any():
            image = NonUniformFourier(places[inside], size).adjoint(values[:, inside])
        found.append(fft(image))
    return torch.stack(found).reshape(*weighted.shape[:-1], *size)


def _flat(sample: Sample) -> tuple[int, int]:
    return sample.kspace.shape[-2] * sample.kspace.shape[-1], 2
