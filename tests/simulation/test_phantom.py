import numpy as np
import pytest
import torch

from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.simulation.phantom import Ellipse, EllipsePhantom, head_phantom

SHAPES = [(32, 32), (33, 32), (32, 35), (31, 33)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("coils", [1, 3])
def test_closed_form_kspace_agrees_with_a_fine_rasterisation(shape, coils):
    phantom = head_phantom(coils)
    fine = tuple(16 * n + n % 2 for n in shape)  # keeps the parity
    image = phantom.maps(fine) * phantom.image(fine)
    gain = np.sqrt(shape[0] * shape[1] / (fine[0] * fine[1]))
    rasterised = center_fit(fft(image), shape) * gain
    kspace = phantom.kspace(shape)
    assert kspace.shape == (coils, *shape)
    error = torch.linalg.vector_norm(kspace - rasterised) / torch.linalg.vector_norm(kspace)
    # pixels of 1/16 misplace borders by about 1/50 pixel; a shift of one pixel would give 0.2
    assert error < 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_a_small_disc_appears_where_it_is(shape):
    fov = (64.0, 64.0)
    rows, columns = 5, -7  # pixels from the centre
    center = (rows * fov[0] / shape[0], columns * fov[1] / shape[1])
    phantom = EllipsePhantom((Ellipse(center, (1.5, 1.5), 1.0),), fov)
    image = ifft(phantom.kspace(shape))[0].abs()
    place = np.unravel_index(int(image.argmax()), shape)
    assert place == (shape[0] // 2 + rows, shape[1] // 2 + columns)


def test_reconstructed_values_are_the_intensities():
    phantom = EllipsePhantom((Ellipse((10.0, 5.0), (70.0, 50.0), 2.0 - 1.0j, 20.0),))
    image = ifft(phantom.kspace((96, 128)))[0]
    # Gibbs ringing has decayed to a percent far from the border
    assert abs(complex(image[48 + 4, 64 + 3]) - (2 - 1j)) < 0.03
    assert image[0, 0].abs() < 0.03


def test_kspace_at_zero_is_the_area():
    ellipse = Ellipse((3.0, -4.0), (20.0, 10.0), 1.5, 33.0)
    value = ellipse.kspace(np.zeros((1, 2)))[0]
    assert value == pytest.approx(1.5 * np.pi * 200.0)
    near = ellipse.kspace(np.full((1, 2), 1e-7))[0]
    assert near == pytest.approx(value, rel=1e-4)


def test_rotation_turns_h_towards_w():
    long = Ellipse((0.0, 0.0), (20.0, 5.0), 1.0, 45.0)
    inside = long.contains(np.array([[12.0, 12.0], [12.0, -12.0]]))
    assert inside.tolist() == [True, False]
    k = np.array([[0.02, 0.02], [0.02, -0.02]])  # long in space, narrow in k-space
    along, across = np.abs(long.kspace(k))
    assert along < across


def test_kspace_can_be_sampled_off_the_grid():
    phantom = head_phantom(2)
    k = np.random.default_rng(0).uniform(-0.05, 0.05, (7, 3, 2))
    assert phantom.transform(k).shape == (2, 7, 3)
