"""Simulated scans along trajectories, and their raw files."""

from dataclasses import replace

import ismrmrd
import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError
from mrirecon.readers.registry import open_scan
from mrirecon.sampling import Gaussian2d, Spokes, scan_rng
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.phantom import Ellipse, EllipsePhantom
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol
from mrirecon.simulation.subject import Subject
from mrirecon.simulation.trajectories import RadialTrajectory, SpiralTrajectory
from tests.simulation.test_motion import BEATING, HEART, moving

pytest.importorskip("finufft")

N = 32
STACK = Prescription((N, N), slices=2, gap=0.0)
OPTIONS = AcquisitionOptions(noise_readouts=128)
TRAJECTORIES = {
    "radial": RadialTrajectory(12),
    "goldenangle": RadialTrajectory(13, tiny=1),
    "spiral": SpiralTrajectory(6),
}


def scanned(trajectory, prescription=STACK, **options):
    protocol = SimulationProtocol(
        prescription=prescription, coils=3, trajectory=trajectory, **options
    )
    return SimulatedScan(4, protocol, with_maps=True)


@pytest.mark.parametrize("kind", TRAJECTORIES)
def test_samples_bring_their_places_noise_and_truth(kind):
    trajectory = TRAJECTORIES[kind]
    scan = scanned(trajectory)
    sample, clean = scan[1], scan.noise_free(1)
    samples = trajectory.samples(N)
    assert sample.kspace.shape == (3, samples, trajectory.readouts)
    assert sample.trajectory.shape == (samples, trajectory.readouts, 2)
    assert sample.image_grid == sample.grid == scan.header.grid == (N, N)
    assert sample.maps.shape == (3, N, N) and sample.target.shape == (N, N)
    assert float(sample.trajectory.norm(dim=-1).max()) == pytest.approx(N / 2, rel=0.05)
    noise = torch.view_as_real(sample.kspace - clean)
    assert float(noise.std()) == pytest.approx(1, abs=0.05) and float(sample.noise) == 1
    # the object is that of the Cartesian scan, with as much noise in the same time of readout
    grid = scanned(None)
    finer = trajectory.oversampling(N) ** 0.5
    torch.testing.assert_close(sample.target * finer, grid[1].target, rtol=1e-4, atol=1e-3)


def test_spokes_along_an_axis_are_lines_of_the_cartesian_scan():
    spokes, grid = scanned(RadialTrajectory(2, finer=1)), scanned(None)
    line, across = spokes.noise_free(0)[..., 0], spokes.noise_free(0)[..., 1]
    expected = grid.noise_free(0)
    torch.testing.assert_close(line, expected[..., N // 2], rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(across, expected[:, N // 2], rtol=1e-3, atol=2e-3)


def disc(monkeypatch, ellipse):
    """Let every subject be an ellipse in a uniform coil, by the share of each pixel inside it."""
    fine = 8

    def coil_images(self, index, shape, time):  # noqa: ARG001
        phantom = EllipsePhantom((ellipse,), self.protocol.prescription.fov)
        inside = phantom.image((fine * shape[0], fine * shape[1])).roll((fine // 2,) * 2, (0, 1))
        image = inside.unflatten(0, (-1, fine)).unflatten(2, (-1, fine)).mean((1, 3))
        return image.expand(self.protocol.coils, *shape), image.abs()

    monkeypatch.setattr(Subject, "coil_images", coil_images)


@pytest.mark.parametrize(
    "trajectory",
    [*TRAJECTORIES.values(), RadialTrajectory(16, delays=(0.7, -0.4)), RadialTrajectory(7, 5)],
)
def test_samples_are_the_transform_of_an_ellipse(monkeypatch, trajectory):
    ellipse = Ellipse((14.0, -23.0), (61.0, 40.0), 1.0, 20.0)
    disc(monkeypatch, ellipse)
    scan = scanned(trajectory)
    found = scan.noise_free(0)[0]
    meant, measured = (f(N).numpy() for f in (trajectory.places, trajectory.measured_places))
    fov = np.array(STACK.fov)
    exact, missed = (ellipse.kspace(places / fov) for places in (measured, meant))
    scale = np.vdot(exact, found.numpy()) / np.vdot(exact, exact)
    assert np.linalg.norm(found.numpy() - scale * exact) < 0.01 * np.linalg.norm(found)
    assert abs(scale.imag) < 1e-3 * abs(scale)
    if any(getattr(trajectory, "delays", ())):
        assert np.linalg.norm(found.numpy() - scale * missed) > 0.1 * np.linalg.norm(found)


def test_delays_shift_spokes_by_samples():
    trajectory = RadialTrajectory(4, finer=2, delays=(1.5, -0.5))
    shift = (trajectory.measured_places(N) - trajectory.places(N)) * 2  # samples are 1 / 2 apart
    expected = [
        (1.5, 0.0),
        (1.5 / 2**0.5, -0.5 / 2**0.5),
        (0.0, -0.5),
        (-1.5 / 2**0.5, -0.5 / 2**0.5),
    ]
    torch.testing.assert_close(shift, torch.tensor(expected).expand(2 * N, 4, 2), atol=1e-4, rtol=0)


def test_frames_go_on_with_golden_angles_and_repeat_even_ones():
    frames = [RadialTrajectory(5, tiny=1).places(N, frame) for frame in range(3)]
    whole = RadialTrajectory(15, tiny=1).places(N)
    torch.testing.assert_close(torch.cat(frames, 1), whole)
    even = RadialTrajectory(5)
    assert torch.equal(even.places(N, 0), even.places(N, 2))


def test_readouts_are_measured_while_the_object_moves():
    square = replace(HEART, matrix=(N, N), fov=(160.0, 160.0))
    trajectory = RadialTrajectory(8)

    def frames(**options):
        scan = moving([BEATING], square, **options)
        return SimulatedScan(1, replace(scan.protocol, trajectory=trajectory))

    coarse = frames(interval=100.0, count=2, states=4)
    fine = frames(interval=12.5, count=12)
    mixed = coarse.noise_free(1)
    for state, frame in enumerate((5, 7, 9, 11)):  # 100 ms - 37.5, - 12.5, ...
        own = slice(2 * state, 2 * state + 2)
        torch.testing.assert_close(mixed[..., own], fine.noise_free(frame)[..., own])
    torch.testing.assert_close(coarse[1].target, fine.target(8))
    assert coarse[1].frame == 1


@pytest.mark.parametrize(
    ("kind", "slab"), [("radial", False), ("goldenangle", True), ("spiral", False)]
)
def test_files_come_back(tmp_path, kind, slab):
    scan = scanned(TRAJECTORIES[kind], replace(STACK, slices=3))
    path = tmp_path / "scan.h5"
    write_ismrmrd(path, scan, replace(OPTIONS, slab=slab))
    read = open_scan(path)
    assert (read.header.slices, read.header.matrix) == (3, (N, N))
    np.testing.assert_allclose(
        read.header.geometry.positions, scan.header.geometry.positions, atol=1e-3
    )
    for index, sample in enumerate(read):
        clean = scan.noise_free(index)
        torch.testing.assert_close(sample.trajectory, scan[index].trajectory, atol=1e-3, rtol=0)
        noise = (2 * clean.numel()) ** 0.5
        assert float((sample.kspace - clean).norm()) < 1.15 * noise
        assert float((sample.kspace - scan.noise_free((index + 1) % 3)).norm()) > 2 * noise
    with ismrmrd.Dataset(str(path), mode="r") as file:
        header = ismrmrd.xsd.CreateFromDocument(file.read_xml_header())
        last = file.read_acquisition(file.number_of_acquisitions() - 1)
    assert header.encoding[0].trajectory.value == kind
    assert last.traj.shape == (last.number_of_samples, 2) and np.abs(last.traj).max() <= 0.5
    assert (last.idx.kspace_encode_step_2, last.idx.slice) == ((2, 0) if slab else (0, 1))


def test_fewer_readouts_are_written_where_a_pattern_says_so(tmp_path):
    scan, pattern = scanned(RadialTrajectory(12)), Spokes(3, which="consecutive")
    write_ismrmrd(tmp_path / "scan.h5", scan, replace(OPTIONS, sampling=pattern))
    kept = pattern((2 * N, 12), scan_rng(scan.header.name)).mask[0]
    sample = open_scan(tmp_path / "scan.h5")[0]
    measured = sample.mask.expand(sample.kspace.shape[-2:])[0]
    torch.testing.assert_close(
        sample.trajectory[:, measured], scan[0].trajectory[:, kept], atol=1e-3, rtol=0
    )


def test_impossible_trajectories_are_named(tmp_path):
    scan = scanned(RadialTrajectory(4))
    cases = [
        (lambda: RadialTrajectory(0), "readouts is 0"),
        (lambda: RadialTrajectory(tiny=0), "tiny is 0"),
        (lambda: RadialTrajectory(delays=(20.0, 0.0)), "at most 16 samples"),
        (lambda: SpiralTrajectory(arms=0), "arms is 0"),
        (lambda: scanned(RadialTrajectory(), replace(STACK, matrix=(32, 30))), "square image"),
        (lambda: write_fastmri(tmp_path / "a.h5", scan), "has a trajectory"),
    ]
    refused = {
        "which lines of a Cartesian grid have": {"partial_fourier": 0.75},
        "choose sampling=spokes": {"sampling": Gaussian2d(2, (4, 4))},
    }
    cases += [
        (lambda o=options: write_ismrmrd(tmp_path / "a.h5", scan, AcquisitionOptions(**o)), words)
        for words, options in refused.items()
    ]
    slab = AcquisitionOptions(slab=True)
    apart = scanned(RadialTrajectory(4), replace(STACK, gap=1.0))
    cases += [
        (lambda: write_ismrmrd(tmp_path / "a.h5", apart, slab), "the slices of a slab touch"),
        (lambda: write_ismrmrd(tmp_path / "a.h5", scanned(None), slab), "needs trajectories"),
    ]
    for make, words in cases:
        with pytest.raises(ConfigError, match=words):
            make()
    assert not list(tmp_path.iterdir())


def test_delays_are_found_by_what_reads_the_file(tmp_path):
    delays = (0.8, -0.5)
    trajectory = RadialTrajectory(33, delays=delays)
    scan = scanned(trajectory, replace(STACK, matrix=(48, 48)))
    write_ismrmrd(tmp_path / "scan.h5", scan, OPTIONS)
    read = open_scan(tmp_path / "scan.h5")
    assert any("0.80 samples along h, -0.50 along w" in note for note in read.header.notes)
    torch.testing.assert_close(
        read[0].trajectory, trajectory.measured_places(48), atol=0.03, rtol=0
    )
