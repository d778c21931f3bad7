import pytest
import torch

from mrirecon.errors import ConfigError
from mrirecon.evaluation.noise_maps import g_factor
from mrirecon.evaluation.noise_maps.g_factor import sense_g_factor, sense_noise
from mrirecon.evaluation.noise_maps.replicas import pseudo_replicas
from mrirecon.operators import sense
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.grappa import Grappa
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.sensitivity import Espirit, GivenMaps
from mrirecon.types import Sample
from tests import scenes
from tests.reconstructors.test_grappa import lattice, raster
from tests.sensitivity.scene import batch, scene


def test_two_coils_at_twofold_acceleration_have_a_closed_form():
    # unit sensitivities a and b of aliased pixels: g = 1 / sqrt(1 - |<a, b>|^2)
    w, h = 16, 3
    maps = torch.randn(2, h, w, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    overlap = (maps.conj() * maps.roll(w // 2, -1)).sum(0).abs()
    for offset in (0, 1):
        g = sense_g_factor(maps, raster(w, 2, offset, 0))
        torch.testing.assert_close(g, (1 - overlap**2).rsqrt(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("rank", [0, 0.6, 10])
@pytest.mark.parametrize("regularization", [0.0, 0.01])
@pytest.mark.parametrize(
    "mask",
    [
        raster(10, 2, 1, 0),
        raster(10, 3, 0, 4),
        raster(10, 2, 1, 3),
        raster(10, 5, 2, 5),
        raster(8, 2, 1, 3).mT,
        raster(8, 4, 3, 4).mT,
        lattice((8, 10), (2, 2), 1, acs=0),
        lattice((8, 10), (1, 2), 0, acs=0),
        torch.ones(8, 10, dtype=torch.bool),
    ],
)
def test_noise_is_that_of_the_dense_covariance(mask, regularization, rank, monkeypatch):
    monkeypatch.setattr(g_factor, "RANK", rank)  # how many lines beside a raster are added to it
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(6, 8, 10, dtype=torch.complex64, generator=generator)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    maps[:, :2, :3] = 0
    basis = torch.eye(80, dtype=torch.complex64).reshape(80, 8, 10)
    A = torch.stack([sense(maps, mask)(e).flatten() for e in basis], 1)
    inside = maps.abs().sum(0).flatten() > 0
    A = A[:, inside].to(torch.complex128)
    inverse = torch.linalg.inv(A.mH @ A + regularization * torch.eye(A.shape[1]))
    expected = torch.zeros(80)
    expected[inside] = (inverse @ A.mH @ A @ inverse).diagonal().real.sqrt().float()
    noise = sense_noise(maps, mask, regularization)
    torch.testing.assert_close(noise.flatten(), expected, rtol=1e-4, atol=1e-6)


def test_pseudo_replicas_agree_with_the_formula():
    sample, maps, body = scene((24, 20), 8, lines=4, every=2)
    sample = sample.replace(maps=maps, scale=torch.tensor(1e3))
    method = CgSense(GivenMaps(), 1e-3, iterations=100, tolerance=1e-6)
    found = pseudo_replicas(method, sample, replicas=200)
    expected = sense_noise(maps, sample.mask, 1e-3)
    ratio = (found.deviation / expected).flatten()
    # each pixel's relative error is 1 / (2 sqrt(200)) = 0.035
    assert abs(float(ratio.mean()) - 1) < 0.01 and 0.02 < float(ratio.std()) < 0.05
    g = sense_g_factor(maps, sample.mask, 1e-3)
    torch.testing.assert_close(found.g_factor / g, found.deviation / expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.snr, found.image.abs() / found.deviation * 1e3)
    assert body.any()


def test_a_fully_sampled_image_has_the_noise_of_one_sample():
    sample, _, body = scene(coils=6)
    sample = sample.replace(noise=torch.tensor(1e-3))
    for method in (ZeroFilled(), CgSense(Espirit(), 0.0)):
        found = pseudo_replicas(method, sample, replicas=50)
        assert abs(float(found.deviation[body].mean()) - 1) < 0.05
        assert abs(float(found.g_factor[body].mean()) - 1) < 0.05


def test_replicas_repeat_and_members_are_independent():
    first, _, _ = scene(lines=16)
    second, _, _ = scene(lines=16, every=3, seed=1)
    scaled = (s.replace(noise=torch.tensor(1e-3)) for s in (first, second))
    first, second = scaled
    for calibrate in (True, False):
        options = {"replicas": 3, "seed": 4, "calibrate": calibrate}
        together = pseudo_replicas(Grappa(), batch(first, second), **options)
        alone = pseudo_replicas(Grappa(), second, **options)
        torch.testing.assert_close(together.deviation[1], alone.deviation, rtol=1e-3, atol=1e-3)
        assert torch.equal(pseudo_replicas(Grappa(), second, **options).snr, alone.snr)


def test_lines_beside_a_raster_tell_apart_what_it_cannot(monkeypatch):
    maps = scene((12, 16), coils=3)[1]  # of every fourth line, and of three in the centre
    mask = raster(16, 4, 1, 4)
    found = sense_noise(maps, mask, 1e-6)
    monkeypatch.setattr(g_factor, "RANK", 0)
    torch.testing.assert_close(found, sense_noise(maps, mask, 1e-6), rtol=1e-3, atol=1e-5)


def test_one_coil_cannot_unfold():
    g = sense_g_factor(torch.ones(1, 4, 6, dtype=torch.complex64), raster(6, 2, 0, 0))
    assert g.isinf().all()


def test_batches_and_empty_maps():
    maps = torch.stack([scene(coils=6)[1], torch.zeros(6, 48, 40, dtype=torch.complex64)])
    mask = torch.stack([raster(40, 2, 0, 8), raster(40, 3, 1, 8)])
    g = sense_g_factor(maps, mask)
    torch.testing.assert_close(g[0], sense_g_factor(maps[0], mask[0]))
    assert (g[1] == 0).all()


def test_what_has_no_cheap_formula_is_refused():
    mask = torch.rand(48, 40, generator=torch.Generator().manual_seed(0)) > 0.5
    with pytest.raises(ConfigError, match="pseudo-replicas"):
        sense_g_factor(scene()[1], mask)
    with pytest.raises(ValueError, match="replicas must be at least 2, got 1"):
        pseudo_replicas(ZeroFilled(), Sample(scene()[0].kspace, mask), replicas=1)


def test_frames_of_a_joint_method_get_noise_of_their_own():
    """Equal noise in all frames would pass for a signal that the frames share."""
    seen = []

    class Spy(ZeroFilled):
        joint = True

        def forward(self, sample):
            seen.append(sample.kspace)
            return super().forward(sample)

    sample = scenes.batch()
    pseudo_replicas(Spy(), sample, replicas=2)
    noise = seen[1] - seen[0]
    assert not torch.allclose(noise[0], noise[1])
