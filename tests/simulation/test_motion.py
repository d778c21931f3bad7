import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from mrirecon.errors import ConfigError
from mrirecon.image import root_sum_of_squares
from mrirecon.scan import Frame
from mrirecon.simulation.contrast import CONTRASTS
from mrirecon.simulation.motion import Beating, Breathing
from mrirecon.simulation.moving_frames import MovingFrames
from mrirecon.simulation.simulated_scan import SimulatedScan, simulated_scans
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol

BEATING, BREATHING = Beating(800.0), Breathing(4000.0)
HEART = Prescription((64, 60), (160.0, 150.0), slices=1)
HEART = replace(HEART, center=(-10.0, -5.0, 0.0))
LIVER = Prescription((64, 60), (260.0, 300.0), slices=1, orientation="coronal")
LIVER = replace(LIVER, center=(-45.0, 20.0, -50.0))


def moving(motions, prescription=HEART, subject=1, count=4, interval=100.0, **options):
    frames = MovingFrames(motions, count, interval, **options)
    protocol = SimulationProtocol(
        CONTRASTS["bssfp"], prescription, coils=4, body_part="torso", frames=frames
    )
    return SimulatedScan(subject, protocol)


def points(*places):
    return np.array(places, np.float32).T


def extent_in_mm(image, scan):
    return [size / n for size, n in zip(scan.protocol.prescription.fov, image.shape, strict=True)]


@pytest.mark.parametrize(
    ("motions", "prescription", "interval"),
    [
        ([BEATING], HEART, 90.0),
        ([BREATHING], LIVER, 660.0),
        ([BREATHING, BEATING], HEART, 430.0),
        ([Breathing(4000.0, anterior=6.0)], replace(LIVER, orientation="sagittal",
                                                    center=(-100.0, 20.0, -50.0)), 660.0),
    ],
    ids=["beating", "breathing", "both", "sagittal"],
)  # fmt: skip
def test_the_truth_at_rest_warped_by_the_displacement_is_the_truth_of_the_frame(
    motions, prescription, interval
):
    if len(motions) == 2:  # in an axial slice breathing would move through the plane
        motions = [replace(motions[0], amplitude=0.0, anterior=8.0), motions[1]]
    scan = moving(motions, prescription, interval=interval)
    shading = root_sum_of_squares(scan._subject.sensitivity(0, (64, 60), False)).numpy()
    rest, frame = (scan.target(i).numpy() / shading for i in (0, 3))
    u = scan.displacement(3)
    assert u.shape == (3, 64, 60) and u.dtype == np.float32
    assert not scan.displacement(0).any()
    assert np.abs(u[2]).max() < 1e-4  # within the plane
    steps = np.array(extent_in_mm(rest, scan))[:, None, None]
    places = np.mgrid[:64, :60] + u[:2] / steps
    warped = map_coordinates(rest, places, order=3, mode="nearest")
    moved = np.hypot(*u[:2]) > 1.5
    still, error = (np.linalg.norm((x - frame)[moved]) for x in (rest, warped))
    size = np.linalg.norm(frame[moved])
    assert still > 0.2 * size
    assert error < min(0.12 * size, 0.35 * still)
    wrong = map_coordinates(rest, np.mgrid[:64, :60] - u[:2] / steps, order=3, mode="nearest")
    assert np.linalg.norm((wrong - frame)[moved]) > still


def test_the_heart_contracts_as_its_formula_says():
    beating = Beating(800.0, contraction=0.8, twist=90.0, width=20.0)
    systole = 0.35 * 800.0
    assert beating.extent(systole) == pytest.approx(1)
    assert beating.extent(0.0) == beating.extent(800.0) == beating.extent(700.0) == 0
    assert beating.extent(systole / 2) == pytest.approx(0.5)
    share = np.exp(-((15 / 20) ** 2))
    outward = 15 * (1 + 0.8 * share)
    at = points((15.0, 0.0, 0.0), (0.0, 15.0, 0.0))
    found = at + beating.displacement(at, systole)
    turned = -np.pi / 2 * share
    expected = outward * np.array([[np.cos(turned), np.sin(turned), 0],
                                   [-np.sin(turned), np.cos(turned), 0]])  # fmt: skip
    np.testing.assert_allclose(found, expected.T, atol=1e-4)
    # the cavity of 22 mm at rest is one of 15 mm; its wall of 10 mm becomes thicker
    radius = np.linspace(0, 60, 6001)
    at_rest = radius * (1 + 0.8 * np.exp(-((radius / 20) ** 2)))
    inner, outer = np.interp([22.0, 32.0], at_rest, radius)
    assert 14.5 < inner < 15.5 and 1.3 < (outer - inner) / 10 < 1.5


def test_organs_breathe_and_spine_and_skin_do_not():
    breathing = Breathing(4000.0, amplitude=20.0, anterior=4.0)
    assert breathing.extent(0.0) == 0 and breathing.extent(2000.0) == pytest.approx(1)
    assert breathing.extent(1000.0) == pytest.approx(0.25)
    liver, spine, skin = (-112.0, 20.0, -60.0), (-45.0, 105.0, -60.0), (-45.0, -65.0, -60.0)
    u = breathing.displacement(points(liver, spine, skin), 2000.0)
    # it has come from above and behind
    np.testing.assert_allclose(u[:, 0], (0.0, 4.0, 20.0), atol=0.05)
    np.testing.assert_allclose(u[:, 1:], 0, atol=0.05)


@pytest.mark.parametrize(
    "motion", [Beating(contraction=1.1, twist=60.0), Breathing(amplitude=40.0, anterior=8.0)]
)
def test_no_two_points_come_from_one(motion):
    grid = np.stack(np.meshgrid(*[np.arange(-160.0, 161, 4)] * 3, indexing="ij")).astype(np.float32)
    time = 0.35 * motion.period if isinstance(motion, Beating) else motion.period / 2
    rest = grid + motion.displacement(grid.reshape(3, -1), time).reshape(grid.shape)
    slopes = np.stack([np.stack(np.gradient(one, 4.0)) for one in rest])
    assert np.linalg.det(np.moveaxis(slopes, (0, 1), (-2, -1))).min() > 0.02


def test_series_are_reproducible_and_periodic():
    scan = moving([BEATING], interval=200.0, count=5)
    again = pickle.loads(pickle.dumps(scan))
    assert len(scan) == 5 and scan.header.frames == tuple(Frame(repetition=t) for t in range(5))
    assert scan.header.sequence.frame_interval == 0.2
    for one, other in zip(scan, again, strict=True):
        assert torch.equal(one.kspace, other.kspace) and torch.equal(one.target, other.target)
        assert torch.equal(one.peak, scan[0].peak)
    assert torch.equal(scan.target(0), scan.target(4))  # four frames make a heart beat
    assert not torch.equal(scan[0].kspace, scan[4].kspace)  # noise does not come again
    noise = scan[1].kspace - scan.noise_free(1)
    assert float(noise.real.std()) == pytest.approx(1, abs=0.03)
    change = (scan.target(0) - scan.target(1)).norm() / scan.target(0).norm()
    assert change > 0.1
    assert float(scan[0].peak) == pytest.approx(max(float(s.target.max()) for s in scan), rel=1e-6)
    assert torch.equal(scan[2].target, scan.target(2))


def test_phases_slices_and_variation():
    scan = moving([Beating(800.0, variation=0.2)], replace(HEART, slices=2), counter="phase")
    assert scan.header.frames[3] == Frame(phase=3)
    assert scan.header.sequence.frame_interval is None
    keys = [sample.key for sample in scan]
    assert keys == [(scan.header.name, number) for number in range(8)]
    alone = moving([Beating(800.0, variation=0.2)], subject=1)
    (mine,), (other,) = alone._subject.motions, moving(
        [Beating(800.0, variation=0.2)], subject=2
    )._subject.motions  # fmt: skip
    assert mine != other and 500 < mine.period < 1300
    assert moving([BEATING])._subject.motions == (BEATING,)


def test_readouts_are_measured_while_the_object_moves():
    coarse = moving([BEATING], interval=100.0, count=3, states=2)
    fine = moving([BEATING], interval=25.0, count=9)
    mixed, early, late = coarse.noise_free(1), fine.noise_free(3), fine.noise_free(5)
    assert torch.allclose(mixed[..., :30], early[..., :30], rtol=1e-5)
    assert torch.allclose(mixed[..., 30:], late[..., 30:], rtol=1e-5)
    assert torch.allclose(coarse.target(1), fine.target(4), rtol=1e-5)
    assert torch.equal(coarse[1].target, coarse.target(1))
    assert not torch.allclose(mixed[..., 30:], early[..., 30:], rtol=1e-3)


def test_torsos_take_the_contrast_of_their_protocol():
    protocol = moving([BEATING]).protocol
    scans = simulated_scans(0, 2, protocol)
    assert [scan.protocol.contrast.label for scan in scans] == ["bssfp"] * 2
    assert simulated_scans(0, 1, protocol, ["spgr"])[0].header.name == "subject0000_spgr.h5"


def test_torsos_and_heads_at_rest():
    still = SimulatedScan(1, replace(moving([]).protocol, frames=None))
    assert len(still) == 1 and torch.equal(still.target(0), moving([BEATING]).target(0))
    series = SimulationProtocol(prescription=Prescription((24, 20), slices=1), coils=2)
    head = SimulatedScan(0, replace(series, frames=MovingFrames(count=3)))
    alone = SimulatedScan(0, series)
    assert len(head) == 3 and not head.displacement(2).any()
    assert all(torch.equal(head.target(frame), alone.target(0)) for frame in range(3))
    assert torch.equal(head[0].kspace, alone[0].kspace)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Beating(period=0.0), "period"),
        (lambda: Beating(contraction=1.5), "contraction is 1.5"),
        (lambda: Beating(variation=2.0), "variation"),
        (lambda: Beating(width=0.0), "width"),
        (lambda: Breathing(amplitude=50.0), "amplitude is 50.0 mm"),
        (lambda: MovingFrames(count=0), "count is 0"),
        (lambda: MovingFrames(states=0), "states is 0"),
        (lambda: MovingFrames(interval=-1.0), "interval is -1.0"),
        (lambda: MovingFrames(counter="slice"), "repetition, phase"),
        (lambda: SimulationProtocol(body_part="leg"), "head, torso"),
        (lambda: SimulationProtocol(frames=MovingFrames([BEATING])), "body_part=torso"),
        (lambda: moving([BEATING], replace(HEART, center=(0.0, 1e3, 0.0)))[0], "no heart, liver"),
    ],
)
def test_impossible_motion_is_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
