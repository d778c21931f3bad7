import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, RssTarget, Undersample
from mrirecon.errors import ConfigError, ShapeError
from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.sampling import EquispacedLines, RandomLines
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


def test_batches_cannot_be_undersampled():
    with pytest.raises(
        ConfigError, match=r"before batching; got k-space of shape \(2, 4, 40, 36\)"
    ):
        Undersample(scenes.PATTERN)(scenes.batch())


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
