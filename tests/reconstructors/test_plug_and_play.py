"""Methods with a denoiser that is told the level of the noise."""

import pytest
import torch
from torch import nn

from mrirecon.config import build
from mrirecon.data import CombinedTarget, Compose, Normalize, RssTarget, Undersample
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.networks import NoiseLevelUnet
from mrirecon.operators import adjoint_image
from mrirecon.reconstructors import CgSense, HqsNet, PlugAndPlay, Reconstructor
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.denoising import MODEL_ERROR, error_level, kept_samples
from mrirecon.reconstructors.parts.noise_schedule import (
    FIRST,
    PRIOR,
    NoiseSchedule,
    falling_levels,
)
from mrirecon.reconstructors.parts.turns import moved, moved_back, turned, turned_back
from mrirecon.sampling import EquispacedLines, PoissonDisc
from mrirecon.sensitivity import Espirit, GivenMaps, PhasedMaps
from mrirecon.training import Denoising, Supervised
from tests import scenes
from tests.test_config import composed

SPLITTINGS = ["hqs", "admm", "red"]


class Smoothing(nn.Module):
    """A denoiser that everything is known about: a mean over neighbours, whatever the level."""

    images = 1

    def forward(self, images, level):  # noqa: ARG002
        x = images[:, 0]
        around = sum(x.roll(shift, axis) for shift in (-1, 1) for axis in (-2, -1))
        return 0.6 * x + 0.1 * around


def small(images: int = 1) -> NoiseLevelUnet:
    torch.manual_seed(0)
    return NoiseLevelUnet((8, 12), 1, images=images)


METHODS = [
    *(PlugAndPlay(GivenMaps(), small(), splitting=name, iterations=3) for name in SPLITTINGS),
    HqsNet(GivenMaps(), small(2), iterations=3),
]


@pytest.mark.parametrize("method", METHODS)
def test_batches_units_and_empty_slices(method):
    sample = scenes.batch()
    with torch.no_grad():
        together = method(sample)
        alone = method(sample.map(lambda x: x[1:]).replace(key=sample.key[1:]))
        louder = method(sample.divided(torch.tensor(1e-3)))
        nothing = method(scenes.empty(sample))
    scale = together.abs().max()
    assert together.isfinite().all()
    assert (together[1:] - alone).abs().max() < 1e-4 * scale
    assert (louder / 1e3 - together).abs().max() < 1e-3 * scale
    assert nothing.abs().max() == 0


@pytest.mark.parametrize("method", [METHODS[0], *METHODS[2:]])
def test_the_error_vanishes_with_the_noise_and_the_undersampling(method):
    """Whatever the weights are: the bound of the denoiser and the data see to it.

    The multiplier of ADMM gathers what an untrained denoiser does to the image.
    """
    scan = scenes.scan(with_maps=True, slices=1)
    clean = scan.noise_free(0)
    whole = scan[0].replace(noise=torch.tensor(0.0))
    truth = adjoint_image(whole.replace(kspace=clean), whole.maps)
    consistent = fft(truth * whole.maps)  # what the maps can explain
    with torch.no_grad():
        found = method(whole.replace(kspace=consistent))
    assert (found - truth).norm() < 8 * MODEL_ERROR * truth.abs().max() * truth.numel() ** 0.5
    assert (found - truth).norm() < 0.01 * truth.norm()


def test_red_ends_where_its_gradient_vanishes():
    sample = scenes.batch()
    method = PlugAndPlay(GivenMaps(), splitting="red", iterations=300, weight=0.5)
    method.denoiser = Smoothing()
    solution = method.solve(sample, trace=True)
    x = solution.x
    half = Smoothing()(x.unsqueeze(1), torch.ones(len(x)))
    reached = PlugAndPlay(GivenMaps(), splitting="red", iterations=301, weight=0.5)
    reached.denoiser = Smoothing()
    assert (reached(sample) - x).norm() < 1e-4 * x.norm()
    gradient = data_gradient(sample, x) + 0.5 * (x - half)
    assert gradient.norm() < 2e-3 * data_gradient(sample, torch.zeros_like(x)).norm()
    assert solution.objective is not None
    assert len(solution.objective) == solution.iterations.max() + 1


def test_admm_keeps_its_multiplier_as_the_weight_grows():
    """Against double precision with the multiplier itself, which no weight is divided out of."""
    method = PlugAndPlay(GivenMaps(), splitting="admm", iterations=6)
    method.denoiser = Smoothing()
    sample = scenes.batch(mask=torch.ones(2, 1, 36, dtype=torch.bool))
    solution = method.solve(sample)
    assert (solution.iterations == 6).all()
    data = DataTerm.of(sample, sample.maps)
    noise = error_level(data)[..., 0]
    levels = falling_levels(error_level(data), 6)
    weights = (PRIOR * (noise / levels).square()).double()[..., None, None]
    assert (weights[:, -1] > 4 * weights[:, 0]).all()
    adjoint, there = data.adjoint.to(torch.complex128), (sample.maps != 0).any(-3)
    x, multiplier = data.warm_start().to(torch.complex128), torch.zeros_like(adjoint)
    for weight in weights.unbind(1):
        z = Smoothing()((x + multiplier / weight).unsqueeze(1), None)
        multiplier = multiplier + weight * (x - z)
        x = (adjoint + weight * z - multiplier) / (there + weight)  # all is sampled
    found = solution.x / data.scale
    assert (found - x).abs().max() < 1e-4 * x.abs().max()


def data_gradient(sample, x):
    """The gradient of the data term in the units of the Sample."""
    coils = fft(x.unsqueeze(-3) * sample.maps) * sample.mask.unsqueeze(-3)
    return adjoint_image(sample.replace(kspace=coils - sample.kspace), sample.maps)


def test_plug_and_play_stops_when_the_image_changes_no_more():
    method = PlugAndPlay(GivenMaps(), splitting="red", iterations=300, weight=0.5)
    method.denoiser = Smoothing()
    solution = method.solve(scenes.batch())
    assert solution.converged.all()
    assert (solution.iterations < 300).all()


def test_levels_fall_from_the_aliasing_to_the_noise():
    noise, density = (torch.full((2, 1, 1), value) for value in (0.01, 0.25))
    with torch.no_grad():
        levels, weights = NoiseSchedule(5)(noise, density)
        noisy, _ = NoiseSchedule(5)(40 * noise, density)
    assert levels.shape == weights.shape == (2, 5)
    expected = [FIRST * (0.01 / FIRST) ** (k / 4) for k in range(5)]
    assert levels[0].tolist() == pytest.approx(expected)
    assert weights[0, -1].item() == pytest.approx(PRIOR)
    assert weights[0, 0].item() == pytest.approx(PRIOR * (0.01 / FIRST) ** 2)
    assert noisy[0].tolist() == pytest.approx([0.4] * 5)


def test_a_learned_schedule_stays_at_the_end_of_its_range():
    schedule = NoiseSchedule(3)
    density = torch.full((1, 1, 1), 0.2)
    with torch.no_grad():
        schedule.levels.normal_(std=0.1)
        schedule.weights.normal_(std=0.1)
        ratio = [schedule(torch.full((1, 1, 1), n), density)[0] / n for n in (0.5, 5.0)]
    assert ratio[0][0].tolist() == pytest.approx(ratio[1][0].tolist(), rel=1e-4)


def test_the_loss_of_a_denoiser_that_does_nothing_is_zero():
    """Errors have the level that the denoiser is told, whatever they are made of."""
    sample = scenes.batch(mask=torch.ones(2, 1, 36, dtype=torch.bool))
    method = PlugAndPlay(GivenMaps(), small())
    with torch.no_grad():
        method.denoiser.last.weight.zero_()
    for aliasing in (0.0, 1.0):
        objective = Denoising(levels=(0.001, 0.1), patch=64, aliasing=aliasing)
        assert objective(method, sample).item() == pytest.approx(0, abs=1e-4)


def test_denoising_trains_and_refuses_methods_without_a_denoiser():
    sample = scenes.batch(mask=torch.ones(2, 1, 36, dtype=torch.bool))
    method = PlugAndPlay(GivenMaps(), small())
    objective = Denoising(patch=32)
    rate = torch.optim.Adam(method.parameters(), 3e-3)
    losses = []
    for step in range(30):
        torch.manual_seed(step % 2)
        loss = objective(method, sample)
        rate.zero_grad()
        loss.backward()
        rate.step()
        losses.append(loss.item())
    assert sum(losses[-4:]) < sum(losses[:4]) - 0.4
    with pytest.raises(ConfigError, match="CgSense has no denoiser"):
        objective.check(CgSense(GivenMaps()), sample)


def test_the_loss_of_psnr_is_a_tenth_of_it():
    sample = scenes.batch()
    objective = Supervised(ssim=0, psnr=1)
    target = sample.target
    peak = target.amax((-2, -1), keepdim=True)
    found = objective.compare((target + 0.01 * peak).to(torch.complex64), sample.replace(peak=None))
    assert float(found) == pytest.approx(-4, abs=1e-3)  # 40 dB


def test_a_combined_target_holds_the_noise_and_no_background():
    scan = scenes.scan(with_maps=True, snr=20.0)
    sample = scan[0]
    found = CombinedTarget(GivenMaps())(sample).target
    assert torch.allclose(found, adjoint_image(sample, sample.maps).abs())
    cut = sample.replace(maps=torch.where(found > found.median(), sample.maps, 0))
    assert (CombinedTarget(GivenMaps())(cut).target == 0).float().mean() > 0.4
    with pytest.raises(ConfigError, match="is undersampled"):
        CombinedTarget(GivenMaps())(scenes.undersampled(scan))


@pytest.mark.parametrize("method", METHODS)
def test_coil_images_keep_every_measured_sample(method):
    with torch.no_grad():
        sample, _ = method.prepared(scenes.batch())
        image = method.combined(sample, sample.maps)
        kspace = fft(kept_samples(image, sample, sample.maps))
        method.combine_by("rss")
        found = method(sample)
        method.combine_by("kept")
        kept = method(sample)
        method.combine_by("sense")
        assert torch.equal(method(sample), image)
    missing = ~sample.mask.unsqueeze(-3).expand_as(kspace)
    expected = torch.where(missing, fft(sample.maps * image.unsqueeze(-3)), sample.kspace)
    assert (kspace - expected).abs().max() < 1e-5 * kspace.abs().max()
    norm = torch.view_as_real(kspace).square().sum((-1, -2, -3, -4))
    # beside them, the power of the noise that the missing samples would bring
    norm = norm + 2 * sample.noise.square() * missing.sum((-1, -2, -3))
    assert torch.allclose(found.abs().square().sum((-1, -2)), norm, rtol=1e-4)
    # of one channel instead of all
    other = (1 - 1 / kspace.shape[-3]) * 2 * sample.noise.square() * missing.sum((-1, -2, -3))
    assert torch.allclose(kept.abs().square().sum((-1, -2)), norm - other, rtol=1e-4)


def test_the_background_is_as_bright_as_that_of_all_samples():
    full = scenes.scan(subject=3, matrix=(96, 96), slices=1, coils=8, snr=15.0)[0]
    sample = Undersample(PoissonDisc(4.0))(full).replace(noise=None)
    method = HqsNet(PhasedMaps(Espirit()), combination="rss", weights="pretrained")
    prepared, maps = method.prepared(sample)
    with torch.no_grad():
        found, kept = method(sample).abs(), kept_samples(method.alone(prepared, maps), sample, maps)
    reference = root_sum_of_squares(ifft(full.kspace))
    around = ~(maps != 0).any(-3)
    assert around.float().mean() > 0.2
    without = root_sum_of_squares(kept)[around].mean() / reference[around].mean()
    assert without < 0.65
    assert found[around].mean() / reference[around].mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("choice", ["pnp", "pretrained"])
def test_weights_come_with_the_package(choice):
    """Better than conjugate gradients on a brain that they have not seen."""
    scan = scenes.scan(subject=77, matrix=(96, 96), slices=1, coils=8, snr=40.0)
    pattern = EquispacedLines(4, acs=16)
    sample = Compose([RssTarget(), Undersample(pattern), Normalize()])(scan[0])
    method = build(composed("reconstruct", f"model={choice}").model, Reconstructor, "model").eval()
    assert method.weights
    method.combine_by("sense")  # the brain of the simulation has no noise
    with torch.no_grad():
        found, usual = (m(sample).abs() for m in (method, CgSense(Espirit())))
    error, other = ((image - sample.target).norm() for image in (found, usual))
    assert error < 0.75 * other


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="no weights in this package are called 'brain'"):
        HqsNet(GivenMaps(), weights="brain")
    with pytest.raises(ConfigError, match="does not fit HqsNet"):
        HqsNet(GivenMaps(), small(2), weights="denoiser")


@pytest.mark.parametrize(("there", "back"), [(moved, moved_back), (turned, turned_back)])
def test_images_come_back_from_where_iterations_see_them(there, back):
    image = torch.randn(2, 9, 12, dtype=torch.complex64)
    seen = [there(image, number) for number in range(8)]
    assert all(torch.equal(back(x, number), image) for number, x in enumerate(seen))
    assert len({tuple(x.flatten()[:40].tolist()) for x in seen}) == 8
