"""Small operations on images: coil combination, cropping, padding and interpolation.

Everything keeps the convention that index ``n // 2`` is the centre of an axis.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float, Shaped
from torch import Tensor

from mrirecon.errors import ShapeError
from mrirecon.fourier import fft, ifft

Shape = Sequence[int]


def root_sum_of_squares(coil_images: Complex[Tensor, "*b coil h w"]) -> Float[Tensor, "*b h w"]:
    """Combine coils without sensitivities (Roemer et al., Magn Reson Med 16:192, 1990).

    The gradient at an empty pixel is zero, not NaN; a pixel that is NaN in any coil stays NaN.
    """
    return _root(squared_magnitude(coil_images, (-3,)))


def squared_magnitude(x: Complex[Tensor, "..."], axes: Shape = ()) -> Float[Tensor, "..."]:
    """Return the squared magnitudes of complex numbers, several times faster than by other ways.

    A sum over an axis of two numbers is slow, so the two squares are added instead.

    Args:
        x: Complex numbers of any shape.
        axes: Axes to sum over, counted from the last one: -3 is that of the coils.
    """
    squares = torch.view_as_real(x).square()
    if axes:
        squares = squares.sum([axis - 1 for axis in axes])
    return squares[..., 0] + squares[..., 1]


def _root(squares: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
    empty = squares == 0
    return torch.where(empty, 0.0, torch.where(empty, 1.0, squares).sqrt())


def interpolated_rss(
    coil_images: Complex[Tensor, "*b coil h w"], shape: Shape
) -> Float[Tensor, "*b y x"]:
    """Resample every coil's image to ``shape`` pixels, then combine them.

    A magnitude has more detail than its pixels can hold, so it must not be resampled itself. One
    coil at a time is interpolated, so that large volumes need little memory.
    """
    if tuple(coil_images.shape[-2:]) == tuple(shape):
        return root_sum_of_squares(coil_images)
    squares = coil_images.real.new_zeros(())
    for coil in range(coil_images.shape[-3]):
        image = interpolate(coil_images[..., coil, :, :], shape)
        squares = squares + squared_magnitude(image)
    return _root(squares)


def complex_image(magnitude: Float[Tensor, "*b h w"]) -> Complex[Tensor, "*b h w"]:
    """Return a magnitude as the complex image that every method returns; its phase is zero."""
    return torch.complex(magnitude, torch.zeros_like(magnitude))


def center_crop(image: Shaped[Tensor, "*b h w"], shape: Shape) -> Shaped[Tensor, "*b y x"]:
    """Keep the central ``shape`` of the last two axes.

    Raises:
        ShapeError: When ``shape`` is larger than the image; :func:`center_pad` enlarges.
    """
    if any(new > old for old, new in zip(image.shape[-2:], shape, strict=True)):
        raise ShapeError(f"cannot crop an image of {tuple(image.shape[-2:])} to the larger {shape}")
    return center_fit(image, shape)


def center_pad(image: Shaped[Tensor, "*b h w"], shape: Shape) -> Shaped[Tensor, "*b y x"]:
    """Surround the last two axes with zeros up to ``shape``.

    Raises:
        ShapeError: When ``shape`` is smaller than the image; :func:`center_crop` cuts.
    """
    if any(new < old for old, new in zip(image.shape[-2:], shape, strict=True)):
        raise ShapeError(f"cannot pad an image of {tuple(image.shape[-2:])} to the smaller {shape}")
    return center_fit(image, shape)


def center_fit(x: Shaped[Tensor, "..."], shape: Sequence[int]) -> Shaped[Tensor, "..."]:
    """Crop or zero-pad each of the last ``len(shape)`` axes, keeping the centre at ``n // 2``."""
    first = x.ndim - len(shape)
    for axis, new in enumerate(shape, start=first):
        old = x.shape[axis]
        shift = new // 2 - old // 2
        x = x.narrow(axis, max(0, -shift), min(old, new - shift) - max(0, -shift))
        if new > old:
            padded = x.new_zeros((*x.shape[:axis], new, *x.shape[axis + 1 :]))
            padded.narrow(axis, shift, old).copy_(x)
            x = padded
    return x


def interpolate(image: Complex[Tensor, "*b h w"], shape: Shape) -> Complex[Tensor, "*b y x"]:
    """Resample the same field of view to ``shape`` pixels by cropping or zero-filling k-space.

    Intensities are kept: a constant image keeps its value.
    """
    h, w = image.shape[-2:]
    if (h, w) == tuple(shape):
        return image
    gain = (shape[0] * shape[1] / (h * w)) ** 0.5
    return ifft(center_fit(fft(image), shape)) * gain


def averaged_inside(variance: Float[Tensor, "*b y x"], window: int) -> Float[Tensor, "*b y x"]:
    """Average over neighbouring pixels, but not over the edge of what is zero.

    Args:
        variance: Values of at least zero, zero where there is no object, say for lack of maps.
        window: Odd number of pixels along both axes.
    """
    inside = (variance > 0).to(variance.dtype)
    total, count = (
        torch.nn.functional.avg_pool2d(
            values.reshape(-1, 1, *values.shape[-2:]), window, stride=1, padding=window // 2
        ).reshape(values.shape)
        for values in (variance, inside)
    )
    return torch.where(inside > 0, total / count.clamp_min(1e-6), 0.0)
