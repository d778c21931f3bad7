"""Gradient delays of radial scans: found where spokes cross, corrected and told."""

import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError, RawDataError
from mrirecon.inspection import as_text, inspect_file
from mrirecon.raw.gradient_delays import delayed, estimated_delays
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from tests.readers.array_files import write_hdf5
from tests.readers.trajectory_files import add_spokes, arms, gaussian, mrd_file, signal, spokes

BLOBS = ((4.0, -2.0), (-3.0, 3.0), (1.0, 5.0))
"""What each coil sees, in pixels off the centre."""


def scanned(delays, places, noise=0.0, seed=0):
    """What three coils measure along spokes that are late: (coil, readout, sample)."""
    true = delayed(places.transpose(0, 1), delays).transpose(0, 1)
    coils = [gaussian(true, at, 1.5) + 0.4 * gaussian(true, (at[1], at[0])) for at in BLOBS]
    kspace = np.stack(coils)
    rng = np.random.default_rng(seed)
    added = rng.standard_normal((2, *kspace.shape)) * noise
    return (kspace + added[0] + 1j * added[1]).astype(np.complex64), true


def opened(path, **reading):
    return open_scan(path, ReadOptions(**reading))


DELAYS = [(0.4, -0.25, 0.1), (-1.3, -0.9, 0.0), (0.0, 0.6, -0.2), (2.1, 1.7, 0.3)]


@pytest.mark.parametrize("delays", DELAYS)
@pytest.mark.parametrize(("count", "golden"), [(12, True), (30, False), (30, True)])
def test_delays_are_estimated(delays, count, golden):
    places = spokes(count, golden)
    for noise, near in ((0.0, 0.02), (2e-3, 0.04)):
        kspace, _ = scanned(delays, places, noise)
        found = estimated_delays(kspace.swapaxes(1, 2), places.transpose(0, 1))
        assert found.some and found.scatter < 0.1 < found.before
        np.testing.assert_allclose(found.delays, delays, atol=near)


def test_what_has_no_delays_is_left_alone():
    places = spokes(30, True)
    kspace, _ = scanned((0.0, 0.0, 0.0), places, 2e-3)
    found = estimated_delays(kspace.swapaxes(1, 2), places.transpose(0, 1))
    assert found.sure and not found.some
    noise = estimated_delays(signal(places).swapaxes(1, 2), places.transpose(0, 1))
    assert noise is None or not noise.sure
    assert estimated_delays(kspace[:, :4].swapaxes(1, 2), places[:4].transpose(0, 1)) is None


@pytest.mark.parametrize("kind", ["array", "acquisition"])
def test_trajectories_are_corrected_and_told(tmp_path, kind):
    places, delays = spokes(24, True), DELAYS[0]
    kspace, true = scanned(delays, places)
    path = tmp_path / "scan.h5"
    if kind == "array":
        write_hdf5(path, kspace=kspace, trajectory=places.numpy())
    else:
        add_spokes(mrd_file(), kspace, places).write(path)
    scan = opened(path)
    # samples are half a cycle apart
    torch.testing.assert_close(scan[0].trajectory, true.transpose(0, 1), rtol=0, atol=0.01)
    assert any("found and corrected: 0.40 samples along h" in note for note in scan.header.notes)
    assert "0.40 samples along h, -0.25 along w, 0.10 in common" in as_text(inspect_file(path))
    as_stored = opened(path, gradient_delays="none")[0].trajectory
    torch.testing.assert_close(as_stored, places.transpose(0, 1), rtol=0, atol=1e-4)
    told = opened(path, gradient_delays=delays)[0].trajectory
    torch.testing.assert_close(told, true.transpose(0, 1), rtol=0, atol=1e-4)


def test_frames_with_few_spokes_share_the_delays(tmp_path):
    places, delays = spokes(24, True), DELAYS[1]
    kspace, true = scanned(delays, places)
    write_hdf5(tmp_path / "a.h5", kspace=kspace, trajectory=places.numpy())
    add_spokes(mrd_file(), kspace, places).write(tmp_path / "b.h5")
    for name in ("a.h5", "b.h5"):
        scan = opened(tmp_path / name, spokes_per_frame=5)
        assert len(scan) == 4 and [f.repetition for f in scan.header.frames] == [0, 1, 2, 3]
        found, wanted = scan[2].trajectory, true[10:15].transpose(0, 1)
        torch.testing.assert_close(found, wanted, rtol=0, atol=0.02)
        torch.testing.assert_close(
            scan[2].kspace.transpose(1, 2).numpy(), kspace[:, 10:15], rtol=1e-4, atol=1e-5
        )
        assert any("4 readouts at the end" in note for note in scan.header.notes)
    with pytest.raises(RawDataError, match="only 24"):
        opened(tmp_path / "a.h5", spokes_per_frame=25)


def test_delays_that_cannot_be(tmp_path):
    for wrong in ("some", (1.0, 2.0), "1,2,3"):
        with pytest.raises(ConfigError, match="three delays in samples"):
            ReadOptions(gradient_delays=wrong)
    places = arms()
    path = write_hdf5(tmp_path / "a.h5", kspace=signal(places), trajectory=places.numpy())
    with pytest.raises(RawDataError, match="these readouts are spiral"):
        opened(path, gradient_delays=(1.0, 0.0, 0.0))
    one = spokes()
    path = write_hdf5(tmp_path / "b.h5", kspace=signal(one)[:1], trajectory=one.numpy())
    assert any("need two coils" in note for note in opened(path).header.notes)


@pytest.mark.parametrize("kind", ["array", "acquisition"])
def test_frames_are_calibrated_by_all_of_them(tmp_path, kind):
    places = spokes(40, True)
    kspace, _ = scanned((0.0, 0.0, 0.0), places)
    path = tmp_path / "scan.h5"
    if kind == "array":
        write_hdf5(path, kspace=kspace, trajectory=places.numpy())
    else:
        add_spokes(mrd_file(), kspace, places).write(path)
    scan = opened(path, spokes_per_frame=8)
    found = scan[3].calibration
    assert found.shape == (3, 16, 16) and scan[0].calibration.equal(found)
    axes = torch.arange(16) - 8.0
    grid = torch.stack(torch.meshgrid(axes, axes, indexing="ij"), -1)
    coils = [gaussian(grid, at, 1.5) + 0.4 * gaussian(grid, (at[1], at[0])) for at in BLOBS]
    wanted = torch.from_numpy(np.stack(coils))
    inside = grid.norm(dim=-1) < 7
    error = (found - wanted)[:, inside].norm() / wanted[:, inside].norm()
    assert error < 0.1
    assert any("mean of all over time" in note for note in scan.header.notes)
    assert opened(path)[0].calibration is None
