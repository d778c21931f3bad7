"""The iterative methods: optimum, images, units, regularization from the noise, frames."""

from dataclasses import replace

import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.inference import reconstruct_scan
from mrirecon.operators import Wavelet, least_squares, sense
from mrirecon.reconstructors.base import IterativeReconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.l1_wavelet import L1Wavelet
from mrirecon.reconstructors.classical.locally_low_rank import (
    LocallyLowRank,
    _from_blocks,
    _to_blocks,
)
from mrirecon.reconstructors.classical.sigpy import SigpyL1Wavelet, SigpySense, SigpyTotalVariation
from mrirecon.reconstructors.classical.soft_sense import SoftSense
from mrirecon.reconstructors.classical.tgv import Tgv
from mrirecon.reconstructors.classical.total_variation import TotalVariation
from mrirecon.reconstructors.parts.automatic_weight import sure_threshold
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.low_rank import shrink_singular_values
from mrirecon.sampling import EquispacedLines
from mrirecon.scan import Frame, Scan
from mrirecon.sensitivity import GivenMaps
from mrirecon.solvers import conjugate_gradient
from tests import scenes

GIVEN = GivenMaps()
METHODS = {
    "cg_sense": CgSense(GIVEN, 3e-3),
    "l1_wavelet": L1Wavelet(GIVEN),
    "total_variation": TotalVariation(GIVEN),
    "tgv": Tgv(GIVEN),
    "locally_low_rank": LocallyLowRank(GIVEN),
}


@pytest.fixture(params=METHODS)
def method(request) -> IterativeReconstructor:
    return METHODS[request.param]


@pytest.fixture(scope="module")
def sample():
    return scenes.batch(scenes.scan(matrix=(64, 52), slices=1, with_maps=True))


def error(image, reference):
    return float((image - reference).norm() / reference.norm())


@pytest.mark.parametrize("matrix", [(40, 36), (33, 31)])
@pytest.mark.parametrize("full", [False, True], ids=["rows", "grid"])
def test_cg_sense_by_rows_solves_the_plain_equations(matrix, full):
    sample = scenes.batch(scenes.scan(matrix=matrix, with_maps=True))
    if full:
        drop = torch.rand(matrix, generator=torch.Generator().manual_seed(0)) < 0.8
        mask = sample.mask & drop
        sample = sample.replace(mask=mask, kspace=sample.kspace * mask.unsqueeze(-3))
    A, y = least_squares(sample, sample.maps)
    expected = conjugate_gradient(
        lambda x: A.gram(x) + 0.01 * x, A.H(y), iterations=400, tolerance=1e-7
    )
    solution = CgSense(GIVEN, 0.01, iterations=400, tolerance=3e-5).solve(sample)
    assert solution.converged.all() and solution.iterations.shape == (2,)
    assert error(solution.x, expected) < 1e-5


def test_the_objective_decreases_and_the_flag_tells(method, sample):
    solution = method.solve(sample, trace=True)
    assert len(solution.objective) == solution.iterations.max() + 1
    assert (solution.objective[-1] < solution.objective[0]).all()
    assert not (type(method)(GIVEN, iterations=1).solve(sample)).converged.any()


def test_deterministic(method, sample):
    assert method(sample).equal(method(sample))


@pytest.mark.parametrize("factor", [1e-6, 1e4])
def test_units_do_not_matter(method, sample, factor):
    louder = method(sample.replace(kspace=factor * sample.kspace)) / factor
    torch.testing.assert_close(louder, method(sample), rtol=1e-3, atol=1e-4)


def test_better_than_zero_filling_and_near_the_truth(method):
    scan = scenes.scan(matrix=(96, 80), slices=1, with_maps=True, snr=30.0)
    full = collate([scan[0]])
    truth = (full.maps.conj() * torch.fft.fftshift(
        torch.fft.ifft2(torch.fft.ifftshift(full.kspace, dim=(-2, -1)), norm="ortho"), dim=(-2, -1)
    )).sum(-3)  # fmt: skip
    sample = collate([Undersample(scenes.PATTERN)(scan[0])])
    zero_filled = CgSense(GIVEN, 1e3, iterations=1)(sample) * 1e3
    assert error(method(sample), truth) < min(0.12, 0.7 * error(zero_filled, truth))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            TotalVariation(GIVEN, 0.01, 200, 0.0, isotropic=False),
            SigpyTotalVariation(GIVEN, 0.01, 1500),
        ),
        (CgSense(GIVEN, 0.01, 200, 1e-6), SigpySense(GIVEN, 0.01, 200)),
    ],
    ids=["total_variation", "cg_sense"],
)
def test_reaches_the_optimum_of_sigpy(ours, theirs, sample):
    pytest.importorskip("sigpy")
    solution, other = ours.solve(sample, trace=True), theirs(sample)
    # sigpy's differences join opposite edges
    assert error(solution.x, other) < 2e-2
    at_theirs = objective_at(ours, sample, other)
    assert abs(solution.objective[-1, 0] - at_theirs) < 1e-3 * abs(at_theirs)


def test_l1_wavelet_reaches_the_optimum_of_sigpys_solver(sample):
    """With our wavelets in sigpy's FISTA: its own are extended by zeros at the edges."""
    sp, linop = pytest.importorskip("sigpy"), pytest.importorskip("sigpy.mri.linop")
    ours = L1Wavelet(GIVEN, 0.01, 600, 0.0, "db4", levels=2, cycle_spinning=False)
    W = Wavelet((64, 52), 2, "db4")
    assert W.padded == (64, 52)

    class Transform(sp.linop.Linop):
        def __init__(self, function, adjoint):
            self.function, self.inverse = function, adjoint
            super().__init__((64, 52), (64, 52))

        def _apply(self, x):
            return self.function(torch.from_numpy(x.astype("complex64"))).numpy()

        def _adjoint_linop(self):
            return Transform(self.inverse, self.function)

    kspace = (sample.kspace / data_scale(sample).unsqueeze(-3))[0].numpy()
    weights = sample.mask[0].expand(64, 52).numpy().astype("float32")
    model = linop.Sense(sample.maps[0].numpy(), weights=weights)
    prox = sp.prox.UnitaryTransform(sp.prox.L1Reg((64, 52), 0.01), Transform(W.forward, W.adjoint))
    theirs = sp.app.LinearLeastSquares(
        model, kspace, proxg=prox, alpha=1.0, max_iter=600, show_pbar=False
    ).run()
    other = torch.from_numpy(theirs)[None].to(torch.complex64) * data_scale(sample)
    solution = ours.solve(sample, trace=True)
    assert error(solution.x, other) < 1e-3
    optimum = objective_at(ours, sample, other)
    assert abs(solution.objective[-1, 0] - optimum) < 1e-3 * optimum
    # with its own wavelets, sigpy's image is almost the same
    assert error(ours(sample), SigpyL1Wavelet(GIVEN, 0.01, 600)(sample)) < 2e-2


@pytest.fixture(scope="module")
def clear():
    """A slice of little noise, for which small weights are best."""
    scan = scenes.scan(matrix=(40, 40), slices=1, coils=4, snr=100.0, with_maps=True)
    return collate([Compose([Undersample(EquispacedLines(3, acs=8)), Normalize()])(scan[0])])


def test_fewer_coils_are_for_lines_and_change_no_gradient(clear):
    many = clear.replace(
        kspace=clear.kspace.repeat(1, 4, 1, 1) / 2, maps=clear.maps.repeat(1, 4, 1, 1) / 2
    )
    data = DataTerm.of(many, many.maps)
    fewer = data.with_fewer_coils()
    assert fewer.normal.maps.shape[-3] <= 4 < data.normal.maps.shape[-3]
    x = torch.randn(data.adjoint.shape, dtype=torch.complex64)
    torch.testing.assert_close(fewer.gradient(x), data.gradient(x), rtol=0, atol=1e-5)
    points = many.replace(mask=torch.rand(1, *clear.kspace.shape[-2:]) < 0.5)
    of_points = DataTerm.of(points, many.maps)
    assert of_points.with_fewer_coils() is of_points


@pytest.mark.parametrize("weight", [3e-4, 1.6e-2])
@pytest.mark.parametrize(("kind", "many"), [(TotalVariation, 200), (Tgv, 900)])
def test_variation_is_near_its_minimum_whatever_the_weight(kind, many, weight, clear):
    found = kind(GIVEN, weight).solve(clear, trace=True)
    least = kind(GIVEN, weight, many, 0.0).solve(clear, trace=True)
    assert float(found.objective[-1] / least.objective.amin()) < 1.004


def test_sigpys_variation_is_near_its_minimum_for_small_weights(clear):
    ours = TotalVariation(GIVEN, 1e-3, 200, 0.0, isotropic=False)
    least = objective_at(ours, clear, ours(clear))
    assert objective_at(ours, clear, SigpyTotalVariation(GIVEN, 1e-3)(clear)) < 1.005 * least


def objective_at(method, sample, image):
    """The objective of ``method`` at ``image``, from its definition."""
    A, y = least_squares(sample, sample.maps)
    if isinstance(method, CgSense):
        data = (A(image) - y).norm() ** 2 - y.norm() ** 2
        return 0.5 * (data + method.regularization * image.norm() ** 2)
    scale = data_scale(sample)
    x = image / scale
    data = 0.5 * (A(x) - y / scale.unsqueeze(-3)).norm() ** 2
    if isinstance(method, L1Wavelet):
        penalty = Wavelet(x.shape[-2:], method.levels, method.wavelet)(x).abs().sum()
    else:
        penalty = x.diff(dim=-1).abs().sum() + x.diff(dim=-2).abs().sum()
    return data + method.regularization * penalty


def test_data_scale_is_the_brightness_of_the_object():
    scan = scenes.scan(matrix=(64, 52), slices=1)
    full = collate([scan[0]])
    bright = float(scan.target(0).flatten().kthvalue(int(0.9 * 64 * 52)).values)
    assert 0.5 < float(data_scale(full)) / bright < 1.5
    empty = full.replace(kspace=0 * full.kspace)
    assert data_scale(empty).eq(1).all()


@pytest.mark.parametrize("name", ["cg_sense", "l1_wavelet", "locally_low_rank"])
def test_automatic_weight_follows_the_noise(name, sample):
    method = type(METHODS[name])(GIVEN, regularization="auto")
    images = [method(sample.replace(noise=torch.tensor([level]))) for level in (0.001, 0.03, 3.0)]
    assert all(image.isfinite().all() for image in images)
    sizes = [float(image.norm()) for image in images]
    assert sizes[0] > sizes[1] > sizes[2]


def test_sure_finds_the_best_threshold():
    generator = torch.Generator().manual_seed(0)
    signal = torch.zeros(1, 20000, dtype=torch.complex64)
    signal[:, :1000] = 10 * torch.randn(1, 1000, dtype=torch.complex64, generator=generator)
    noise = 2**0.5 * torch.randn(1, 20000, dtype=torch.complex64, generator=generator)
    y = signal + noise  # unit variance per real component
    found = float(sure_threshold(y, torch.ones(1)))
    grid = torch.linspace(0, 6, 121)
    losses = [float((y * (1 - t / y.abs()).clamp_min(0) - signal).norm()) for t in grid]
    assert losses[int((grid - found).abs().argmin())] < 1.01 * min(losses)


@pytest.mark.parametrize("shape", [(16, 24), (13, 9)])
@pytest.mark.parametrize("shift", [(0, 0), (3, 5)])
def test_blocks_and_back(shape, shift):
    x = torch.randn(5, *shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    blocks = _to_blocks(x, 8, shift)
    assert blocks.shape[-2:] == (64, 5)
    assert _from_blocks(blocks, 8, shift, shape).equal(x)


def test_shrinks_singular_values():
    x = torch.randn(3, 20, 5, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    before = torch.linalg.svdvals(x)
    after = torch.linalg.svdvals(shrink_singular_values(x, 4.0))
    torch.testing.assert_close(after, (before - 4.0).clamp_min(0), rtol=1e-4, atol=1e-4)


class Series(Scan):
    """Three frames of two slices, alike but for their noise and brightness."""

    def __init__(self):
        self.scans = [scenes.scan(slices=2, with_maps=True)] * 3
        frames = tuple(Frame(repetition=i) for i in range(3))
        self.header = replace(self.scans[0].header, frames=frames)

    def _read(self, index):
        frame, place = divmod(index, 2)
        sample = self.scans[frame][place]
        return sample.replace(kspace=(1 + frame) * sample.kspace)


def test_joint_methods_get_all_frames_of_a_slice():
    seen = []

    class Spy(CgSense):
        joint = True

        def forward(self, sample):
            seen.append((sample.key, sample.scale))
            return super().forward(sample)

    series = Series()
    volume = reconstruct_scan(series, Spy(GIVEN), Normalize())
    assert len(seen) == 2 and all(len(key) == 3 for key, _ in seen)
    assert all(scale.eq(scale[0]).all() for _, scale in seen)
    expected = reconstruct_scan(series, CgSense(GIVEN), Normalize())
    torch.testing.assert_close(volume, expected, rtol=1e-3, atol=1e-3 * float(expected.max()))


def test_frames_help_one_another():
    """Six noisy frames of one object, undersampled differently."""
    scan = scenes.scan(matrix=(48, 40), slices=1, with_maps=True, snr=300.0)
    generator = torch.Generator().manual_seed(0)
    frames = []
    for _ in range(6):
        full = scan[0]
        mask = torch.rand(1, 40, generator=generator) < 0.35
        mask[:, 14:26] = True
        noise = torch.randn(full.kspace.shape, dtype=torch.complex64, generator=generator)
        kspace = (full.kspace + 0.05 * full.kspace.abs().std() * noise) * mask
        frames.append(full.replace(kspace=kspace, mask=mask))
    batch = collate(frames)
    truth = CgSense(GIVEN, 0.0)(collate([scan[0]] * 6))
    together = error(LocallyLowRank(GIVEN, iterations=150)(batch), truth)
    assert together < 0.8 * error(CgSense(GIVEN)(batch), truth)
    order = [3, 0, 5, 1, 4, 2]
    image = LocallyLowRank(GIVEN)(batch)
    moved = LocallyLowRank(GIVEN)(batch.map(lambda t: t[order]))
    torch.testing.assert_close(moved, image[order], rtol=1e-3, atol=1e-4 * float(image.abs().max()))


def noisy(level, acceleration=3):
    """An undersampled sample with noise of a known part of the brightness, and the true image."""
    full = scenes.scan(matrix=(64, 52), slices=1, with_maps=True, snr=1e6)[0]
    sigma = level * float(data_scale(collate([full])))
    generator = torch.Generator().manual_seed(1)
    drawn = torch.view_as_complex(torch.randn(*full.kspace.shape, 2, generator=generator))
    one = full.replace(
        kspace=full.kspace + sigma * drawn, noise=torch.tensor(sigma, dtype=torch.float32)
    )
    sample = collate(
        [Compose([Undersample(EquispacedLines(acceleration, acs=12)), Normalize()])(one)]
    )
    return sample, full.target / sample.scale


@pytest.mark.parametrize("acceleration", [2, 3, 4])
@pytest.mark.parametrize("level", [0.02, 0.1, 0.3])
@torch.no_grad()
def test_the_automatic_weight_is_nearly_the_best(level, acceleration):
    sample, truth = noisy(level, acceleration)
    weights = [10 ** (n / 4 - 4) for n in range(17)]
    errors = [error(CgSense(GIVEN, weight)(sample).abs(), truth) for weight in weights]
    found = error(CgSense(GIVEN)(sample).abs(), truth)
    assert found < 1.1 * min(errors)
    unknown = sample.replace(noise=None)
    assert error(CgSense(GIVEN)(unknown).abs(), truth) < 1.2 * min(errors)
    close = SoftSense(GIVEN)(sample)
    assert error(close, CgSense(GIVEN)(sample)) < 3e-3


@pytest.mark.parametrize("weight", [1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("points", [False, True])
def test_converged_means_an_error_below_the_tolerance(weight, points):
    sample, _ = noisy(0.02)
    if points:
        drop = torch.rand((64, 52), generator=torch.Generator().manual_seed(0)) < 0.6
        mask = sample.mask & drop
        sample = sample.replace(mask=mask, kspace=sample.kspace * mask.unsqueeze(-3))
    A = sense(sample.maps.to(torch.complex128), sample.mask)
    exact = conjugate_gradient(
        lambda x: A.gram(x) + weight * x, A.H(sample.kspace.to(torch.complex128)), iterations=900,
        tolerance=1e-10,
    )  # fmt: skip
    for method in (CgSense(GIVEN, weight, 400), SoftSense(GIVEN, weight, 400)):
        solution = method.solve(sample)
        assert solution.converged.all()
        assert error(solution.x, exact) < 1e-3
