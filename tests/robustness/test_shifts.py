"""Shifts do to k-space what they say of the object."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import rotate

from mrirecon import robustness
from mrirecon.data.transforms import Undersample
from mrirecon.errors import ConfigError
from mrirecon.evaluation.scores.protocol import score
from mrirecon.fourier import fft, ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.robustness.rigid import displaced, rotated
from mrirecon.robustness.shifts.coils import FewerCoils
from mrirecon.robustness.shifts.features import SmallFeatures, disc, shown_contrast
from mrirecon.robustness.shifts.field_of_view import SmallerFieldOfView, wrapped
from mrirecon.robustness.shifts.inhomogeneity import Inhomogeneity, smooth_field
from mrirecon.robustness.shifts.mask_family import LINES, POINTS, MaskFamily
from mrirecon.robustness.shifts.matrix import SmallerMatrix
from mrirecon.robustness.shifts.motion import ShotMotion, in_shots, shot_of_lines
from mrirecon.robustness.shifts.noise import AddedNoise
from mrirecon.robustness.shifts.rotation import Rotation
from mrirecon.robustness.shifts.spikes import Spikes
from mrirecon.sampling import EquispacedFractionLines, MixedPatterns, PoissonDisc, RandomLines
from mrirecon.simulation import Prescription, SimulatedScan, SimulationProtocol
from mrirecon.simulation.trajectories import RadialTrajectory
from tests.robustness.cases import SHAPE, blob, case_of, coil_images, smooth_case
from tests.simulation.test_motion import BEATING, HEART, moving

SHIFTS = [
    getattr(robustness, name) for name in robustness.__all__ if name not in ("Shift", "WorstCase")
]


def sample_of(case):
    return case.slices[0].sample


def acquired(case):
    return Undersample(case.sampling)(case.scan()[0])


@pytest.fixture(scope="module")
def simulated():
    from mrirecon.robustness.case import simulated_case

    protocol = SimulationProtocol(
        coils=4, prescription=Prescription(matrix=(48, 48), slices=1), lesions=False
    )
    return simulated_case(SimulatedScan(7, protocol), [0], EquispacedFractionLines(3, acs=12))


def test_the_first_frame_of_moving_objects_is_a_case_and_trajectories_are_refused():
    from mrirecon.robustness.case import simulated_case

    beating = moving([BEATING], HEART, count=3)
    case = simulated_case(beating, [0], EquispacedFractionLines(3, acs=12))
    assert len(case.scan()) == 1 and case.scan()[0].frame == 0
    assert torch.equal(root_sum_of_squares(ifft(case.slices[0].clean)), beating.target(0))
    square = Prescription(matrix=(32, 32), slices=1)
    radial = SimulatedScan(
        7, SimulationProtocol(prescription=square, trajectory=RadialTrajectory(4))
    )
    with pytest.raises(ConfigError, match="sampled along a trajectory"):
        simulated_case(radial, [0], EquispacedFractionLines(3, acs=12))


@pytest.mark.parametrize("shift", SHIFTS, ids=lambda shift: shift.__name__)
def test_nothing_changes_at_the_neutral_level_and_something_at_others(shift, simulated):
    one = shift()
    level = one.neutral(simulated)
    assert one(simulated, level) is simulated
    strange = next(level for level in one.levels if level != one.neutral(simulated))
    other, again = one(simulated, strange), one(simulated, strange)
    before, after = acquired(simulated), acquired(other)
    assert before.kspace.shape != after.kspace.shape or not before.kspace.equal(after.kspace)
    assert acquired(again).kspace.equal(after.kspace)
    assert other.name == simulated.name  # which seeds its masks
    assert other.reference().shape == (1, *other.header.matrix)
    assert other.header.coils == len(after.kspace) and other.header.grid == after.kspace.shape[1:]


@pytest.mark.parametrize(
    ("shape", "degrees"), [((32, 32), 5.0), ((33, 40), -17.0), ((33, 31), 9.0)]
)
def test_a_rotated_object_is_where_geometry_says_and_comes_back(shape, degrees):
    angle = np.deg2rad(degrees)
    y, x = 5.0, -3.0
    turned = y * np.cos(angle) - x * np.sin(angle), x * np.cos(angle) + y * np.sin(angle)
    image = blob(shape, y, x, 2.0).to(torch.complex64)[None]
    found = rotated(fft(image), degrees)
    there = blob(shape, *turned, 2.0)
    torch.testing.assert_close(ifft(found)[0].real, there.float(), atol=2e-3, rtol=0)
    torch.testing.assert_close(rotated(found, -degrees), fft(image), atol=1e-4, rtol=0)
    assert float(found.norm()) == pytest.approx(float(image.norm()), rel=1e-5)
    by_spline = rotate(image[0].real.double().numpy(), degrees, reshape=False, order=5)
    if shape == (33, 31):
        np.testing.assert_allclose(ifft(found)[0].real, by_spline, atol=5e-3)


def test_pixels_need_not_be_square():
    """Twice as high as wide: a circle in space stays one."""

    def ellipse(y, x):
        rows, columns = (torch.arange(n, dtype=torch.float64) - n // 2 for n in (32, 64))
        return torch.exp(-((2 * rows[:, None] - y) ** 2 + (columns - x) ** 2) / 50)

    angle = np.deg2rad(12)
    y, x = 8.0, 6.0
    turned = y * np.cos(angle) - x * np.sin(angle), x * np.cos(angle) + y * np.sin(angle)
    found = ifft(rotated(fft(ellipse(y, x).to(torch.complex64)[None]), 12, ratio=2.0))[0].real
    torch.testing.assert_close(found, ellipse(*turned).float(), atol=2e-3, rtol=0)


def test_a_rotation_is_that_of_another_prescription():
    """The simulation scans the same head at an angle; coils stay with the head in both."""

    def scan(tilt):
        prescription = Prescription(matrix=(64, 64), slices=1, tilt=(0.0, tilt))
        return SimulatedScan(3, SimulationProtocol(coils=4, prescription=prescription))

    straight, turned = (scan(tilt) for tilt in (0.0, 5.0))
    scale = float(turned.noise_free(0).norm() / straight.noise_free(0).norm())
    errors = []
    for degrees in (5.0, -5.0, 0.0):
        image = ifft(rotated(straight.noise_free(0), degrees)) * scale
        truth = ifft(turned.noise_free(0))
        errors.append(float((image - truth).norm() / truth.norm()))
    found = min(errors)
    assert found < 0.12 and found < 0.4 * errors[2]  # the edges of k-space are others


@pytest.mark.parametrize("degrees", [0.0, 4.0])
def test_motion_in_one_shot_is_motion_of_the_object(degrees):
    kspace = fft(coil_images())
    shots = torch.zeros(SHAPE[1], dtype=torch.int64)
    found = in_shots(kspace, shots, np.array([[3.0, -2.0, degrees]]))
    assert found.equal(displaced(rotated(kspace, degrees), 3.0, -2.0))
    assert in_shots(kspace, shots, np.zeros((1, 3))).equal(kspace)


def test_displacement_by_whole_pixels_is_a_roll():
    image = coil_images()
    found = ifft(displaced(fft(image), 3.0, -2.0))
    torch.testing.assert_close(found, image.roll((3, -2), (-2, -1)), atol=1e-4, rtol=0)


def test_shots_take_turns_among_acquired_lines_and_the_central_one_stays():
    case = smooth_case()
    sample = acquired(case)
    shots = shot_of_lines(sample, 3)[sample.mask[0]]
    assert shots.tolist() == [i % 3 for i in range(len(shots))]
    moved = ShotMotion(shots=3)(case, 2.0)
    changed = (sample_of(moved).kspace != sample_of(case).kspace).any(0).any(0)
    still = shot_of_lines(sample, 3) == shot_of_lines(sample, 3)[SHAPE[1] // 2]
    assert not changed[still].any() and changed[~still].all()


@pytest.mark.parametrize("known", [True, False])
def test_noise_is_as_strong_as_it_says_and_the_data_tell_it(known):
    case = case_of(torch.zeros(4, *SHAPE, dtype=torch.complex64), noise=2.0)
    if not known:
        case = case.mapped(lambda one: one.disturbed(one.sample.kspace, noise=None))
    noisy = AddedNoise()(case, 3.0)
    added = torch.view_as_real(sample_of(noisy).kspace - sample_of(case).kspace)
    assert float(added.std()) == pytest.approx(6.0, rel=0.02 if known else 0.1)
    if known:
        assert float(sample_of(noisy).noise) == pytest.approx(2 * 10**0.5)
    else:
        assert sample_of(noisy).noise is None
    stronger = torch.view_as_real(
        sample_of(AddedNoise()(case, 6.0)).kspace - sample_of(case).kspace
    )
    torch.testing.assert_close(stronger, 2 * added, rtol=1e-3, atol=1e-4)
    assert noisy.reference().equal(case.reference())


def test_nothing_is_added_where_nothing_was_measured():
    case = smooth_case(noise=1.0)
    mask = torch.arange(SHAPE[1])[None] >= 8
    partial = case.mapped(
        lambda one: replace(
            one, sample=one.sample.replace(kspace=one.sample.kspace * mask, mask=mask)
        )
    )
    for shift in SHIFTS:
        one = shift()
        if one.unsuited(partial) or isinstance(one, SmallerMatrix):
            continue
        for level in one.levels:
            assert not sample_of(one(partial, level)).kspace[..., :8].any()


def test_fewer_coils_are_some_of_them_and_their_reference():
    case = smooth_case(noise=0.1)
    for share, count in ((0.25, 3), (0.5, 2), (0.75, 1), (1.0, 1)):
        fewer = FewerCoils()(case, share)
        kept = sample_of(fewer).kspace
        found = [[bool(k.equal(c)) for c in sample_of(case).kspace].index(True) for k in kept]
        assert len(found) == count == fewer.header.coils
        images = ifft(case.slices[0].clean)[found]
        torch.testing.assert_close(fewer.reference()[0], root_sum_of_squares(images))
    with pytest.raises(ConfigError, match="fewer coils: a level is 2"):
        FewerCoils()(case, 2.0)


def test_compression_keeps_most_energy_and_white_noise():
    case = smooth_case()
    two = sample_of(FewerCoils(by="compression")(case, 0.5)).kspace
    data = sample_of(case).kspace.flatten(1)
    largest = torch.linalg.svdvals(data)[:2]
    torch.testing.assert_close(torch.linalg.svdvals(two.flatten(1)), largest, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("width", [48, 36, 24, 20])
def test_a_smaller_field_of_view_wraps_around(width):
    image = torch.randn(2, 6, 48, dtype=torch.complex64)
    found = wrapped(image, width)
    for x in range(width):
        at = [i for i in range(48) if (i - 24 - (x - width // 2)) % width == 0]
        torch.testing.assert_close(found[..., x], image[..., at].sum(-1))


def test_of_a_smaller_field_of_view_object_and_reference_wrap_around():
    case = smooth_case()
    small = SmallerFieldOfView()(case, 0.25)
    assert small.header.grid == small.header.matrix == (64, 36)
    images = wrapped(coil_images(), 36)
    torch.testing.assert_close(ifft(sample_of(small).kspace), images, atol=1e-4, rtol=0)
    torch.testing.assert_close(small.reference()[0], root_sum_of_squares(images), atol=1e-4, rtol=0)


def test_a_smaller_matrix_has_the_same_field_of_view_and_brightness():
    case = smooth_case(noise=1.0, voxel=(1.0, 2.0, 5.0))
    small = SmallerMatrix()(case, 0.25)
    assert small.header.grid == (48, 36)
    assert small.header.voxel == pytest.approx((64 / 48, 2 * 48 / 36, 5.0))
    assert float(small.reference().max()) == pytest.approx(float(case.reference().max()), rel=0.05)
    added = sample_of(small).kspace - small.slices[0].clean
    assert float(torch.view_as_real(added).std()) == pytest.approx(
        float(sample_of(small).noise), rel=0.05
    )


def test_masks_of_another_family_have_the_same_acceleration_and_centre():
    case = smooth_case(sampling=RandomLines(3, acs=10))
    assert MaskFamily().neutral(case) == "random"
    for name, kind in LINES.items():
        other = MaskFamily()(case, name).sampling
        assert isinstance(other, kind) and (other.acceleration, other.acs) == (3, 10)
    for name, kind in POINTS.items():
        assert MaskFamily()(case, name).sampling == kind(3)
    points = smooth_case(sampling=PoissonDisc(4))
    assert MaskFamily()(points, "random").sampling == RandomLines(4)
    with pytest.raises(ConfigError, match="there is no 'spiral'; choose some of equispaced"):
        MaskFamily()(case, "spiral")
    mixed = smooth_case(sampling=MixedPatterns([RandomLines(3), RandomLines(5)]))
    for shift in (MaskFamily(), robustness.Acceleration()):
        with pytest.raises(ConfigError, match="MixedPatterns has no single acceleration"):
            shift(mixed, shift.levels[0])


def test_shading_multiplies_object_and_reference():
    case = smooth_case()
    shaded = Inhomogeneity()(case, 0.5)
    before, after = case.reference()[0], shaded.reference()[0]
    where = before > 0.05 * before.max()
    change = (after / before)[where].log()
    assert 0.05 < float(change.abs().max()) <= 0.5 + 1e-3
    stronger = (Inhomogeneity()(case, 1.0).reference()[0] / before)[where].log()
    torch.testing.assert_close(stronger, 2 * change, atol=2e-3, rtol=0)
    field = smooth_field((40, 30), np.random.default_rng(0))
    assert float(field.abs().max()) == 1.0
    assert float(max(field.diff(dim=axis).abs().max() for axis in (0, 1))) < 0.3


def test_spikes_are_at_acquired_samples_and_as_large_as_they_say():
    case = smooth_case()
    spiked = Spikes(count=5)(case, 0.5)
    change = sample_of(spiked).kspace - sample_of(case).kspace
    where = (change.abs() > 1e-3).any(0)
    assert int(where.sum()) == 5
    assert bool(acquired(case).mask.expand(*SHAPE)[where].all())
    largest = float(sample_of(case).kspace.abs().max())
    torch.testing.assert_close(
        change[:, where].abs(), torch.full((4, 5), 0.5 * largest), rtol=1e-4, atol=1e-4
    )
    assert spiked.reference().equal(case.reference())


def zero_filled(case):
    return root_sum_of_squares(ifft(acquired(case).kspace))[None]


@pytest.mark.parametrize("contrast", [0.5, -1.0])
def test_small_features_are_found_by_a_perfect_method_and_lost_by_one_that_is_blind(contrast):
    case = smooth_case(noise=0.05)
    for diameter in (3.0, 6.0):
        changed = SmallFeatures(contrast=contrast, count=2)(case, diameter)
        old, new = case.reference(), changed.reference()
        assert shown_contrast(new - old, new - old) == pytest.approx(1)
        assert shown_contrast(torch.zeros_like(old), new - old) == 0
        assert shown_contrast(0.4 * (new - old), new - old) == pytest.approx(0.4)
        share = ((new - old) / old.clamp_min(1e-3))[(new - old).abs() > 1e-3]
        assert float(share.abs().max()) == pytest.approx(abs(contrast), rel=0.03)
        assert bool((share * contrast > 0).all())
        assert float(new.max()) == pytest.approx(float(old.max()), rel=1e-3)
        found = SmallFeatures(contrast=contrast).measured(new, old, (new, old))
        assert found == {"contrast": pytest.approx(1)}


@pytest.mark.parametrize("contrast", [0.5, -1.0])
def test_small_features_are_too_small_for_psnr(contrast, simulated):
    changed = SmallFeatures(contrast=contrast, count=1)(simulated, 3.0)
    before, after = (score("", "", zero_filled(c), c.reference()) for c in (simulated, changed))
    assert 0 < abs(after.psnr - before.psnr) < 0.1


def test_a_disc_is_as_wide_as_it_says():
    for diameter in (3.0, 6.0, 9.0):
        found = disc((40, 40), (20, 17), diameter)
        area = np.pi / 4 * diameter**2
        assert float(found.sum()) == pytest.approx(area, rel=0.12)
        assert float(found[20, 17]) > 0.9 and float(found[20, 17 + int(diameter)]) < 0.02


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (lambda: SmallFeatures(contrast=0.0), "contrast is 0.0"),
        (lambda: SmallFeatures(contrast=-2.0), "expected at least -1"),
        (
            lambda: Rotation()(smooth_case(), 90.0),
            "rotation: a level is 90.0; expected a number, -45",
        ),
        (lambda: AddedNoise()(smooth_case(), "much"), "noise: a level is 'much'"),
        (lambda: robustness.OtherContrast()(smooth_case(), "t1"), "a measured scan cannot"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        settings()
