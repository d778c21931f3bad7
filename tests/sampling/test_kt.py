from itertools import pairwise

import numpy as np
import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.data.neighbors import with_neighbors
from mrirecon.data.transforms import Undersample
from mrirecon.errors import ConfigError
from mrirecon.sampling import (
    Curriculum,
    EquispacedLines,
    KtGaussian,
    KtGolden,
    KtRadial,
    KtUniform,
    MixedPatterns,
    PoissonDisc,
    Spokes,
    scan_rng,
)
from mrirecon.sampling.calibration import central_block
from mrirecon.scan import Frame, Scan, ScanHeader
from mrirecon.types import Sample

LINES = [KtUniform, KtGaussian, KtGolden]


def series(pattern, shape=(20, 128), frames=16, name="scan.h5"):
    return [pattern.of_frame(shape, scan_rng(name), frame) for frame in range(frames)]


def stacked(pattern, *args, **options):
    return torch.stack([one.mask for one in series(pattern, *args, **options)]).float()


@pytest.mark.parametrize("kind", [*LINES, KtRadial])
@pytest.mark.parametrize("shape", [(20, 64), (33, 49), (24, 8)])
@pytest.mark.parametrize("acceleration", [1, 2, 3.5, 8])
def test_every_frame_keeps_exactly_what_was_asked_for(kind, shape, acceleration):
    pattern = kind(acceleration)
    first, again = (stacked(pattern, shape, frames=5) for _ in range(2))
    assert torch.equal(first, again)
    positions = shape[1] if kind in LINES else shape[0] * shape[1]
    assert set(first.sum((1, 2)).tolist()) == {round(positions / acceleration)}
    assert torch.equal(first[0], pattern(shape, scan_rng("scan.h5")).mask.float())
    if acceleration > 1 and shape[1] > 8:
        assert not torch.equal(first[0], first[1])
        assert not torch.equal(first, stacked(pattern, shape, frames=5, name="other.h5"))
        assert first.amax(0).sum() > first[0].sum() * (1.2 if kind is KtRadial else 1.6)
    for drawn in series(pattern, shape, 3):
        assert drawn.acs == central_block(drawn.mask.numpy(), shape)
        assert drawn.nominal == acceleration


@pytest.mark.parametrize("kind", [*LINES, KtRadial])
def test_a_centre_is_kept_in_every_frame_and_counts(kind):
    for drawn in series(kind(6, acs=8), (40, 96)):
        h, w = drawn.acs
        assert w >= 8 and (kind in LINES) == (h == 40)
        assert drawn.achieved == pytest.approx(6, rel=0.01)
        assert drawn.mask[0 if kind in LINES else slice(16, 24), ..., 44:52].all()
        assert not drawn.remark


def test_uniform_lines_move_on_by_one_and_cover_k_space_together():
    masks = stacked(KtUniform(8))[:, 0]
    for one, after in pairwise(masks):
        assert torch.equal(one.roll(1), after)
    assert torch.equal(masks[:8].sum(0), torch.ones(128))
    assert torch.equal(masks[0].nonzero().flatten().diff(), torch.full((15,), 8))
    steps = stacked(KtUniform(8, step=3))[:, 0]
    assert torch.equal(steps[0].roll(3), steps[1])
    assert torch.equal(steps[:8].sum(0), torch.ones(128))
    # where the spacing is no integer, all lines come equally often in the end
    odd = stacked(KtUniform(3.3), (20, 101), 101)[:, 0].sum(0)
    assert odd.min() == odd.max()


def test_gaussian_lines_are_dense_in_the_centre_and_new_in_each_frame():
    masks = stacked(KtGaussian(4, width=0.4), frames=400)[:, 0]
    rate = masks.mean(0)
    center, middle, edge = rate[56:72].mean(), rate[38:42].mean(), rate[:4].mean()
    assert center > 1.25 * middle > 5 * edge
    together = (masks[:-1] * masks[1:]).sum(1).mean()
    expected = rate.square().sum()  # of frames that do not know of one another
    assert float(together) == pytest.approx(float(expected), rel=0.1)
    even = stacked(KtGaussian(4, width=float("inf")), frames=400)[:, 0].mean(0)
    assert even.min() > 0.15 and even.max() < 0.36


@pytest.mark.parametrize("density", [1.0, 4.0, 12.0])
def test_golden_lines_come_back_evenly(density):
    masks = stacked(KtGolden(6, density=density), frames=233)[:, 0]
    rate = masks.mean(0)
    wanted = 1 / (1 + (density - 1) * (torch.arange(128) - 64).abs() / 64)
    assert torch.allclose(rate, wanted * (round(128 / 6) / wanted.sum()), atol=0.01)
    for line in (0, 30, 64):
        gaps = masks[:, line].nonzero().flatten().diff().float()
        # three different times at most, as the three gap theorem has it; by chance many more
        assert len(gaps.unique()) <= 3


def test_diameters_turn():
    masks = stacked(KtRadial(8), (64, 48), 12)
    assert (masks.mean(0)[31:34, 23:26] == 1).all()
    rows, columns = torch.meshgrid(torch.arange(64) - 32, torch.arange(48) - 24, indexing="ij")
    radius = torch.hypot(rows / 32, columns / 24)
    rate = masks.mean(0)
    inner, outer = rate[radius < 0.2].mean(), rate[(radius > 0.7) & (radius < 0.9)].mean()
    assert inner > 3 * outer > 0
    assert rate[radius > 1.1].sum() == 0
    assert (rate[(radius > 0.7) & (radius < 0.9)] > 0).float().mean() > 0.5  # they turn
    # every diameter has its opposite, but for rounding and where the last are cut short
    flipped = masks.flip(1, 2).roll((1, 1), (1, 2))[:, 1:, 1:]
    assert (masks[:, 1:, 1:] * flipped).sum() > 0.75 * masks.sum()


def test_choices_among_patterns_know_the_frame():
    uniform = KtUniform(4)
    for pattern in (MixedPatterns([uniform]), Curriculum([uniform], [0])):
        masks = [one.mask for one in series(pattern, frames=3)]
        moved = [masks[0].roll(1, -1), masks[1].roll(1, -1)]
        assert all(torch.equal(a, b) for a, b in zip(moved, masks[1:], strict=True))


class Still(Scan):
    """A scan of two slices in five frames."""

    def __init__(self):
        frames = tuple(Frame(repetition=t) for t in range(5))
        self.header = ScanHeader("scan.h5", "test", 2, 1, (6, 32), (6, 32), (6, 32), frames=frames)

    def _read(self, index):
        kspace = torch.ones(1, 6, 32, dtype=torch.complex64)
        return Sample(kspace, torch.ones(1, 32, dtype=torch.bool), key=("scan.h5", index))


def test_frames_of_a_scan_get_their_own_masks_alone_in_a_batch_and_as_neighbours():
    scan = Still()
    assert [sample.frame for sample in scan] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    undersample = Undersample(KtUniform(4))
    expected = [one.mask for one in series(KtUniform(4), (6, 32), 5)]
    alone = [undersample(sample) for sample in scan]
    for index, sample in enumerate(alone):
        assert torch.equal(sample.mask, expected[index // 2])
        assert torch.equal(sample.kspace[0, :1] != 0, sample.mask)
    batch = undersample(collate(list(scan)))
    assert batch.frame == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)
    assert torch.equal(batch.mask, torch.stack([sample.mask for sample in alone]))
    near = undersample(with_neighbors(scan[4], [scan[2], scan[6]]))
    assert torch.equal(near.mask, expected[2])
    assert torch.equal(near.neighbors.mask, torch.stack([expected[1], expected[3]]))
    both = collate([with_neighbors(scan[4], [scan[2], scan[6]]),
                    with_neighbors(scan[1], [scan[1], scan[3]])])  # fmt: skip
    found = undersample(both)
    wanted = [[expected[1], expected[3]], [expected[0], expected[1]]]
    assert torch.equal(found.neighbors.mask, torch.stack([torch.stack(one) for one in wanted]))
    # what nobody has told is the first frame, and other patterns do not change with it
    assert torch.equal(undersample(scan[6].replace(frame=None)).mask, expected[0])
    still = Undersample(EquispacedLines(4, acs=4))
    assert len({tuple(still(sample).mask[0].tolist()) for sample in scan}) == 1


def test_frames_that_are_drawn_at_random_move_on_together():
    scan, undersample = Still(), Undersample(KtUniform(4), seed="random")
    batch = collate([scan[index].replace(seed=17) for index in (0, 2, 4)])
    masks = undersample(batch).mask
    assert torch.equal(masks[0].roll(1, -1), masks[1])
    assert torch.equal(masks[1].roll(1, -1), masks[2])


def radial_sample(spokes=30):
    kspace = torch.ones(2, 10, spokes, dtype=torch.complex64)
    return Sample(
        kspace,
        torch.ones(1, spokes, dtype=torch.bool),
        trajectory=torch.rand(10, spokes, 2),
        image_grid=(12, 14),
        key=("radial.h5", 0),
    )


def test_readouts_of_non_cartesian_scans_are_left_out():
    def kept(**options):
        sample = Undersample(Spokes(**options))(radial_sample())
        assert sample.acs is None and sample.trajectory.shape == (10, 30, 2)
        assert torch.equal((sample.kspace != 0).any(0)[:1], sample.mask)
        return sample.mask[0].nonzero().flatten()

    assert kept(count=7, which="first").tolist() == list(range(7))
    found = kept(acceleration=3, which="consecutive")
    assert len(found) == 10 and (found.diff() == 1).all()
    found = kept(acceleration=5)
    assert len(found) == 6 and (found.diff() == 5).all()
    assert len(kept(acceleration=4)) == round(30 / 4)
    known = radial_sample().replace(areas=torch.ones(10, 30))
    lines = Undersample(EquispacedLines(3, acs=4))(known)
    assert lines.areas is None  # those of fewer readouts are larger
    assert lines.acs is None and 10 <= int(lines.mask.sum()) <= 14
    with pytest.raises(ConfigError, match="PoissonDisc keeps single positions"):
        Undersample(PoissonDisc(2, (4, 4)))(radial_sample())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KtUniform(0.5), "acceleration must be at least 1"),
        (lambda: KtGolden(acs=-1), "acs must not be negative"),
        (lambda: KtGolden(density=0.5), "density must be at least 1"),
        (lambda: KtGaussian(width=0.0), "width must be positive"),
        (lambda: KtRadial(float("inf")), "acceleration must be at least 1"),
        (lambda: series(KtUniform(8, acs=20)), "of which acs=20 shall be central"),
        (lambda: series(KtUniform(300)), "keeps 0 in each frame"),
        (lambda: series(KtUniform(8, step=2)), "step=2 and a spacing of 8"),
        (lambda: series(KtRadial(8, acs=40), (40, 40)), "fewer than the centre of 1600"),
        (lambda: Spokes(count=0), "count must be at least 1"),
        (lambda: series(Spokes(count=200)), "of 128 readouts"),
        (lambda: series(Spokes(1000)), "of 128 readouts"),
    ],
)
def test_impossible_patterns_are_named(make, message):
    with pytest.raises((ValueError, ConfigError), match=message):
        make()


def test_generators_of_frames_differ():
    drawn = {tuple(np.flatnonzero(one.mask[0].numpy())) for one in series(KtGaussian(8))}
    assert len(drawn) == 16
