"""Frames that leave out other lines, each without a centre of its own."""

from dataclasses import replace

import torch

from mrirecon.assessment import assess
from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.image import center_crop
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.sampling import KtUniform
from mrirecon.sensitivity.series import calibrated_by_mean
from tests.simulation.test_motion import BEATING, HEART, moving


def frames(pattern):
    scan = moving([BEATING], replace(HEART, matrix=(32, 32)), count=4)
    return scan, [Undersample(pattern)(sample) for sample in scan]


def test_a_frame_without_a_centre_is_calibrated_by_the_mean_of_all():
    scan, kept = frames(KtUniform(4))
    series = collate(kept)
    found = calibrated_by_mean(collate(kept[2:3]), series).calibration
    # every line was measured in one of the four frames
    whole = series.kspace.sum(0)
    assert found.shape == (1, 4, 32, 32) and torch.equal(found[0], whole)
    clean = scan.noise_free(0)
    assert float((found[0] - clean).norm() / clean.norm()) < 0.5  # another heart beat in each


def test_a_larger_centre_of_its_own_stays():
    scan, kept = frames(KtUniform(4))
    one = collate([scan[0]])
    assert calibrated_by_mean(one, collate(kept)) is one
    told = one.replace(calibration=torch.ones(1, 4, 8, 8, dtype=torch.complex64))
    assert calibrated_by_mean(told, collate(kept)) is told


def test_a_part_of_the_mean_is_centred_where_frames_leave_lines_out():
    _, kept = frames(KtUniform(4))
    three = collate(kept[:3])
    found = calibrated_by_mean(collate(kept[:1]), three)
    if found.calibration is not None:
        h, w = found.calibration.shape[-2:]
        assert torch.equal(found.calibration, center_crop(three.kspace.sum(0), (h, w))[None])


class Together(ZeroFilled):
    joint = True


def test_quality_pages_of_such_frames_judge_by_maps_of_the_mean():
    scan, _ = frames(KtUniform(4))
    prepare = Compose([Undersample(KtUniform(4)), Normalize()])
    assert assess(scan, Together(), prepare).residual is not None
    lonely = assess(scan, ZeroFilled(), prepare)  # sees one frame only
    assert lonely.residual is None
