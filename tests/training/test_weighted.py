"""Objectives whose expectation is the supervised loss."""

import numpy as np
import pytest
import torch

from mrirecon.added_noise import noise_like
from mrirecon.config import build
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.estimated_noise import noise_std
from mrirecon.sampling import Curriculum, EquispacedLines, Gaussian2d, MixedPatterns, RandomLines
from mrirecon.training.objectives.base import Objective
from mrirecon.training.objectives.mask_partition import MaskPartition
from mrirecon.training.objectives.perturbations import MoreNoise, RigidMotion
from mrirecon.training.objectives.weighted_ssdu import RobustSsdu, WeightedSsdu
from mrirecon.types import Sample
from tests import scenes
from tests.test_config import composed

H, W, BATCH = 6, 12, 1500
FIRST, SECOND = RandomLines(2, acs=2), RandomLines(1.5, acs=2)
# RandomLines keeps outer lines with the probability that meets R on average
P, Q = ((W / r - 2) / (W - 2) for r in (2, 1.5))
OUTER = torch.ones(W, dtype=torch.bool)
OUTER[5:7] = False


class Fixed(Reconstructor):
    """An image that depends on nothing, and a memory of what the method was shown."""

    def __init__(self):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.image = torch.nn.Parameter(torch.randn(H, W, dtype=torch.complex64, generator=g))

    def forward(self, sample):
        self.seen = sample
        return self.image.expand(len(sample.kspace), -1, -1)


def truth():
    return fft(torch.randn(H, W, dtype=torch.complex64, generator=torch.Generator().manual_seed(1)))


def scans(noise=0.0, seed=0):
    """Many undersampled scans of one object, with one coil."""
    rng, g = np.random.RandomState(seed), torch.Generator().manual_seed(seed)
    mask = torch.stack([FIRST((H, W), rng).mask for _ in range(BATCH)])
    drawn = torch.randn(BATCH, 1, H, W, 2, generator=g)
    kspace = (truth() + noise * torch.view_as_complex(drawn)) * mask.unsqueeze(1)
    return Sample(
        kspace,
        mask,
        maps=torch.ones(BATCH, 1, H, W, dtype=torch.complex64),
        noise=torch.full((BATCH,), noise),
        acs=torch.tensor([[H, 2]]).expand(BATCH, 2),
        key=tuple(("a", i) for i in range(BATCH)),
    )


def test_the_loss_is_what_the_paper_writes():
    sample, method, objective = scans().map(lambda t: t[:3]), Fixed(), WeightedSsdu(FIRST, SECOND)
    loss = objective(method, sample)
    y, seen, measured = sample.kspace[:, 0], method.seen.mask, sample.mask
    p, q = objective.partition._estimated((H, W))
    k = (1 - p) / (1 - p * q)
    error = (fft(method.image.detach()) - y).abs() ** 2
    total = 0.0
    for i in range(3):
        unseen = measured[i] & ~seen[i]
        held = (error[i] * torch.where(unseen, 1 / (1 - k), 0.0)).sum()
        kept = (error[i] * seen[i]).sum()
        total += (held + kept) / (method.seen.kspace[i].abs() ** 2).sum()
    assert loss.item() == pytest.approx(total.item() / 3, rel=1e-4)
    assert not (seen & ~measured).any() and method.seen.target is None
    assert method.seen.kspace[~seen.unsqueeze(1).expand_as(y[:, None])].abs().max() == 0


def test_densities_of_independent_lines():
    division = MaskPartition(FIRST, SECOND)
    for found, share in zip(division._estimated((H, W)), (P, Q), strict=True):
        assert found.shape == (1, W) and (found[0, ~OUTER] == 1).all()
        torch.testing.assert_close(found[0, OUTER], torch.full((10,), share), atol=0.06, rtol=0)


def errors_by_line(sample, division):
    """Squared error of a zero image by line: weighted, and of what is not seen of all of it."""
    seen, held = division.split(sample)
    weight = division.weight(sample)
    y = sample.kspace[:, 0].abs().square().sum(-2, keepdim=True)
    full = truth().abs().square().sum(-2, keepdim=True)
    return (y * held * weight).mean(0)[0], (full * ~seen.mask).float().mean(0)[0]


def test_in_expectation_the_unseen_counts_as_if_it_had_been_measured():
    """So nothing that depends on what was seen alone can tell the losses apart."""
    torch.manual_seed(0)
    division = MaskPartition(FIRST, SECOND, draws=2000)
    weighted, complete = errors_by_line(scans(), division)
    # six per cent is the standard error of a line's count
    torch.testing.assert_close(weighted[OUTER], complete[OUTER], rtol=0.2, atol=0)
    assert weighted[OUTER].sum().item() == pytest.approx(complete[OUTER].sum().item(), rel=0.05)
    division.weight = lambda _: torch.ones(1, W)  # SSDU without weights
    plain, complete = errors_by_line(scans(), division)
    assert (plain[OUTER] < 0.5 * complete[OUTER]).all()


def test_robust_ssdu_learns_from_noise_what_clean_scans_teach():
    noise, alpha = 0.5, 0.75
    torch.manual_seed(0)
    target, method = scans(noise), Fixed()
    objective = RobustSsdu(FIRST, SECOND, alpha, draws=2000)
    objective(method, target)
    added = (method.seen.kspace - target.kspace)[:, 0][method.seen.mask.expand(-1, H, W)]
    assert torch.view_as_real(added).std().item() == pytest.approx(alpha * noise, rel=0.02)
    assert method.seen.noise[0].item() == pytest.approx(noise * (1 + alpha**2) ** 0.5)

    seen = method.seen.kspace[:, 0][:, :, ~OUTER]
    clean = truth()[:, ~OUTER].expand_as(seen)
    wiener = (seen.conj() * clean).real.sum() / seen.abs().square().sum()
    assert best_scale(objective, target) == pytest.approx(wiener.item(), abs=0.03)
    assert wiener < 0.9 and best_scale(WeightedSsdu(FIRST, SECOND), target) == pytest.approx(1)


class Scaled(Reconstructor):
    """Scales the centre of what it sees and returns nothing else."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, sample):
        return self.scale * ifft(sample.kspace[:, 0] * ~OUTER)


def best_scale(objective, sample):
    """The minimum of the parabola that the loss is."""
    losses = []
    for scale in (0.0, 0.5, 1.0):
        torch.manual_seed(2)
        losses.append(objective(Scaled(scale), sample).item())
    left, middle, right = losses
    return 0.5 - 0.25 * (right - left) / (left - 2 * middle + right)


@pytest.mark.parametrize("name", ["weighted_ssdu", "robust_ssdu"])
def test_the_partition_is_chosen_like_the_sampling(name):
    config = composed("train", f"objective={name}", "sampling=random")
    first = build(config.objective, Objective, "objective").partition
    assert (type(first.partition), first.partition.acceleration) == (RandomLines, 2)
    config = composed(
        "train", f"objective={name}", "sampling=gaussian_2d", "sampling.acceleration=6",
        "sampling@objective.partition=gaussian_2d",
    )  # fmt: skip
    second = build(config.objective, Objective, "objective").partition
    assert isinstance(second.sampling, Gaussian2d) and second.sampling.acceleration == 6
    assert isinstance(second.partition, Gaussian2d) and second.partition.acceleration == 2


def test_what_does_not_fit_is_refused():
    sample = scans().map(lambda t: t[:2])
    with pytest.raises(ConfigError, match="keeps whole lines, but partition keeps single pos"):
        WeightedSsdu(FIRST, Gaussian2d(2, (2, 2)), draws=100)(Fixed(), sample)
    for patterns, name in (((EquispacedLines(2, acs=2), SECOND), "sampling"),
                           ((FIRST, EquispacedLines(2, acs=2)), "partition")):  # fmt: skip
        with pytest.raises(ConfigError, match=rf"{name}: EquispacedLines draws lines together"):
            WeightedSsdu(*patterns)(Fixed(), sample)
    rising = Curriculum([FIRST, SECOND], [0, 1])
    for patterns, name in (((rising, SECOND), "sampling"), ((FIRST, rising), "partition"),
                           ((MixedPatterns([FIRST, rising]), SECOND), "sampling")):  # fmt: skip
        with pytest.raises(ConfigError, match=rf"^{name}: a Curriculum changes"):
            RobustSsdu(*patterns)
    full = sample.replace(mask=torch.ones_like(sample.mask))
    with pytest.raises(ConfigError, match="RandomLines never keeps positions that"):
        WeightedSsdu(RandomLines(6, acs=2), SECOND)(Fixed(), full)
    for make, message in (
        (lambda: WeightedSsdu(FIRST, SECOND, -1.0), "consistency must not be negative"),
        (lambda: RobustSsdu(FIRST, SECOND, 0.0), "alpha must be positive, got 0.0"),
        (lambda: MaskPartition(FIRST, SECOND, 10), "draws must be at least 100"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize("kind", [WeightedSsdu, RobustSsdu])
def test_empty_slices_give_finite_gradients(kind):
    sample = scenes.empty(scans().map(lambda t: t[:2]))
    method = Fixed()
    kind(FIRST, SECOND, draws=100)(method, sample).backward()
    assert torch.view_as_real(method.image.grad).isfinite().all()


def test_the_level_of_the_noise_is_found_at_the_edge():
    g = torch.Generator().manual_seed(0)
    noise = torch.view_as_complex(torch.randn(2, 4, 64, 64, 2, generator=g))
    kspace = noise * torch.tensor([0.3, 2.0])[:, None, None, None]
    kspace[..., 24:40, 24:40] += 100
    mask = torch.ones(2, 1, 64, dtype=torch.bool)
    mask[..., ::3] = False
    sample = Sample(kspace * mask.unsqueeze(1), mask)
    torch.testing.assert_close(noise_std(sample), torch.tensor([0.3, 2.0]), rtol=0.05, atol=0)
    assert noise_std(sample.replace(noise=torch.ones(2))).equal(torch.ones(2))
    assert noise_std(scenes.empty(sample)).equal(torch.zeros(2))
    weights = torch.ones(2, 1, 64)
    weights[..., 32:] = 0.25
    more = noise_like(sample.replace(weights=weights), torch.tensor([1.0, 3.0]))
    assert (more[~sample.mask.unsqueeze(1).expand_as(more)] == 0).all()
    for i, level in enumerate((1.0, 3.0)):
        for half, factor in ((slice(0, 32), 1.0), (slice(32, 64), 2.0)):
            values = more[i][..., half][sample.mask[i, ..., half].expand(4, 64, 32)]
            assert torch.view_as_real(values).std().item() == pytest.approx(
                factor * level, rel=0.05
            )


def test_objectives_that_change_one_slice_refuse_its_neighbours():
    sample = scans().map(lambda t: t[:2])
    sample = sample.replace(neighbors=sample.map(lambda t: t.unsqueeze(1)))
    with pytest.raises(ConfigError, match="RobustSsdu adds noise to one slice, but the"):
        RobustSsdu(FIRST, SECOND)(Fixed(), sample)
    for perturbation in (MoreNoise(), RigidMotion()):
        with pytest.raises(ConfigError, match=f"{type(perturbation).__name__} perturbs one slice"):
            perturbation(sample, sample.kspace[:, 0])


def test_weighted_ssdu_hides_the_same_positions_in_the_neighbours():
    sample, method = scans().map(lambda t: t[:2]), Fixed()
    WeightedSsdu(FIRST, SECOND)(
        method, sample.replace(neighbors=sample.map(lambda t: t.unsqueeze(1)))
    )
    assert method.seen.neighbors.mask[:, 0].equal(method.seen.mask)
    assert method.seen.neighbors.kspace[:, 0].equal(method.seen.kspace)
    assert method.seen.mask.sum() < sample.mask.sum()
