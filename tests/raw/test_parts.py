"""Noise, readout placement, grids and geometry as pure functions."""

import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.fourier import fft
from mrirecon.image import center_fit
from mrirecon.raw import whitening as raw_whitening
from mrirecon.raw.header import Encoding, Space
from mrirecon.raw.kspace_grid import plan_grid
from mrirecon.raw.mrd_records import ACQUISITION_HEADER, AcquisitionFlag
from mrirecon.raw.oversampling import (
    center_recorded,
    nearest_sample,
    readout_ranges,
    required_size,
)
from mrirecon.raw.readouts import Readouts
from mrirecon.raw.slice_positions import slice_stack
from mrirecon.raw.sorting import remove_oversampling
from mrirecon.raw.whitening import noise_covariance, noise_scan


def heads(count=1, **fields):
    result = np.zeros(count, ACQUISITION_HEADER)
    result["read_dir"], result["phase_dir"], result["slice_dir"] = np.eye(3)
    for name, value in fields.items():
        target = result if name in ACQUISITION_HEADER.names else result["idx"]
        target[name] = value
    return result


def noise(x, dwell=0.0, labels=()):
    readouts = Readouts(heads(sample_time_us=dwell), [x.astype(np.complex64)])
    return noise_scan(readouts, dict(enumerate(labels)), "here")


def whitening(scan, dwell, bandwidth=None, labels=(), coils=None):
    coils = coils or len(scan.covariance)
    return raw_whitening.whitening(scan, coils, dict(enumerate(labels)), dwell, bandwidth)


def test_covariance_keeps_the_mean():
    x = np.array([[1, 1, 1], [1j, 1j, 1j]], np.complex64)
    expected = np.array([[1.5, -1.5j], [1.5j, 1.5]])
    np.testing.assert_allclose(noise_covariance(x), expected, atol=1e-12)


def test_whitening_inverts_the_covariance():
    x = np.random.default_rng(0).standard_normal((2, 4, 500))
    x = np.random.default_rng(1).standard_normal((4, 4)) @ (x[0] + 1j * x[1])
    result = whitening(noise(x), 0.0)
    covariance = noise_covariance((result.matrix @ x).astype(np.complex64))
    np.testing.assert_allclose(covariance, 2 * np.eye(4), atol=1e-4)
    assert np.allclose(np.triu(result.matrix, 1), 0)  # inverse Cholesky factor
    scaled = whitening(noise(x, dwell=2.0), 5.0, 0.9).matrix
    np.testing.assert_allclose(scaled, result.matrix * np.sqrt(2.5 * 0.9), rtol=1e-5)
    default = whitening(noise(x, dwell=2.0), 5.0).matrix
    np.testing.assert_allclose(default, result.matrix * np.sqrt(2.5 * 0.793), rtol=1e-5)


def test_degenerate_noise():
    x = np.random.default_rng(0).standard_normal((3, 500)).astype(np.complex64)
    x[1] = x[0]
    x[2] = 0
    result = whitening(noise(x), 0.0, labels=("A", "B", "C"))
    assert [note.split(":")[0] for note in result.notes[:2]] == [
        "Channels left out, without noise", "Channels left out, copies of other channels",
    ]  # fmt: skip
    assert "2 (C)" in result.notes[0] and "1 (B)" in result.notes[1]
    assert result.matrix[0, 0] != 0 and np.count_nonzero(result.matrix) == 1


@pytest.mark.parametrize("value", [0.0, 1e-7, 1e-3, 2e4, np.nan, np.inf], ids=str)
@pytest.mark.parametrize("channel", [0, 2, 4])
def test_one_bad_channel_leaves_the_whitening_of_the_others_as_it_would_be(value, channel):
    x = np.random.default_rng(0).standard_normal((2, 5, 800))
    x = np.random.default_rng(1).standard_normal((5, 5)) @ (x[0] + 1j * x[1])
    others = np.delete(np.arange(5), channel)
    x[channel] *= value
    result = whitening(noise(x), 0.0)
    assert result.white and f" {channel} (counted from 0)" in result.notes[0]
    np.testing.assert_allclose(
        result.matrix[np.ix_(others, others)], whitening(noise(x[others]), 0.0).matrix, rtol=1e-4
    )
    assert not result.matrix[channel].any() and not result.matrix[:, channel].any()


def test_channels_of_different_gain_are_all_used():
    gain = np.array([1.0, 30.0, 0.05, 1.0])[:, None]
    x = np.random.default_rng(0).standard_normal((2, 4, 900))
    result = whitening(noise(gain * (x[0] + 1j * x[1])), 0.0)
    assert result.white and result.matrix.any(axis=0).all()
    assert len(result.notes) == 1  # on the dwell time
    for bad in (np.zeros((2, 90)), np.full((2, 90), np.nan), np.ones((2, 1))):
        with pytest.raises(RawDataError, match="empty, zero or not finite"):
            whitening(noise(bad), 0.0)


@pytest.mark.parametrize("place", [64, 0, 100])
def test_noise_readouts_with_an_echo_are_refused(place):
    rng = np.random.default_rng(0)
    heads = np.zeros(6, ACQUISITION_HEADER)
    heads["number_of_samples"] = 128
    x = rng.standard_normal((6, 3, 128)) + 1j * rng.standard_normal((6, 3, 128))
    gain = np.array([1.0, 1e-3, 50.0])[:, None]  # the loudest channel does not decide
    samples = list((gain * x).astype(np.complex64))
    assert noise_scan(Readouts(heads, samples), {}, "").samples == 768
    echo = 30 * np.exp(-np.abs(np.arange(128) - place) / 2)
    signal = [(one + gain * echo).astype(np.complex64) for one in samples]
    with pytest.raises(RawDataError, match=rf"have an echo at sample {place} of 128"):
        noise_scan(Readouts(heads, signal), {}, "")


def test_coils_of_another_noise_scan_are_matched_by_name():
    scale = np.array([1.0, 2.0, 4.0])[:, None]
    x = np.random.default_rng(0).standard_normal((3, 900)) * scale
    scan = noise(x, labels=("a", "b", "c"))
    result = whitening(scan, 0.0, labels=("c", "a"), coils=2)
    assert "by name" in result.notes[0]
    ratio = abs(result.matrix[1, 1] / result.matrix[0, 0])
    assert ratio == pytest.approx(4, rel=0.1)  # coil c has four times the noise of coil a
    with pytest.raises(RawDataError, match="lacks the coils d"):
        whitening(scan, 0.0, labels=("a", "d"), coils=2)
    with pytest.raises(RawDataError, match="3 channels, the image 2"):
        whitening(scan, 0.0, coils=2)


@pytest.mark.parametrize("full", [31, 32])
@pytest.mark.parametrize("size", [15, 16, 31])
def test_oversampling_is_removed_in_image_space(full, size):
    image = torch.randn(3, size, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    reduced = remove_oversampling(fft(center_fit(image, (full,)), (-1,)), size)
    torch.testing.assert_close(reduced, fft(image, (-1,)), rtol=1e-5, atol=1e-5)


def test_windows_of_reversed_readouts():
    flags = [0, AcquisitionFlag.REVERSE.mask]
    placed = readout_ranges(
        heads(2, flags=flags, number_of_samples=10, center_sample=[4, 5], discard_pre=[1, 2],
              discard_post=[2, 1])
    )  # fmt: skip
    assert placed.first.tolist() == [1, 1] and placed.last.tolist() == [8, 8]
    assert placed.start.tolist() == [-3, -3] and placed.stop.tolist() == [4, 4]
    assert required_size(placed) == 7


@pytest.mark.parametrize(("n", "center", "size"), [(64, 32, 64), (65, 32, 65), (60, 20, 79)])
def test_required_size(n, center, size):
    assert required_size(readout_ranges(heads(number_of_samples=n, center_sample=center))) == size


def test_centers_of_zero_are_believed_only_when_they_fit():
    assert not center_recorded(heads(2, number_of_samples=64), 64)
    assert center_recorded(heads(2, number_of_samples=32), 64)
    assert center_recorded(heads(2, number_of_samples=64, center_sample=[0, 32]), 64)


@pytest.mark.parametrize(("full", "size"), [(64, 32), (64, 64), (66, 33), (65, 33), (63, 31)])
def test_center_stays_center(full, size):
    nearest = nearest_sample(full, size)
    assert nearest[size // 2] == full // 2 and (np.diff(nearest) >= 1).all()


def grid(encoded, recon, lines=8):
    step = np.arange(lines)
    fields = {"number_of_samples": 32, "center_sample": 16, "kspace_encode_step_1": step}
    encoding = Encoding(encoded=encoded, recon=recon)
    return plan_grid(encoding, heads(lines, **fields), None)


def test_canvas_is_the_encoded_view_in_recon_pixels():
    encoded = Space((32, 8, 1), (64.0, 33.0, 5.0))
    result = grid(encoded, Space((32, 20, 1), (32.0, 20.0, 5.0)))
    assert result.shape == (16, 8)
    assert result.canvas == (32, 33) and result.matrix == (32, 20)  # fits exactly: odd stands
    result = grid(encoded, Space((32, 20, 1), (32.0, 19.8, 5.0)))
    assert result.canvas == (32, 34)  # 33.3 pixels: Gadgetron's even rounding
    assert result.voxel == pytest.approx((1.0, 33.0 / 34, 5.0))


def test_a_larger_recon_view_is_limited_and_told():
    result = grid(Space((32, 8, 1), (64.0, 16.0, 5.0)), Space((16, 12, 1), (32.0, 24.0, 5.0)))
    assert result.matrix == (16, 8) and any("holds 8" in note for note in result.notes)


def test_header_without_numbers():
    result = grid(Space(), Space())
    assert (result.shape, result.canvas, result.matrix) == ((32, 8),) * 3
    assert result.voxel is None and result.phase.center == 4 and len(result.notes) == 5


def stack(positions, **fields):
    count = len(positions)
    return slice_stack(heads(count, position=positions, slice=np.arange(count), **fields))


def test_slices_follow_their_positions():
    result = stack([[0, 0, 4], [0, 0, -4], [0, 0, 0]])
    assert result.order == (1, 2, 0)
    assert result.geometry.positions == ((0, 0, -4), (0, 0, 0), (0, 0, 4))
    assert "sorted" in result.notes[0]


def test_unequal_gaps_are_told():
    result = stack([[0, 0, 0], [0, 0, 1], [0, 0, 2.2], [0, 0, 3.1]])
    assert "0.90 to 1.20 mm" in result.notes[0]
    assert result.geometry.step is None and not result.geometry.regular


@pytest.mark.parametrize(
    ("positions", "fields", "words"),
    [
        ([[0, 0, 0], [0, 0, 0]], {}, "same position"),
        ([[0, 0, 0]], {"read_dir": 0, "phase_dir": 0, "slice_dir": 0}, "all zero"),
        ([[0, 0, 0]], {"read_dir": [0, 1, 0]}, "orthogonal"),
        ([[0, 0, np.nan]], {}, "not finite"),
    ],
)
def test_unusable_geometry_is_told(positions, fields, words):
    result = stack(positions, **fields)
    assert result.geometry is None and words in result.notes[0]
    assert result.order == tuple(range(len(positions)))
