import pytest
import torch

from mrirecon.sensitivity import Espirit, SigpyEspirit
from mrirecon.sensitivity.eigenmaps import dirichlet, interpolation_weights
from mrirecon.sensitivity.subspace import _noise_values, calibration_matrix, noise_singular_value
from tests.scenes import scan
from tests.sensitivity.scene import angles, batch, scene
from tests.sensitivity.test_espirit import exact_maps


@pytest.mark.parametrize("shape", [(150, 131), (125, 160)])
def test_interpolated_maps_agree_with_the_definition_in_float64(shape):
    sample, _, body = scene(shape, noise=0.01, lines=24)
    maps, values = exact_maps(sample.kspace.numpy(), 6, 24, 0.02)
    ours, eigenvalue = Espirit(crop=0.0).estimate(sample)
    inside = body & torch.from_numpy(values > 0.95)
    wrong = angles(ours.to(maps.dtype), maps, inside)
    assert wrong.square().mean().sqrt() < 2e-3 and wrong.max() < 0.1
    assert (eigenvalue - torch.from_numpy(values))[inside].abs().max() < 1e-3


def test_spans_the_space_of_sigpys_maps_on_the_simulated_head():
    sample = scan(matrix=(128, 112), slices=1)[0].replace(acs=torch.tensor([24, 24]))
    ours, theirs = Espirit(crop=0.95)(sample), SigpyEspirit()(sample)
    both = (ours[0] != 0) & (theirs[0] != 0)
    assert ((ours[0] != 0) == (theirs[0] != 0)).float().mean() > 0.99
    assert angles(ours, theirs, both).square().mean().sqrt() < 5e-3


def test_same_maps_alone_and_in_a_batch_and_again():
    first, second = scene((150, 40))[0], scene((150, 40), seed=1, noise=0.01)[0]
    both = Espirit()(batch(first, second))
    assert torch.equal(both, Espirit()(batch(first, second)))
    torch.testing.assert_close(both[1], Espirit()(second), rtol=1e-4, atol=1e-4)


def test_scale_of_kspace_does_not_matter():
    sample, _, _ = scene()
    expected = Espirit()(sample)
    for scale in (1e-20, 1e15):
        maps = Espirit()(sample.replace(kspace=sample.kspace * scale))
        torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-3)


def folded():
    """The object is twice as wide as the field of view."""
    sample, _, _ = scene((64, 96), noise=1e-4, every=1)
    return sample.replace(
        kspace=sample.kspace[..., ::2].contiguous(),
        mask=sample.mask[..., ::2],
        acs=torch.tensor([64, 48]),
    )


def test_a_second_set_lives_where_the_object_folds_back():
    estimator = Espirit(sets=2)
    maps, values = estimator.estimate_sets(folded())
    assert maps.shape == (2, 4, 64, 48) and values.shape == (2, 64, 48)
    second = maps[1].abs().sum(0) > 0
    assert 0.02 < second.float().mean() < 0.9
    overlap = (maps[0].conj() * maps[1]).sum(0).abs()
    assert overlap.max() < 1e-3
    torch.testing.assert_close(estimator(folded()), maps[0])
    # without folding there is none
    plain = Espirit(sets=2).map_sets(scene()[0])
    assert (plain[1].abs().sum(0) > 0).float().mean() < 0.02


def test_more_sets_than_coils_are_zero():
    sample, _, _ = scene(coils=2)
    assert (Espirit(sets=3).map_sets(sample)[2] == 0).all()
    single, _, _ = scene(coils=1)
    assert (Espirit(sets=2).map_sets(single)[1] == 0).all()


def test_soft_crop_falls_off_and_keeps_the_inside():
    sample, _, body = scene(noise=0.002)
    hard, values = Espirit(crop=0.8).estimate(sample)
    soft = Espirit(crop=0.8, soft=True)(sample)
    norm = torch.linalg.vector_norm(soft, dim=0)
    assert norm.max() <= 1 + 1e-5
    assert norm[body].mean() > 0.97
    half = (values.sqrt() - 0.8).abs() < 0.02
    assert half.any() and (norm[half] - 0.5).abs().max() < 0.15
    assert angles(soft / norm.clamp_min(1e-6), hard, body & (hard[0] != 0)).max() < 1e-2


@pytest.mark.parametrize("sigma", [0.003, 0.03])
def test_automatic_threshold_finds_the_noise(sigma):
    # complex noise of variance one per sample has half of it in each real component
    sample, _, _ = scene((64, 56), coils=6, noise=sigma, lines=24)
    block = sample.kspace[None, :, 20:44, 16:40]
    A = calibration_matrix(block, 6)[0]
    singular = torch.linalg.svdvals(A).flip(0)[None]
    level = noise_singular_value(singular, block, 6)
    told = noise_singular_value(singular, block, 6, torch.tensor([sigma / 2**0.5]))
    assert 0.8 < float(level / told) < 1.25
    assert _noise_values(6, 24, 24, 6)[-1] > 0


def test_automatic_threshold_helps_clean_data_and_uses_what_the_sample_tells():
    sample, maps, body = scene(noise=0.002, lines=24)

    def error(estimator, sample):
        ours = estimator(sample)
        return angles(ours, maps, body & (ours[0] != 0)).square().mean().sqrt()

    assert error(Espirit(threshold=None), sample) < error(Espirit(), sample)
    told = sample.replace(noise=torch.tensor(0.002 / 2**0.5))
    assert error(Espirit(threshold=None), told) < error(Espirit(), sample)


def test_interpolation_is_exact_for_what_it_is_meant_for():
    weights = interpolation_weights(37, 37)
    assert torch.equal(weights, torch.eye(37))
    position = torch.arange(72) / 72 - 0.5
    fine = torch.arange(321) / 321 - 160 / 321
    wave = torch.sin(2 * torch.pi * 3 * position)
    expected = torch.sin(2 * torch.pi * 3 * fine)
    assert (interpolation_weights(321, 72) @ wave - expected).abs().max() < 1e-3
    nodes = torch.arange(11) / 11
    polynomial = torch.cos(2 * torch.pi * 5 * nodes + 0.3)
    expected = torch.cos(2 * torch.pi * 5 * fine + 0.3)
    assert (dirichlet(321, 11) @ polynomial - expected).abs().max() < 1e-5


def test_sets_must_be_positive():
    with pytest.raises(ValueError, match="sets must be at least 1, got 0"):
        Espirit(sets=0)
