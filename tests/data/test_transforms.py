import pytest
import torch

from mrirecon.data.batches import derived_seed
from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, RssTarget, Undersample
from mrirecon.errors import ConfigError, ShapeError
from mrirecon.fourier import ifft
from mrirecon.image import center_fit, root_sum_of_squares
from mrirecon.sampling import EquispacedLines, Gaussian2d, MixedPatterns, RandomLines
from mrirecon.types import Sample
from tests import scenes


def partial(sample: Sample, first: int) -> Sample:
    """Leave the first columns unmeasured, as partial Fourier does."""
    mask = torch.arange(sample.kspace.shape[-1])[None] >= first
    return sample.replace(kspace=sample.kspace * mask, mask=mask)


def test_undersampling_keeps_only_what_was_acquired():
    sample = partial(scenes.scan()[0], 9)
    out = Undersample(EquispacedLines(2, acs=12))(sample)
    assert not out.mask[:, :9].any() and out.mask[:, 12:24].all()
    assert (out.kspace[:, :, ~out.mask[0]] == 0).all()
    assert out.kspace[:, :, out.mask[0]].equal(sample.kspace[:, :, out.mask[0]])
    assert out.acs.tolist() == [40, 12]


def test_a_centre_cut_by_partial_fourier_is_told_as_it_is():
    sample = partial(scenes.scan()[0], 15)  # k = 0 is column 18
    out = Undersample(EquispacedLines(2, acs=12))(sample)
    start = (36 - int(out.acs[1]) + 1) // 2
    assert out.mask[0, start : start + int(out.acs[1])].all() and 5 <= out.acs[1] <= 7


def test_scan_seed_is_the_same_for_all_slices_and_random_is_not():
    scan = scenes.scan()
    fixed = Undersample(RandomLines(4, acs=4))
    assert fixed(scan[0]).mask.equal(fixed(scan[1]).mask)
    torch.manual_seed(0)
    drawn = Undersample(RandomLines(4, acs=4), seed="random")
    assert len({tuple(drawn(scan[0]).mask[0].tolist()) for _ in range(8)}) > 4
    torch.manual_seed(0)
    again = [drawn(scan[0]).mask for _ in range(2)]
    torch.manual_seed(0)
    assert all(m.equal(drawn(scan[0]).mask) for m in again)


@pytest.mark.parametrize("seed", ["scan", "random"])
def test_members_of_a_batch_get_the_masks_that_they_get_alone(seed):
    pattern = MixedPatterns([RandomLines([2, 6], [0.2, 0.1]), Gaussian2d(3, acs=(8, 8))])
    step = Undersample(pattern, seed)
    scans = [scenes.scan(subject, slices=3) for subject in (0, 1)]
    members = [
        partial(scan[index], 9).replace(seed=derived_seed(5, scan.header.name, index))
        for scan in scans
        for index in range(3)
    ]
    alone = []
    for member in members:
        torch.manual_seed(member.seed)
        alone.append(step(member))
    torch.manual_seed(0)  # the generator of the process has no say in a batch
    together = step(collate(members))
    expected = collate(alone)
    for field, value in expected.tensors().items():
        found = getattr(together, field)
        torch.testing.assert_close(found, value, rtol=0, atol=0, equal_nan=True, msg=field)
    drawn = {one.mask.numpy().tobytes() for one in alone}
    assert len(drawn) == (2 if seed == "scan" else 6)
    assert (together.kspace[~together.mask[:, None].expand_as(together.kspace)] == 0).all()


def test_neighbours_get_the_mask_of_their_slice():
    scan = scenes.scan(slices=3)
    sample = scan[1].replace(neighbors=collate([scan[0], partial(scan[2], 9)]))
    step = Undersample(RandomLines(3, acs=6))
    one, batch = step(sample), step(collate([sample, sample]))
    assert one.neighbors.mask.shape == (2, 1, 36) and one.neighbors.acs.shape == (2, 2)
    assert one.neighbors.mask[0].equal(one.mask)
    assert not one.neighbors.mask[1, :, :9].any()
    assert one.neighbors.mask[1, :, 9:].equal(one.mask[:, 9:])
    for field, value in one.neighbors.tensors().items():
        found = getattr(batch.neighbors, field)[1]
        torch.testing.assert_close(found, value, rtol=0, atol=0, equal_nan=True, msg=field)


def test_undersampling_refuses_what_is_neither_slice_nor_batch():
    batch = scenes.batch()
    with pytest.raises(ConfigError, match="a slice or a batch of slices"):
        Undersample(scenes.PATTERN)(batch.map(lambda tensor: tensor[None]))


@pytest.mark.parametrize("percentile", [50, 99, 100])
def test_the_scale_is_the_percentile_of_the_zero_filled_image(percentile):
    for matrix in ((40, 36), (33, 31)):
        sample = Undersample(scenes.PATTERN)(scenes.scan(matrix=matrix)[0])
        image = root_sum_of_squares(ifft(sample.kspace)).flatten().sort().values
        expected = image[max(1, round(percentile / 100 * len(image))) - 1]
        torch.testing.assert_close(Normalize(percentile)(sample).scale, expected)


def test_normalisation_is_undone_by_the_scale_and_composes():
    sample = scenes.scan()[0]
    once = Normalize()(sample)
    image = root_sum_of_squares(ifft(once.kspace)).flatten()
    assert image.kthvalue(round(0.99 * len(image))).values == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(once.kspace * once.scale, sample.kspace)
    torch.testing.assert_close(once.target * once.scale, sample.target)
    torch.testing.assert_close(once.peak * once.scale, sample.peak)
    twice = Normalize(50)(once)
    torch.testing.assert_close(twice.kspace * twice.scale, sample.kspace)


def test_normalisation_works_on_batches_and_spares_empty_slices():
    sample = scenes.scan()[0]
    both = collate([sample, scenes.empty(sample)])
    out = Normalize()(both)
    torch.testing.assert_close(out.kspace[0], Normalize()(sample).kspace)
    assert out.scale[1] == 1 and out.kspace.isfinite().all()


def test_a_separate_calibration_scan_is_scaled_along():
    sample = scenes.scan()[0]
    out = Normalize()(sample.replace(calibration=sample.kspace[:, 10:30, 10:30]))
    torch.testing.assert_close(out.calibration, out.kspace[:, 10:30, 10:30])


def test_rss_target_is_made_only_of_scans_without_gaps():
    sample = scenes.scan()[0].replace(target=None)
    target = RssTarget()(sample).target
    torch.testing.assert_close(target, root_sum_of_squares(ifft(sample.kspace)))
    RssTarget()(partial(sample, 9))  # partial Fourier leaves no gap
    with pytest.raises(ConfigError, match="cannot serve as its own reference"):
        RssTarget()(Undersample(scenes.PATTERN)(sample))
    kept = scenes.scan()[0]
    assert RssTarget()(kept).target is kept.target


def test_compose_applies_in_order():
    sample = Compose([Undersample(scenes.PATTERN), Normalize()])(scenes.scan()[0])
    assert sample.scale is not None and not sample.mask.all()


def test_collate_stacks_and_explains():
    a, b = (scenes.scan()[i] for i in range(2))
    both = collate([a, b.replace(mask=torch.ones(40, 36, dtype=torch.bool))])
    assert both.kspace.shape == (2, 4, 40, 36) and both.mask.shape == (2, 40, 36)
    assert both.key == (("subject0000_t2.h5", 0), ("subject0000_t2.h5", 1))
    with pytest.raises(ShapeError, match=r"kspace differ in shape .*data.batch_size=1"):
        collate([a, scenes.scan(matrix=(40, 30))[0]])
    with pytest.raises(ShapeError, match=r"have no target, the others do"):
        collate([a, b.replace(target=None)])


@pytest.mark.parametrize("size", [(40, 36), (32, 30)])
def test_a_zero_filled_image_is_no_reference(size):
    """Files of undersampled scans may bring one; it would teach a network to leave the aliasing."""
    full = scenes.scan(slices=1)[0]
    sample = Undersample(scenes.PATTERN)(full)
    truth, aliased = (
        center_fit(root_sum_of_squares(ifft(one.kspace)), size) for one in (full, sample)
    )
    fake = sample.replace(target=7 * aliased.half().float(), peak=torch.tensor(1.0))
    with pytest.raises(ConfigError, match=r"own reference \(the image in its file is zero-filled"):
        RssTarget()(fake)
    left = RssTarget(required=False)(fake)
    assert left.target is None and left.peak is None
    batch = collate([fake, fake])
    assert RssTarget(required=False)(batch).target is None
    for one, target in ((sample, truth), (full, truth), (full, 3 * truth)):
        assert RssTarget()(one.replace(target=target)).target is target
    with pytest.raises(ConfigError, match=r"own reference; take"):
        RssTarget()(sample.replace(target=None))
