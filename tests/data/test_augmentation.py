import dataclasses
import math

import pytest
import torch
from scipy.ndimage import affine_transform

from mrirecon.data.augmentation import NOISE_GAIN, Augment, Movement
from mrirecon.data.batches import Batch, Batches
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.transforms import Compose, RssTarget, Undersample
from mrirecon.epoch import training_epoch
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_crop, root_sum_of_squares
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.sampling import RandomLines
from mrirecon.sensitivity import GivenMaps
from mrirecon.types import Sample
from tests import scenes

TURNED = torch.tensor([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])
PIXELWISE = [Movement((-2,)), Movement((-1,)), Movement((-2, -1), 2), Movement(shift=(3, -5))]
AUGMENT = Augment(epochs=10)


def full(matrix=(40, 36), snr=30.0, **changes) -> Sample:
    return scenes.scan(matrix=matrix, snr=snr, with_maps=True)[0].replace(**changes)


def close(a, b, tolerance=1e-4):
    return (a - b).abs().max() < tolerance * b.abs().max()


@pytest.mark.parametrize("movement", [*PIXELWISE, Movement(turns=1)])
def test_moving_pixels_commutes_with_reconstruction(movement):
    sample = full((40, 40) if movement.turns % 2 else (40, 36), noise=torch.ones(()))
    moved = AUGMENT.moved(sample, movement)
    model = CgSense(GivenMaps(), regularization=0.01, iterations=10)
    assert close(model(moved), movement(model(sample)), 1e-3)
    assert close(root_sum_of_squares(ifft(moved.kspace)),
                 movement(root_sum_of_squares(ifft(sample.kspace))))  # fmt: skip
    assert moved.target.equal(movement(sample.target)) and moved.noise.equal(sample.noise)
    with_rss = RssTarget()(AUGMENT.moved(sample.replace(target=None), movement))
    assert close(with_rss.target, movement(RssTarget()(sample.replace(target=None)).target))


def test_movements_go_where_they_say():
    image = torch.zeros(1, 9, 9)
    image[0, 2, 3] = 1

    def found(movement):
        return divmod(int(movement(image)[0].argmax()), 9)

    assert found(Movement((-2,))) == (6, 3) and found(Movement((-1,))) == (2, 5)
    assert found(Movement(shift=(1, -4))) == (3, 8) and found(Movement(turns=2)) == (6, 5)
    assert found(Movement(matrix=torch.tensor([[0.0, -1.0], [1.0, 0.0]]))) == (5, 2)
    assert found(Movement(matrix=0.5 * torch.eye(2))) == (0, 2)


@pytest.mark.parametrize("shape", [(40, 36), (31, 44)])
def test_interpolation_is_that_of_scipy(shape):
    h, w = shape
    y, x = torch.meshgrid(torch.arange(h) - h / 2, torch.arange(w) - w / 2, indexing="ij")
    smooth = torch.exp(-((x - 4) ** 2 + (y + 3) ** 2 + 0.5 * x * y) / 60)[None]
    matrix = TURNED @ torch.tensor([[1.2, 0.2], [0.0, 0.9]])
    swapped = matrix.flip(0, 1).numpy()  # scipy counts rows first
    middle = torch.tensor([(h - 1) / 2, (w - 1) / 2]).numpy()
    expected = affine_transform(
        smooth[0].numpy(), swapped, middle - swapped @ middle, mode="reflect"
    )
    assert (Movement(matrix=matrix)(smooth)[0] - torch.from_numpy(expected)).abs().max() < 0.02
    twice = Movement(matrix=matrix)(torch.complex(smooth, 2 * smooth))
    assert twice.imag.equal(2 * twice.real)


def test_image_maps_and_reference_move_together():
    sample = full(snr=1e5)
    image = (sample.maps.conj() * ifft(sample.kspace)).sum(-3)
    sample = sample.replace(kspace=fft(sample.maps * image), target=image.abs())
    for movement, tolerance in (
        (Movement((-1,), 0, (2, 1)), 1e-5),
        (Movement((-1,), 0, (2, 1), TURNED), 0.05),
    ):
        moved = AUGMENT.moved(sample, movement)
        images = ifft(moved.kspace)
        combined = (moved.maps.conj() * images).sum(-3)
        error, size = (moved.maps * combined[None] - images).norm(), images.norm()
        assert error < 0.5 * tolerance * size  # S x = coil images
        norm = root_sum_of_squares(moved.maps)
        assert (norm[norm > 0] - 1).abs().max() < 1e-5
        assert (combined.abs() - moved.target).norm() < tolerance * moved.target.norm()
    exact = Augment(10, target="rss").moved(sample, Movement(matrix=TURNED))
    assert exact.target.equal(root_sum_of_squares(ifft(exact.kspace)))
    near = sample.map(lambda x: x[None]).replace(key=())
    both = AUGMENT.moved(sample.replace(neighbors=near), Movement(matrix=TURNED)).neighbors
    alone = AUGMENT.moved(sample, Movement(matrix=TURNED))
    assert torch.allclose(both.kspace[0], alone.kspace, atol=1e-4)
    assert torch.allclose(both.target[0], alone.target, atol=1e-4)


def test_the_peak_is_that_of_the_volume_and_of_the_moved_reference():
    image = torch.full((1, 40, 36), 1.0 + 0j)
    image[:, :4] = 5.0  # bright, and outside of the reference
    sample = Sample(
        fft(image), torch.ones(1, 36, dtype=torch.bool),
        target=center_crop(image[0].abs(), (30, 30)), peak=torch.tensor(2.0),
    )  # fmt: skip
    moves = Augment(10, target="rss").moved
    assert moves(sample, Movement((-1,), shift=(0, 3))).peak.item() == 2.0  # another slice has it
    shown = moves(sample, Movement(shift=(4, 0)))
    assert shown.peak.item() == shown.target.max().item() == pytest.approx(5.0, rel=1e-4)
    assert moves(sample.replace(peak=None), Movement(shift=(4, 0))).peak is None
    assert moves(sample.replace(target=None), Movement(shift=(4, 0))).peak.item() == 2.0


def test_the_scanner_stays_the_same():
    sample = full()
    mask = torch.ones(1, 36, dtype=torch.bool)
    mask[:, :5] = False  # zero padding
    padded = sample.replace(kspace=sample.kspace * mask, mask=mask, target=None)
    moved = AUGMENT.moved(padded, Movement((-1,), matrix=TURNED))
    assert moved.mask.equal(mask) and not moved.kspace[..., :5].any()


def test_noise_is_what_the_sample_says():
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(8, 64, 60, dtype=torch.complex64, generator=g) * 2**0.5 * 3
    sample = Sample(fft(noise), torch.ones(1, 60, dtype=torch.bool), noise=torch.tensor(3.0))
    for movement in (*PIXELWISE, Movement(matrix=TURNED)):
        moved = AUGMENT.moved(sample, movement)
        assert moved.kspace.real.std() == pytest.approx(moved.noise.item(), rel=0.03)
    assert moved.noise.item() == pytest.approx(3 * NOISE_GAIN)


def test_the_probability_follows_the_paper():
    assert AUGMENT.probability(0) == 0 and AUGMENT.probability(10) == pytest.approx(0.55)
    expected = 0.55 / (1 - math.exp(-5)) * (1 - math.exp(-5 * 3 / 10))
    assert AUGMENT.probability(3) == pytest.approx(expected)
    torch.manual_seed(0)
    drawn = [AUGMENT._draw(0.3, 40, 40) for _ in range(600)]
    for count in (
        sum(-2 in d.flips for d in drawn), sum(-1 in d.flips for d in drawn),
        sum(d.turns > 0 for d in drawn), sum(d.shift != (0, 0) for d in drawn),
    ):  # fmt: skip
        assert 130 < count < 230
    assert 0.55 < sum(d.matrix is not None for d in drawn) / 600 < 0.75  # 1 - 0.7^3
    assert max(abs(d.shift[0]) for d in drawn) == 5
    assert {AUGMENT._draw(1.0, 40, 36).turns for _ in range(9)} == {2}  # keeps the grid
    gentle = Augment(10, rotation=0, shear=0, scaling=0.2)
    sizes = [float(gentle._draw(1.0, 40, 40).matrix[0, 0]) for _ in range(200)]
    assert 1 / 1.2 <= min(sizes) < 0.85 and 1.2 < max(sizes) <= 1.25


def test_draws_follow_seed_epoch_and_slice_and_nothing_moves_outside_of_training():
    transform = Compose([Augment(3, strength=1.0), Undersample(RandomLines(2, acs=8), "random")])
    scan = scenes.scan(with_maps=True)
    batches = Batches(SliceDataset([scan], transform))
    first = batches[Batch((0, 1), 5, 2)]
    torch.manual_seed(1)
    again = batches[Batch((1,), 5, 2)]
    assert again.kspace[0].equal(first.kspace[1]) and again.target[0].equal(first.target[1])
    assert not batches[Batch((1,), 5, 1)].target[0].equal(first.target[1])
    assert batches[Batch((0,), 5, 0)].target[0].equal(scan[0].target)  # p(0) = 0
    for untouched in (batches[Batch((1,))].target[0], transform(scan[1]).target):
        assert untouched.equal(scan[1].target)


def test_what_cannot_be_moved_is_refused():
    sample = full()
    cropped = sample.replace(target=center_crop(sample.target, (30, 30)))
    for wrong, reason in (
        (scenes.undersampled(scenes.scan()), "is undersampled, so its images cannot be moved"),
        (sample.map(lambda x: x[None]), "belongs before batching"),
        (sample.replace(weights=torch.ones(1, 36)), "brings weights"),
        (sample.replace(calibration=sample.kspace), "brings calibration"),
        (cropped, r"shows \(30, 30\) pixels of \(40, 36\) .* set target=rss"),
    ):
        with pytest.raises(ConfigError, match=reason):
            AUGMENT(wrong)
    with training_epoch(9):
        moved = Augment(10, strength=1.0, target="rss")(cropped)
    assert moved.target.equal(center_crop(root_sum_of_squares(ifft(moved.kspace)), (30, 30)))
    for options in ({"strength": 1.5}, {"shear": 45.0}, {"scaling": 1.0}, {"growth": 0.0}):
        with pytest.raises(ValueError, match="must lie in"):
            dataclasses.replace(AUGMENT, **options)
