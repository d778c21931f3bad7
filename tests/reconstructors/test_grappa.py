import numpy as np
import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.data.transforms import Undersample
from mrirecon.fourier import fft, ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.reconstructors.classical import spirit
from mrirecon.reconstructors.classical.adaptive_combine import AdaptiveCombine
from mrirecon.reconstructors.classical.grappa import Grappa
from mrirecon.reconstructors.classical.spirit import Spirit
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.parts import grappa_points
from mrirecon.reconstructors.parts.coil_combination import adaptive_combine
from mrirecon.reconstructors.parts.grappa_lines import gaps
from mrirecon.reconstructors.parts.grappa_region import fillable
from mrirecon.reconstructors.parts.grappa_weights import interpolation_weights, precise
from mrirecon.sampling import EquispacedLines, PoissonDisc, RandomLines
from mrirecon.sensitivity import CalibrationError, Espirit
from mrirecon.types import Sample
from tests import scenes
from tests.sensitivity.scene import batch, scene

METHODS = {
    "grappa": Grappa(),
    "grappa_sense": Grappa(sensitivity=Espirit()),
    "grappa_adaptive": Grappa(combination="adaptive"),
    "spirit": Spirit(),
}


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


def full(shape=(48, 40), coils=6, noise=0.0, seed=0):
    return scene(shape, coils, noise, seed=seed)[0].kspace


def raster(w, every, offset, acs):
    mask = torch.zeros(1, w, dtype=torch.bool)
    mask[:, offset::every] = True
    start = (w - acs + 1) // 2
    mask[:, start : start + acs] = True
    return mask


def lattice(shape, every, shift=0, acs=16):
    mask = torch.zeros(shape, dtype=torch.bool)
    for i, row in enumerate(range(0, shape[0], every[0])):
        mask[row, (i * shift) % every[1] :: every[1]] = True
    rows, columns = ((n - acs + 1) // 2 for n in shape)
    mask[rows : rows + acs, columns : columns + acs] = True
    return mask


def error(filled, kspace):
    return float((filled - kspace).norm() / kspace.norm())


def exact_scene(shape=(48, 44), coils=6):
    """Coils that are short trigonometric polynomials: kernels of their width are exact."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(shape, dtype=torch.complex64, generator=generator)
    narrow = torch.randn(coils, 3, 3, dtype=torch.complex64, generator=generator)
    wide = torch.zeros(coils, *shape, dtype=torch.complex64)
    y, x = shape[0] // 2, shape[1] // 2
    wide[:, y - 1 : y + 2, x - 1 : x + 2] = narrow
    return fft(ifft(wide) * image)


@pytest.mark.parametrize("offset", [0, 1])
def test_grappa_is_exact_where_theory_says_so(offset):
    # coils of 3 x 3 coefficients: 5 x 2 sources of 6 coils span every target's neighbourhood
    kspace = exact_scene()
    mask = raster(44, 2, offset, 22)
    sample = Sample(kspace * mask, mask, acs=torch.tensor([48, 22]))
    filled = Grappa((5, 2), 1e-9).fill(sample)
    inner = (slice(None), slice(4, -4), slice(4, -4))  # beyond the border nothing is known
    assert error(filled[inner], kspace[inner]) < 1e-5


@pytest.mark.parametrize("shape", [(48, 40), (41, 45)])
@pytest.mark.parametrize(("every", "offset"), [(2, 0), (2, 1), (3, 0), (3, 2), (4, 3)])
def test_any_raster_is_filled_and_measured_lines_are_kept(shape, every, offset):
    kspace = full(shape, 8)
    mask = raster(shape[1], every, offset, 16)
    sample = Sample(kspace * mask, mask, acs=torch.tensor([shape[0], 16]))
    filled = Grappa(regularization=1e-5).fill(sample)
    assert torch.equal(filled * mask, sample.kspace)
    assert error(filled, kspace) < {2: 0.012, 3: 0.03, 4: 0.06}[every]
    assert (filled != 0).any(0).any(0).all()  # the edges too


@pytest.mark.parametrize(("every", "shift"), [((2, 2), 0), ((2, 2), 1), ((1, 3), 1)])
def test_two_phase_encodings(every, shift):
    kspace = full((48, 45), 8)
    mask = lattice((48, 45), every, shift)
    sample = Sample(kspace * mask, mask, acs=torch.tensor([16, 16]))
    for method, limit in ((Grappa((4, 3), 1e-4), 0.015), (Spirit(), 0.015)):
        filled = method.fill(sample)
        assert torch.equal(filled * mask, sample.kspace)
        assert error(filled, kspace) < limit < 0.15 * error(sample.kspace, kspace)


def test_irregular_patterns():
    kspace = full((48, 48), 8, noise=1e-3)
    lines = RandomLines(2, acs=16)((48, 48), np.random.RandomState(1)).mask
    points = PoissonDisc(2.5, (16, 16))((48, 48), np.random.RandomState(0)).mask
    for mask, acs, methods in (
        (lines, [48, 16], [Spirit()]),
        (points, [16, 16], [Spirit(), Grappa((3, 3))]),
    ):
        sample = Sample(kspace * mask, mask, acs=torch.tensor(acs))
        for method in methods:
            assert error(method.fill(sample), kspace) < 0.6 * error(sample.kspace, kspace)


def test_a_separate_calibration_scan_is_used_instead_of_the_centre():
    kspace = full((48, 42), 8)
    mask = raster(42, 3, 1, 0)
    reference = 7 * kspace[:, 12:36, 9:33]  # 24 x 24, centre at 12
    sample = Sample(kspace * mask, mask, calibration=reference)
    assert error(Grappa(regularization=1e-5).fill(sample), kspace) < 0.02
    with pytest.raises(
        CalibrationError, match=r"cannot learn to fill a gap of [12] lines from 0 x 0"
    ):
        Grappa().fill(sample.replace(calibration=None))


def test_what_lies_outside_of_the_measured_region_stays_zero(method):
    kspace = full((48, 48))
    mask = raster(48, 2, 0, 20)
    mask[:, :12] = False
    sample = Sample(kspace * mask, mask, acs=torch.tensor([48, 20]))
    filled = method.fill(sample)
    assert (filled[..., :12] == 0).all() and (filled[..., 12:] != 0).any(0).all()
    rows = torch.ones(48, 1, dtype=torch.bool)
    rows[:10] = False  # an asymmetric echo
    sample = Sample(kspace * (mask & rows), mask & rows, acs=torch.tensor([28, 20]))
    assert (method.fill(sample)[:, :10] == 0).all()


def test_region_is_the_convex_hull():
    y, x = np.mgrid[-16:16, -16:16]
    disc = y**2 + x**2 < 15**2
    thinned = disc & ((y + x) % 2 == 0)
    region = fillable(thinned)
    assert (region & ~disc).sum() == 0 and (disc & ~region).sum() < 40
    assert not fillable(np.zeros((4, 4), bool)).any()


def test_a_regular_raster_has_a_single_kind_of_gap_inside():
    lines = np.zeros(41, bool)
    lines[2::4] = True
    found = gaps(lines, np.ones(41, bool), 4)
    inner = {gap: starts for gap, starts in found.items() if len(starts) > 1}
    assert [(set(gap.sources), gap.length) for gap in inner] == [({-5, -1, 3, 7}, 3)]
    assert len(found) == 1 + 2 + 2  # beside the edges, and outside of the first and last line


def test_members_of_a_batch_do_not_influence_one_another(method):
    first, _, _ = scene(lines=16)
    second, _, _ = scene(lines=16, every=3, noise=0.05, seed=1)
    second = second.replace(kspace=100 * second.kspace)
    together = method(batch(first, second))
    for image, sample in zip(together, (first, second), strict=True):
        alone = method(sample)
        torch.testing.assert_close(image, alone, rtol=0, atol=2e-4 * float(alone.abs().max()))


def test_empty_slice_one_coil_and_full_sampling(method):
    sample, _, _ = scene(lines=16)
    images = method(batch(sample, sample.replace(kspace=torch.zeros_like(sample.kspace))))
    assert images.isfinite().all() and (images[1] == 0).all()
    assert method(scene(coils=1, lines=16)[0]).isfinite().all()
    whole = scene()[0]
    assert torch.equal(method.fill(whole), whole.kspace)


def test_grappa_equals_pygrappa():
    pygrappa = pytest.importorskip("pygrappa")
    kspace = full((32, 30), 4, noise=0.02)
    mask = raster(30, 2, 0, 0)
    # pygrappa learns from patches that reach beyond the calibration data, so give both its zeros
    sample = Sample(kspace * mask, mask, calibration=torch.nn.functional.pad(kspace, (1, 1, 2, 2)))
    theirs = pygrappa.mdgrappa(
        sample.kspace.numpy(), calib=kspace.numpy(), kernel_size=(5, 3), coil_axis=0
    )
    ours = Grappa((5, 2)).fill(sample).numpy()
    # at the border it has kernels of its own for the sources that are left; we take zeros
    inside = (slice(None), slice(2, -2), slice(1, -1))
    assert np.linalg.norm((ours - theirs)[inside]) < 1e-5 * np.linalg.norm(theirs)


def test_adaptive_combination_keeps_signal_and_noise():
    kspace = full(coils=8)
    images = ifft(kspace)
    reference = root_sum_of_squares(images)
    combined = adaptive_combine(images)
    assert error(combined.abs(), reference) < 0.01
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(images.shape, dtype=torch.complex64, generator=generator)
    noisy = adaptive_combine(images + 1e-3 * noise)
    # the filter has unit norm: one coil's noise, not that of all
    spread = (noisy - combined)[reference > 0.5].abs().square().mean().sqrt()
    assert 0.9e-3 < float(spread) < 1.1e-3
    sample, _, _ = scene()
    together = AdaptiveCombine()(batch(sample, sample))[1]
    torch.testing.assert_close(together, AdaptiveCombine()(sample), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Grappa((5, 1)), "kernel must be at least 1 sample x 2 lines"),
        (lambda: Grappa(regularization=0.0), "regularization must be positive, got 0.0"),
        (lambda: Spirit(kernel=4), "kernel must be an odd number from 3, got 4"),
        (lambda: Spirit(regularization=0.0), "regularization must be positive"),
        (lambda: Spirit(iterations=0), "iterations must be at least 1, got 0"),
        (lambda: Spirit(tolerance=-1.0), "tolerance must not be negative"),
        (lambda: AdaptiveCombine(4), "block must be an odd number of pixels, got 4"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_too_little_calibration_says_what_to_do():
    sample, _, _ = scene(lines=4, every=4)
    with pytest.raises(CalibrationError, match="model=spirit"):
        Grappa()(sample)
    with pytest.raises(CalibrationError, match=r"SPIRiT with kernel=3 .* 48 x 3"):
        Spirit()(scene(lines=3, every=4)[0])
    mask = lattice((48, 40), (2, 2), acs=4)
    sample = Sample(full() * mask, mask, acs=torch.tensor([4, 4]))
    with pytest.raises(CalibrationError, match="at least 5 x 5 samples"):
        Grappa()(sample)


def test_spirit_takes_a_kernel_that_the_calibration_data_determine():
    for lines, kernel in ((10, 5), (9, 3), (4, 3)):
        sample, _, _ = scene(lines=lines, every=2)
        torch.testing.assert_close(Spirit(7)(sample), Spirit(kernel)(sample))
        (remark,) = Spirit(7).remarks(sample)
        assert f"48 x {lines} samples" in remark and f"a kernel of {kernel} instead of 7" in remark
        assert Spirit(kernel).remarks(sample) == ()


@pytest.mark.parametrize("pattern", [RandomLines(4, acs=5), EquispacedLines(4, acs=4)])
def test_spirit_of_few_central_lines_is_better_than_zero_filling(pattern):
    scan = scenes.scan(matrix=(64, 60), slices=1)
    sample = collate([Undersample(pattern)(scan[0])])
    reference = root_sum_of_squares(ifft(scan.noise_free(0)))
    mistakes = [
        float((method(sample)[0].abs() - reference).norm() / reference.norm())
        for method in (Spirit(), ZeroFilled())
    ]
    assert mistakes[0] < 0.9 * mistakes[1]


@pytest.mark.parametrize(("coils", "kernel", "size"), [(1, 3, 12), (3, 3, 10), (4, 5, 20)])
def test_one_factorization_serves_all_coils_of_spirit(coils, kernel, size):
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(2, coils, size, size, dtype=torch.complex64, generator=generator)
    data = data * torch.arange(1, coils + 1)[:, None, None] ** 3  # penalties that differ
    data = data + 0.7 * data.roll(1, -1)
    data[1, 0] = 0
    found = spirit.spirit_kernel(data, kernel, 0.01).flatten(2)
    patches = data.unfold(-2, kernel, 1).unfold(-2, kernel, 1)
    X = precise(patches.permute(0, 1, 4, 5, 2, 3).flatten(1, 3).flatten(2), 0.01)
    gram = X @ X.mH
    for coil in range(coils):
        own = coil * kernel**2 + kernel**2 // 2
        others = [n for n in range(coils * kernel**2) if n != own]
        part, cross = gram[:, others][:, :, others], gram[:, others, own].unsqueeze(-1)
        expected = interpolation_weights(part, cross, 0.01).squeeze(1)
        torch.testing.assert_close(found[:, coil, others], expected, rtol=1e-5, atol=1e-7)
        assert (found[:, coil, own] == 0).all()


@pytest.mark.parametrize("regularization", [1e-2, 1e-6])  # single and double precision
def test_every_constellation_has_weights_of_its_own(regularization):
    generator = torch.Generator().manual_seed(0)
    kspace = torch.randn(3, 14, 12, generator=generator, dtype=torch.complex64)
    calibration = torch.randn(3, 11, 13, generator=generator, dtype=torch.complex64)
    mask = (torch.rand(14, 12, generator=generator) < 0.5).numpy()
    region = fillable(mask)
    measured = kspace * torch.from_numpy(mask)
    filled = grappa_points.fill_points(measured, mask, region, calibration, 4, regularization)
    assert torch.equal(filled * torch.from_numpy(mask), measured)
    points, chosen = grappa_points._neighbours(mask, region, 2, 4)
    windows = calibration.unfold(1, 5, 1).unfold(2, 5, 1).reshape(3, -1, 25).to(torch.complex128)
    padded = torch.nn.functional.pad(measured, (2,) * 4)
    for y, x, places in zip(*points, torch.from_numpy(chosen), strict=True):
        X = windows[..., places].permute(0, 2, 1).flatten(0, 1)
        W = interpolation_weights(X @ X.mH, X @ windows[..., 12].mH, regularization)
        near = padded[:, y : y + 5, x : x + 5].flatten(1)[:, places].flatten()
        assert torch.allclose(filled[:, y, x], W @ near, rtol=1e-3, atol=1e-4)
