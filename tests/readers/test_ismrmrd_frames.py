"""Contrasts, sets, phases and repetitions; averages that differ from place to place."""

import numpy as np
import pytest
import torch

from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.readers import open_scan
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.scan import Frame
from mrirecon.sensitivity import GivenMaps
from tests.readers.mrd_files import MrdFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


def close(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("counter", ["contrast", "set", "phase", "repetition"])
def test_every_counter_makes_frames(path, counter):
    """Stored interleaved, with values that do not start at 0; sorted frame by frame."""
    file = MrdFile(shape=(2, 2, 16, 12))
    for row in range(12):
        for value in (7, 3):
            for slice_ in (1, 0):
                file.line(row, slice_, gain=value, **{counter: value})
    scan = open_scan(file.write(path))
    assert scan.header.frames == (Frame(**{counter: 3}), Frame(**{counter: 7}))
    assert len(scan) == 4 and scan.header.slices == 2
    for index, sample in enumerate(scan):
        frame, slice_ = divmod(index, 2)
        close(sample.kspace, (3, 7)[frame] * file.kspace[slice_])
        assert sample.key == ("scan.h5", index) and sample.mask.all()


def test_counters_combine_and_what_is_missing_is_told(path):
    """Two echoes in two repetitions, of which the last was aborted after its first slice."""
    file = MrdFile(shape=(2, 1, 16, 12))
    for repetition, echo, slice_ in np.ndindex(2, 2, 2):
        if (repetition, echo, slice_) != (1, 1, 1):
            file.lines(slice_=slice_, contrast=echo, repetition=repetition)
    scan = open_scan(file.write(path))
    assert [(f.contrast, f.repetition) for f in scan.header.frames] == [
        (0, 0), (0, 1), (1, 0), (1, 1)
    ]  # fmt: skip
    assert not scan[7].mask.any() and not scan[7].kspace.any()
    close(scan[6].kspace, file.kspace[0])
    assert any("1 of 8 slices have fewer lines" in note for note in scan.header.notes)
    assert scan.header.echo_times == (90.0, 180.0)


def test_a_reference_scan_serves_every_frame(path):
    file = MrdFile(xml={"calibration": "separate"})
    file.lines(range(4, 9), flags=(AcquisitionFlag.PARALLEL_CALIBRATION,))
    file.lines(range(0, 12, 2), repetition=0).lines(range(1, 12, 2), repetition=1)
    scan = open_scan(file.write(path))
    for sample in scan:
        close(sample.calibration, file.kspace[0][:, :, 4:9])
    assert [s.mask[0].tolist() for s in scan] == [[True, False] * 6, [False, True] * 6]


def test_counts_of_unequal_averages_are_weights(path):
    """Lines 4..8 were measured three times, the others once."""
    file = MrdFile().lines()
    for average in (1, 2):
        file.lines(range(4, 9), average=average)
    sample = open_scan(file.write(path))[0]
    close(sample.kspace, file.kspace[0])
    weight = torch.full((1, 12), 1 / 3)
    weight[:, 4:9] = 1
    close(sample.weights, weight)


def test_equal_averages_have_no_weights(path):
    file = MrdFile().lines(average=0).lines(average=1)
    assert open_scan(file.write(path))[0].weights is None


def test_weighted_noise_has_unit_variance_where_the_weight_is_one(path):
    rng = np.random.default_rng(3)
    file = MrdFile(shape=(1, 2, 64, 48)).noise(9 * np.eye(2), count=200)
    for row in range(48):
        for average in range(4 if row < 24 else 1):
            x = rng.standard_normal((2, 2, 128)) * 3 / np.sqrt(2 * 0.8)  # noise bandwidth 0.8
            file.add(x[0] + 1j * x[1], ky=row, average=average)
    sample = open_scan(file.write(path))[0]
    spread = sample.kspace.real.std((0, 1)) * sample.weights[0].sqrt()
    assert sample.weights[0].tolist() == [1.0] * 24 + [0.25] * 24
    assert spread.mean() == pytest.approx(1, abs=0.03)


def test_cg_sense_solves_the_weighted_least_squares_problem():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, dtype=torch.complex64, generator=generator)

    from mrirecon.operators import data_weights, penalty_share, sense
    from mrirecon.types import Sample

    maps = draw(2, 6, 5)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    mask = torch.rand(6, 5, generator=generator) > 0.3
    weights = torch.rand(6, 5, generator=generator) * mask
    y = draw(2, 6, 5) * mask
    sample = Sample(y, mask, weights=weights, maps=maps)
    x = CgSense(GivenMaps(), regularization=0.01, iterations=200, tolerance=1e-7)(sample)
    A = sense(maps, mask)
    W, weight = data_weights(sample), 0.01 * penalty_share(sample)
    gradient = A.H(W * (A(x) - y)) + weight * x
    assert torch.linalg.vector_norm(gradient) < 1e-4 * torch.linalg.vector_norm(A.H(y))
