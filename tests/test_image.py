import numpy as np
import pytest
import torch

from mrirecon.errors import ShapeError
from mrirecon.image import (
    center_crop,
    center_fit,
    center_pad,
    interpolate,
    root_sum_of_squares,
    squared_magnitude,
)


@pytest.mark.parametrize("old", [6, 7])
@pytest.mark.parametrize("new", [3, 4, 9, 10])
def test_fit_keeps_the_centre(old, new):
    x = torch.zeros(2, old, old)
    x[:, old // 2, old // 2] = 1
    y = center_fit(x, (new, new))
    assert y.shape == (2, new, new) and y[:, new // 2, new // 2].tolist() == [1, 1] and y.sum() == 2


def test_crop_and_pad_refuse_the_wrong_direction():
    x = torch.zeros(6, 6)
    with pytest.raises(ShapeError, match="larger"):
        center_crop(x, (4, 7))
    with pytest.raises(ShapeError, match="smaller"):
        center_pad(x, (4, 7))
    torch.testing.assert_close(center_crop(center_pad(x + 1, (9, 8)), (6, 6)), x + 1)


@pytest.mark.parametrize("shape", [(16, 12), (9, 15), (16, 9)])
def test_interpolation_keeps_values_and_places(shape):
    h, w = 12, 10

    def wave(n, m):  # a band-limited object, known between the pixels too
        y, x = (torch.arange(n) - n // 2) / n, (torch.arange(m) - m // 2) / m
        return (2 + torch.cos(2 * np.pi * y)[:, None] + torch.sin(4 * np.pi * x)[None]) + 0j

    torch.testing.assert_close(interpolate(wave(h, w), shape), wave(*shape), rtol=1e-5, atol=1e-5)


def test_root_sum_of_squares_has_a_gradient_in_empty_slices():
    x = torch.zeros(2, 3, 4, 4, dtype=torch.complex64, requires_grad=True)
    root_sum_of_squares(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("axes", [(), (-3,), (-2, -1), (-4, -1)])
def test_squared_magnitudes_and_their_sums(axes):
    x = torch.randn(2, 3, 4, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    expected = (np.abs(x.numpy()) ** 2).sum(axes) if axes else np.abs(x.numpy()) ** 2
    np.testing.assert_allclose(squared_magnitude(x, axes).numpy(), expected, rtol=1e-12)
    x.requires_grad_()
    squared_magnitude(x, axes).sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())
