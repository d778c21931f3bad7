import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from mrirecon.config import build
from mrirecon.data.collate import collate
from mrirecon.networks.parts.conditioning import Conditioning, FeatureModulation, sampling_facts
from mrirecon.sampling import EquispacedLines, PoissonDisc, RandomLines
from mrirecon.types import Sample
from tests import scenes
from tests.test_config import choices, composed

NAN = math.nan


def masked(mask, protocol=None):
    """A Sample of ones with this mask; a line mask is for 40 rows."""
    h = mask.shape[0] if mask.shape[0] > 1 else 40
    return Sample(
        torch.ones(2, h, mask.shape[1], dtype=torch.complex64) * mask,
        mask,
        protocol=None if protocol is None else torch.tensor(protocol),
        key=("scan", 0),
    )


def lines(*positions, n=36):
    mask = torch.zeros(1, n, dtype=torch.bool)
    mask[0, list(positions)] = True
    return mask


def drawn(pattern, seed=0, n=36):
    return pattern((40, n), np.random.RandomState(seed)).mask


def by_hand(mask):
    """The facts of a line mask, with loops."""
    line, n = mask[0].tolist(), mask.shape[1]
    left = right = n // 2
    while left > 0 and line[left - 1]:
        left -= 1
    while right < n and line[right]:
        right += 1
    width = 0
    for count in range(1, n + 1):
        start = n // 2 - count // 2
        if start >= left and start + count <= right:
            width = count
    where = [i for i in range(n) if line[i]]
    gaps = [b - a for a, b in pairwise(where) if b - a > 1]
    irregularity = np.std(gaps) / np.mean(gaps) if gaps else 0.0
    fraction = math.log(width / n) if width else -math.log(40 * n)
    return torch.tensor([math.log(n / len(where)), fraction, 0, irregularity], dtype=torch.float32)


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(1, 36, dtype=torch.bool),
        drawn(EquispacedLines(4, acs=6)),
        drawn(RandomLines(4, acs=9)),
        lines(0, 4, 8, 20),
        lines(*range(15, 36)),  # partial Fourier
        lines(1, 16, 17, 18, 30, n=35),
    ],
)
def test_line_masks_are_described_as_by_hand_with_one_row_or_all(mask):
    expected = by_hand(mask)
    torch.testing.assert_close(sampling_facts(masked(mask)), expected, rtol=1e-4, atol=1e-5)
    whole = masked(mask.expand(40, -1))
    torch.testing.assert_close(sampling_facts(whole), expected, rtol=1e-4, atol=1e-5)
    turned = sampling_facts(masked(mask.expand(40, -1).mT))
    torch.testing.assert_close(turned, expected, rtol=1e-4, atol=1e-5)


def test_patterns_are_told_apart():
    fixed, random = (
        sampling_facts(masked(drawn(p(4, acs=6), n=256))) for p in (EquispacedLines, RandomLines)
    )
    assert fixed[3] < 0.35 < random[3]
    assert sampling_facts(masked(drawn(PoissonDisc(4, acs=(6, 6)))))[2] == 1
    grid = torch.zeros(40, 36, dtype=torch.bool)
    grid[::2, ::2] = True  # separable, but with gaps along both axes
    assert sampling_facts(masked(grid)).tolist()[2:] == [1, 0]
    readout = torch.zeros(40, 36, dtype=torch.bool)
    readout[10:, ::2] = True  # an asymmetric echo leaves lines to be lines
    assert sampling_facts(masked(readout))[2] == 0
    assert sampling_facts(masked(torch.zeros(40, 36, dtype=torch.bool))).isfinite().all()


def embedded(sample, **options):
    torch.manual_seed(0)
    return Conditioning(8, **options)(sample)


def test_unknown_numbers_are_finite_and_not_taken_for_zero():
    mask, known = drawn(scenes.PATTERN), [3.0, 2000.0, 90.0, 0.0, 90.0]
    samples = [
        masked(mask, protocol)
        for protocol in (known, [3.0, 2000.0, 90.0, NAN, 90.0], [NAN] * 5, [-1.0] * 5)
    ]
    torch.manual_seed(0)
    model = Conditioning(8)
    told, partly, unknown, nonsense = model(collate(samples))
    assert (told - partly).norm() > 0.01 and (partly - unknown).norm() > 0.01
    assert nonsense.equal(unknown)
    torch.testing.assert_close(model(masked(mask)), unknown)  # nobody has looked
    model(collate(samples[:2])).square().sum().backward()
    for name, p in model.named_parameters():
        assert p.grad.isfinite().all() and p.grad.any(), name
    unseen = model.protocol.unknown.grad.abs().sum(-1) == 0  # only the inversion time is unknown
    assert unseen.tolist() == [True, True, True, False, True]


def test_members_do_not_influence_one_another_and_any_axes_are_batch():
    masks = [drawn(EquispacedLines(r, acs=6)) for r in (2, 4)] + [drawn(RandomLines(4, acs=6))]
    batch = collate([masked(m, [3.0, 500.0 * i, 10.0, NAN, 70.0]) for i, m in enumerate(masks)])
    e = embedded(batch)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(embedded(batch.map(lambda t: t[order])), e[order])
    torch.testing.assert_close(embedded(batch.map(lambda t: t[None])), e[None])
    torch.testing.assert_close(embedded(batch.map(lambda t: t[1])), e[1])
    assert min((e[i] - e[j]).norm() for i, j in ((0, 1), (0, 2), (1, 2))) > 0.01


def test_sampling_alone_and_steps():
    sample = masked(drawn(scenes.PATTERN), [3.0, 2000.0, 90.0, NAN, 90.0])
    blind = embedded(sample, protocol=False)
    assert blind.equal(embedded(sample.replace(protocol=None), protocol=False))
    assert not embedded(sample).equal(embedded(sample.replace(protocol=None)))
    torch.manual_seed(0)
    model = Conditioning(8, steps=3)
    assert not model(sample, 0).equal(model(sample, 2))
    for step in (None, 3, -1):
        with pytest.raises(ValueError, match=f"expected 0 to 2, got {step}"):
            model(sample, step)
    same = Conditioning(8)
    assert same(sample, 0).equal(same(sample, 1)) and same(sample).equal(same(sample, 5))


def test_modulation_starts_as_the_identity_and_learns():
    x, e = torch.randn(2, 3, 5, 4), torch.randn(2, 8)
    model = FeatureModulation(8, 3)
    assert model(x, e).equal(x)
    (model(x, e) * torch.randn(2, 3, 5, 4)).sum().backward()
    assert model.linear.weight.grad.any()
    with torch.no_grad():
        model.linear.weight.normal_()
    gain, shift = (model.linear.weight @ e.T).T.chunk(2, 1)
    expected = torch.stack(
        [x[b, c] * (1 + gain[b, c]) + shift[b, c] for b in range(2) for c in range(3)]
    )
    torch.testing.assert_close(model(x, e).flatten(0, 1), expected, rtol=1e-4, atol=1e-5)


def test_autocast_and_an_empty_slice():
    sample = scenes.batch()
    model, film = Conditioning(8), FeatureModulation(8, 2)
    with torch.autocast("cpu", torch.bfloat16):
        x = film(torch.randn(2, 2, 8, 8), model(scenes.empty(sample)))
    assert x.isfinite().all()


def test_every_choice_builds():
    for choice in choices("conditioning"):
        node = composed("reconstruct", f"+conditioning={choice}").conditioning
        assert build(node, torch.nn.Module, "conditioning")(scenes.batch()).shape == (2, 64)
