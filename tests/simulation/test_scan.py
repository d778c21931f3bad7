import pickle
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError
from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.simulation.contrast import CONTRASTS
from mrirecon.simulation.receiver_noise import whitening
from mrirecon.simulation.simulated_scan import SimulatedScan, simulated_scans
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol
from tests import scenes

SMALL = SimulationProtocol(prescription=Prescription(matrix=(64, 60), slices=3), coils=5)


def same(a, b):
    return all(scenes.equal(value, b.tensors()[name]) for name, value in a.tensors().items())


def test_equal_arguments_give_bit_identical_samples_in_any_order():
    first, second = SimulatedScan(4, SMALL, True), SimulatedScan(4, SMALL, True)
    backwards = [second[index] for index in (2, 1, 0)][::-1]
    assert all(same(a, b) for a, b in zip(first, backwards, strict=True))
    assert same(first[1], pickle.loads(pickle.dumps(first))[1])
    assert len(pickle.dumps(first)) < 100_000  # parameters, not images


def test_subjects_slices_and_noise_differ():
    samples = [SimulatedScan(subject, SMALL)[1] for subject in range(4)]
    images = [s.target / torch.linalg.vector_norm(s.target) for s in samples]
    for i in range(4):
        for j in range(i):
            # 1 for the same picture; heads of different people overlap, their details do not
            assert float((images[i] * images[j]).sum()) < 0.97
    scan = SimulatedScan(0, SMALL)
    noise = [scan[i].kspace - scan.noise_free(i) for i in range(2)]
    correlation = (noise[0].conj() * noise[1]).mean().abs() / 2
    assert correlation < 5 / np.sqrt(noise[0].numel())


def test_neighbouring_slices_are_similar_and_distant_ones_are_not():
    stack = Prescription(matrix=(64, 64), slices=3, thickness=1.0, gap=0.0)
    thin = [s.target for s in SimulatedScan(1, replace(SMALL, prescription=stack))]
    thick = [
        s.target for s in SimulatedScan(1, replace(SMALL, prescription=replace(stack, gap=14.0)))
    ]
    near = torch.linalg.vector_norm(thin[0] - thin[1]) / torch.linalg.vector_norm(thin[1])
    far = torch.linalg.vector_norm(thick[0] - thick[1]) / torch.linalg.vector_norm(thick[1])
    assert 0.01 < near < 0.5 * far


def test_noise_is_white_with_unit_variance_per_component():
    scan = SimulatedScan(2, SMALL)
    noise = torch.stack([scan[i].kspace - scan.noise_free(i) for i in range(3)], dim=1).flatten(1)
    covariance = noise @ noise.mH / noise.shape[1]
    # 11520 samples: deviations of 1/sqrt(11520) = 0.009 of the diagonal, which is 2
    assert torch.allclose(covariance, 2 * torch.eye(5, dtype=torch.complex64), atol=0.1)
    assert float(noise.real.std()) == pytest.approx(1, abs=0.02)
    assert float(noise.imag.std()) == pytest.approx(1, abs=0.02)


def test_sample_fields():
    scan = SimulatedScan(7, SMALL)
    sample = scan[2]
    assert sample.key == ("subject0007_t2.h5", 2)
    assert sample.kspace.shape == (5, 64, 60)
    assert sample.mask.shape == (1, 60)
    assert sample.mask.all()
    assert sample.maps is None
    assert torch.equal(sample.target, root_sum_of_squares(ifft(scan.noise_free(2))))
    peaks = [float(s.target.max()) for s in scan]
    assert float(sample.peak) == pytest.approx(max(peaks), rel=1e-6)
    with pytest.raises(IndexError):
        scan[3]


def test_signal_to_noise_ratio_scales_the_object_only():
    one, two = (SimulatedScan(3, replace(SMALL, snr=snr)) for snr in (20.0, 40.0))
    assert torch.allclose(2 * one.noise_free(0), two.noise_free(0), rtol=1e-5, atol=1e-4)
    # at low resolution the middle of the brain is representative of the mean
    middle = one.target(1)[20:44, 20:40].mean()
    assert 8 < float(middle) < 30


def test_maps_are_true():
    scan = SimulatedScan(5, SMALL, with_maps=True)
    sample = scan[1]
    assert torch.allclose(root_sum_of_squares(sample.maps), torch.ones(64, 60), atol=1e-5)
    coil_images = ifft(scan.noise_free(1))
    combined = (sample.maps.conj() * coil_images).sum(dim=0)
    projected = sample.maps * combined
    error = torch.linalg.vector_norm(coil_images - projected) / torch.linalg.vector_norm(
        coil_images
    )
    # the object is sharper than a pixel, so maps explain the images but for Gibbs ringing: no
    # inverse crime, but no wrong maps either (shuffled maps give 0.9)
    assert 1e-5 < error < 0.03
    assert (combined / combined.abs().clamp(min=1e-9)).imag.abs().max() > 0.1  # object phase


def test_maps_are_the_fields_at_the_pixels():
    stack = Prescription(matrix=(64, 61), slices=2, tilt=(20.0, 0.0))
    scan = SimulatedScan(5, replace(SMALL, prescription=stack))
    y, x = np.mgrid[:64, :61]
    y, x = (y - 32) * 220 / 64, (x - 30) * 220 / 61
    geometry = scan.header.geometry
    points = (
        np.array(geometry.positions[1])
        + y[..., None] * np.array(geometry.row_direction)
        + x[..., None] * np.array(geometry.column_direction)
    )
    array = scan._subject.array
    fields = whitening(scan.covariance) @ array.sensitivity(points.reshape(-1, 3))
    fields = (fields / np.linalg.norm(fields, axis=0)).reshape(5, 64, 61)
    head = np.hypot(y / 100, x / 85) < 1
    # interpolation from nodes 5.6 mm apart costs a tenth of a percent; half a pixel, 3 percent
    error = np.abs(scan.true_maps(1).numpy() - fields)[:, head]
    assert error.max() < 0.01
    assert np.sqrt(np.square(error).mean()) < 0.001


def test_contrasts_of_a_subject_show_the_same_anatomy():
    t2, flair = (SimulatedScan(6, replace(SMALL, contrast=CONTRASTS[c])) for c in ("t2", "flair"))
    assert (t2.header.subject, flair.header.subject) == ("subject0006", "subject0006")
    assert flair.header.name == "subject0006_flair.h5"
    assert flair.header.acquisition == "AXFLAIR"
    head = [s.target(1) > 0.1 * s.target(1).max() for s in (t2, flair)]
    ours = (head[0] & head[1]).sum() / (head[0] | head[1]).sum()
    other = SimulatedScan(8, SMALL).target(1)
    other = other > 0.1 * other.max()
    assert not torch.equal(t2.target(1), flair.target(1))
    assert ours > (head[0] & other).sum() / (head[0] | other).sum()


def test_truncation_makes_gibbs_ringing():
    scan = SimulatedScan(0, SMALL)
    image = scan.target(1)
    outside = image[:3, :3].mean() / image.max()
    assert 0 < outside < 0.02


def test_odd_matrix_agrees_with_even_one():
    shapes = [(65, 63), (64, 64)]
    targets = [
        SimulatedScan(1, replace(SMALL, prescription=Prescription(matrix=s, slices=1))).target(0)
        for s in shapes
    ]
    centers = []
    for target in targets:  # centre of mass in mm relative to index n // 2
        h, w = target.shape
        rows, columns = (torch.arange(n) - n // 2 for n in (h, w))
        weight = target.square() / target.square().sum()
        centers.append(
            [
                float((weight.sum(1) * rows).sum()) * 220 / h,
                float((weight.sum(0) * columns).sum()) * 220 / w,
            ]
        )
    # half a pixel, the mistake to expect, is 1.7 mm
    np.testing.assert_allclose(centers[0], centers[1], atol=0.4)


def test_geometry_places_a_shifted_stack():
    base = Prescription(matrix=(64, 64), slices=1)
    shifted = replace(base, center=(0.0, 2 * 220 / 64, 14.0))  # two pixels posterior
    a, b = (SimulatedScan(1, replace(SMALL, prescription=p)).target(0) for p in (base, shifted))
    a, b = a / a.mean(), b / b.mean()
    moved = torch.linalg.vector_norm(b[:-2] - a[2:])
    assert moved < 0.3 * torch.linalg.vector_norm(b - a)


def test_oblique_directions_are_orthonormal_and_slices_are_spaced_by_thickness_and_gap():
    stack = Prescription(
        slices=3, thickness=4.0, gap=1.5, tilt=(20.0, 10.0), orientation="sagittal"
    )
    geometry = stack.geometry()
    axes = np.array([geometry.row_direction, geometry.column_direction, geometry.slice_direction])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    steps = np.diff(np.array(geometry.positions), axis=0)
    np.testing.assert_allclose(steps, np.tile(5.5 * axes[2], (2, 1)), atol=1e-12)


def test_disjoint_ranges_share_no_subject_and_contrasts_alternate():
    train, test = simulated_scans(0, 6, SMALL), simulated_scans(6, 4, SMALL)
    assert not {s.header.subject for s in train} & {s.header.subject for s in test}
    assert [s.protocol.contrast.label for s in train] == ["t1", "t2", "flair", "pd", "t1", "t2"]
    assert {s.protocol.contrast.label for s in simulated_scans(0, 3, SMALL, ())} == {"t2"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Prescription(orientation="oblique"), "axial"),
        (lambda: Prescription(slices=0), "at least 1 slice"),
        (lambda: SimulationProtocol(snr=0.0), "snr"),
        (lambda: SimulatedScan(-1), "-1"),
        (lambda: simulated_scans(0, 1, contrasts=("t3",)), "'t3'"),
        (
            lambda: SimulatedScan(
                0, replace(SMALL, prescription=Prescription(slices=1, center=(0.0, 0.0, 400.0)))
            )[0],
            "no brain",
        ),
    ],
)
def test_impossible_requests_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_slice_is_cheap_to_draw():
    scan = SimulatedScan(0, SimulationProtocol())
    scan[0]
    times = []
    for index in range(8):
        start = time.perf_counter()
        scan[index]
        times.append(time.perf_counter() - start)
    assert min(times) < 0.15  # about 0.025 s; training draws slices on the fly


def test_result_does_not_depend_on_the_number_of_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = SimulatedScan(9, SMALL)[0]
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        assert same(two, SimulatedScan(9, SMALL)[0])
    finally:
        torch.set_num_threads(before)
