import math

import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.operators import (
    Coils,
    adjoint_image,
    areas,
    cartesian_kspace,
    central_kspace,
    coil_images,
    coil_samples,
    data_weights,
    noise_variance,
    penalty_share,
    sense_normal,
    with_areas,
)
from mrirecon.operators.gridding import transposed
from mrirecon.sampling import cells
from mrirecon.types import Sample
from tests import trajectories
from tests.operators import adjointness

KINDS = {
    "spokes": trajectories.spokes(20),
    "many spokes": trajectories.spokes(60),
    "golden spokes": trajectories.spokes(15, golden=True),
    "spiral arms": trajectories.arms(8),
    "few arms": trajectories.arms(3),
    "one spoke": trajectories.spokes(1),
    "random": torch.rand(40, 30, 2, generator=torch.Generator().manual_seed(0)) * 32 - 16,
    "the same place": torch.zeros(9, 2, 2) + 3.2,
}


def complex_randn(*shape):
    return adjointness.complex_randn(*shape).to(torch.complex64)


GRID = {"even": (32, 32), "odd": (31, 33)}


def on_the_grid(matrix=(12, 15)):
    """The same slice as Cartesian k-space, and along a trajectory of the same places."""
    h, w = matrix
    rows, columns = (torch.arange(n).float() - n // 2 for n in matrix)
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)
    mask = torch.rand(1, w, generator=torch.Generator().manual_seed(1)) < 0.6
    kspace = complex_randn(3, h, w) * mask
    return (
        Sample(kspace, mask),
        Sample(kspace, mask, trajectory=places, image_grid=matrix),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_norm_of_the_data_term_is_at_most_one(kind):
    trajectory = KINDS[kind]
    sample = trajectories.sampled(trajectory)
    A = sense_normal(sample, sample.maps)
    x = complex_randn(32, 32)
    for _ in range(25):
        x = A(x)
        norm = float(torch.linalg.vector_norm(x))
        x = x / norm
    assert 0.2 < norm <= 1


@pytest.mark.parametrize("size", GRID.values(), ids=GRID)
def test_normal_operator_is_that_of_the_samples(size):
    sample = trajectories.sampled(trajectories.spokes(11, 30), size)
    x = complex_randn(2, *size)
    batch = collate([sample, sample.replace(trajectory=sample.trajectory.flip(1))])
    A = sense_normal(batch, batch.maps)
    weighted = coil_samples(batch, Coils(batch.maps)(x)) * data_weights(batch).unsqueeze(-3)
    expected = Coils(batch.maps).adjoint(transposed(batch, weighted))
    torch.testing.assert_close(A(x), expected, rtol=1e-4, atol=2e-5)
    right = adjoint_image(batch, batch.maps)
    expected = Coils(batch.maps).adjoint(
        transposed(batch, batch.kspace * data_weights(batch).unsqueeze(-3))
    )
    torch.testing.assert_close(right, expected)


def test_gradient_of_the_normal_operator_reaches_image_and_maps():
    sample = trajectories.sampled(trajectories.spokes(7, 16), (16, 16))
    x = complex_randn(16, 16).requires_grad_()
    maps = sample.maps.clone().requires_grad_()
    y = complex_randn(16, 16)
    (sense_normal(sample, maps)(x) * y.conj()).real.sum().backward()
    again, same = x.detach().requires_grad_(), sample.maps.clone().requires_grad_()
    weighted = coil_samples(sample, same * again) * data_weights(sample)
    product = (same.conj() * transposed(sample, weighted)).sum(-3)
    (product * y.conj()).real.sum().backward()
    torch.testing.assert_close(x.grad, again.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(maps.grad, same.grad, rtol=1e-3, atol=1e-4)


def test_places_of_the_grid_give_the_same_images_and_samples():
    plain, along = on_the_grid()
    close = {"rtol": 2e-3, "atol": 1e-3}  # areas are only known to a thousandth
    torch.testing.assert_close(coil_images(along), coil_images(plain), **close)
    torch.testing.assert_close(cartesian_kspace(along), plain.kspace, **close)
    centers = [central_kspace(one, (6, 7)) for one in (along, plain)]
    torch.testing.assert_close(*centers, **close)
    images = complex_randn(3, 12, 15)
    samples = [coil_samples(one, images) for one in (along, plain)]
    torch.testing.assert_close(*samples, rtol=1e-4, atol=1e-4)
    assert cells(along).equal(plain.mask.expand(12, 15))
    kept = areas(along)[:, plain.mask[0]]
    torch.testing.assert_close(kept, torch.ones_like(kept), rtol=0, atol=2e-3)
    assert not areas(along)[:, ~plain.mask[0]].any()


def test_areas_add_up_to_the_cells_that_were_measured():
    well = trajectories.sampled(trajectories.spokes(100))
    disc = math.pi * 16**2
    assert 0.9 < float(areas(well).sum()) / disc < 1.05
    few = trajectories.sampled(trajectories.spokes(4))
    assert float(areas(few).sum()) < 0.2 * disc
    assert float(areas(few).min()) > 0 and float(areas(few).max()) <= 1
    twice = well.replace(
        kspace=well.kspace.repeat(1, 1, 2), mask=well.mask.repeat(1, 2),
        trajectory=well.trajectory.repeat(1, 2, 1),
    )  # fmt: skip
    torch.testing.assert_close(areas(twice)[:, :100], areas(well) / 2, rtol=1e-2, atol=1e-3)


def test_samples_that_were_not_measured_leave_their_cells_to_others():
    sample = trajectories.sampled(trajectories.spokes(40))
    half = torch.arange(40) % 2 == 0
    kept = sample.replace(mask=half[None], kspace=sample.kspace * half)
    alone = trajectories.sampled(trajectories.spokes(20))
    torch.testing.assert_close(areas(kept)[:, ::2], areas(alone))
    assert not areas(kept)[:, 1::2].any()
    torch.testing.assert_close(coil_images(kept), coil_images(alone), rtol=1e-3, atol=1e-4)


def test_gridding_of_well_sampled_spokes_is_nearly_the_image():
    sample = trajectories.sampled(trajectories.spokes(100))
    image = (sample.maps.conj() * coil_images(sample)).sum(-3).abs()
    error = torch.linalg.vector_norm(image - sample.target) / torch.linalg.vector_norm(
        sample.target
    )
    assert error < 0.15  # the corners of k-space were not measured


def test_stored_areas_are_taken_and_survive_a_batch():
    sample = with_areas(trajectories.sampled(trajectories.spokes(9)))
    changed = sample.replace(areas=sample.areas / 2)
    torch.testing.assert_close(areas(changed), areas(sample) / 2)
    both = collate([sample, changed])
    torch.testing.assert_close(areas(both), torch.stack([areas(sample), areas(changed)]))


def test_noise_of_the_adjoint_image_is_what_the_variance_tells():
    sample = trajectories.sampled(trajectories.spokes(30), snr=100.0)
    std = torch.tensor(0.7)
    noisy = sample.replace(maps=None, kspace=2**0.5 * std * complex_randn(200, 64, 30))
    images = transposed(noisy, noisy.kspace * data_weights(noisy))
    measured = torch.view_as_real(images).square().mean()
    density = data_weights(noisy).sum() / (32 * 32)
    expected = noise_variance(noisy, std)[0, 0] * density
    assert abs(float(measured / expected) - 1) < 0.03
    assert penalty_share(noisy) == 0.5


def test_central_kspace_is_the_centre_of_gridded_kspace():
    sample = trajectories.sampled(trajectories.spokes(60))
    truth = fft(ifft(central_kspace(sample, (12, 12))))
    whole = center_fit(cartesian_kspace(sample), (12, 12))
    inner = slice(2, 10)
    error = truth[:, inner, inner] - whole[:, inner, inner]
    assert torch.linalg.vector_norm(error) < 0.05 * torch.linalg.vector_norm(whole)


def test_a_centre_without_samples_is_zero():
    sample = trajectories.sampled(trajectories.spokes(6))
    far = sample.replace(trajectory=torch.full_like(sample.trajectory, 15.0))
    assert not central_kspace(far, (8, 8)).any()
    nothing = sample.replace(mask=torch.zeros(1, 6, dtype=torch.bool))
    assert not areas(nothing).any() and not coil_images(nothing).any()
