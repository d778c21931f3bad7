import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError
from mrirecon.simulation.coil_array import (
    CoilArray,
    head_array,
    loop_field,
    torso_array,
)
from mrirecon.simulation.receiver_noise import (
    apply_channels,
    coloring,
    random_covariance,
    white_noise,
    whitening,
)


def test_field_on_the_axis_of_a_loop():
    radius, z = 50.0, np.array([-70.0, 0.0, 30.0, 200.0])
    array = CoilArray(np.zeros((1, 3)), np.array([[0.0, 0.0, 1.0]]), np.array([radius]))
    points = np.stack([0 * z, 0 * z, z], axis=-1)
    field = array.field(points)[0]
    expected = 4e-7 * np.pi / 2 * (radius * 1e-3) ** 2 / np.hypot(radius, z) ** 3 * 1e9 * 1e6
    np.testing.assert_allclose(field[:, 2], expected, rtol=1e-6)
    np.testing.assert_allclose(field[:, :2], 0, atol=1e-6 * expected.max())


def test_field_equals_the_sum_of_straight_segments():
    # any orientation and position; 2000 segments approximate a circle to (pi/2000)^2 ~ 2e-6
    normal = np.array([0.48, 0.6, 0.64])
    center, radius = np.array([10.0, -30.0, 20.0]), 40.0
    u = np.cross(normal, [0.0, 0.0, 1.0])
    u /= np.linalg.norm(u)
    v = np.cross(normal, u)
    angle = np.linspace(0, 2 * np.pi, 2001)
    wire = center + radius * (np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v)
    step, middle = np.diff(wire, axis=0), (wire[1:] + wire[:-1]) / 2
    points = np.array([[60.0, 20.0, -10.0], [5.0, -25.0, 40.0], [-80.0, 70.0, 0.0]])
    r = points[:, None] - middle
    segments = np.cross(step, r) / np.linalg.norm(r, axis=-1, keepdims=True) ** 3
    expected = 100.0 * segments.sum(axis=1)  # mu_0 / 4 pi = 100 uT mm / A
    array = CoilArray(center[None], normal[None], np.array([radius]))
    np.testing.assert_allclose(array.field(points)[0], expected, rtol=1e-4)
    sensitivity = array.sensitivity(points)[0]
    np.testing.assert_allclose(sensitivity, expected[:, 0] - 1j * expected[:, 1], rtol=1e-4)


def test_field_stays_finite_at_the_conductor():
    field = loop_field(np.array([50.0]), np.array([50.0]), np.array([0.0]))
    assert np.isfinite(field).all()


@pytest.mark.parametrize("coils", [1, 2, 8, 15, 32])
def test_array_surrounds_the_head_and_faces_it(coils):
    array = head_array(coils, np.random.default_rng(0))
    assert len(array) == coils
    assert np.linalg.norm(array.centers, axis=1).min() > 100  # outside the 95 mm head
    facing = -(array.normals * array.centers).sum(axis=1)
    assert (facing > 0.9 * np.linalg.norm(array.centers, axis=1)).all()
    sensitivity = np.abs(array.sensitivity(np.array([[0.0, 0.0, 0.0], [70.0, 0.0, 0.0]])))
    assert sensitivity[:, 0].min() > 0
    if coils >= 8:  # one element lies close to the left temple
        assert sensitivity[:, 1].max() > 2 * sensitivity[:, 0].max()


@pytest.mark.parametrize("coils", [1, 4, 6, 16, 32])
def test_array_surrounds_the_torso_and_faces_it(coils):
    array = torso_array(coils, np.random.default_rng(0))
    offset = array.centers - np.array([-45.0, 35.0, 0.0])
    assert len(array) == coils
    assert np.hypot(offset[:, 0] / 165, offset[:, 1] / 120).min() > 1  # outside the torso
    outward = offset * (1, 1, 0)
    facing = -(array.normals * outward).sum(axis=1)
    assert (facing > 0.9 * np.linalg.norm(outward, axis=1)).all()
    heart = np.abs(array.sensitivity(np.zeros((1, 3))))
    assert heart.min() > 0


@pytest.mark.parametrize("coils", [0, 33])
@pytest.mark.parametrize("array", [head_array, torso_array])
def test_impossible_arrays_are_refused(array, coils):
    with pytest.raises(ConfigError, match="1 to 32"):
        array(coils)


def test_covariance_is_positive_definite_and_neighbours_correlate():
    centers = head_array(8).centers
    covariance = random_covariance(centers, np.random.default_rng(1))
    np.testing.assert_array_equal(covariance, covariance.conj().T)
    assert np.linalg.eigvalsh(covariance).min() > 0
    deviation = np.sqrt(np.diag(covariance).real)
    correlation = np.abs(covariance / np.outer(deviation, deviation))
    assert 0.05 < correlation[0, 1] < 0.5
    assert correlation[0, 1] > 2 * correlation[0, 4]  # the element on the other side
    assert np.abs(covariance.imag).max() > 0.05 * np.abs(covariance).max() * 0.5


def test_colored_noise_has_the_covariance_and_whitening_undoes_it():
    samples = 40000
    covariance = random_covariance(head_array(6).centers, np.random.default_rng(2))
    white = torch.from_numpy(white_noise((6, 1, samples), np.random.default_rng(3)))
    raw = apply_channels(coloring(covariance), white)[:, 0].numpy()
    scale = np.abs(covariance).max()
    # entries of a sample covariance deviate by about 1/sqrt(40000) = 0.005 of the diagonal
    np.testing.assert_allclose(raw @ raw.conj().T / samples, covariance, atol=0.025 * scale)
    again = apply_channels(whitening(covariance), torch.from_numpy(raw)[:, None])[:, 0]
    assert torch.allclose(again, white[:, 0], atol=1e-4)
    # the standard deviation of 40000 numbers is known to 1/sqrt(80000) = 0.0035
    np.testing.assert_allclose(again.real.std(-1), 1, atol=0.02)
    np.testing.assert_allclose(again.imag.std(-1), 1, atol=0.02)
