"""Classical methods for series of frames: optimality, closed forms, lent samples, maps."""

from dataclasses import replace

import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.fourier import fft, plain_fft
from mrirecon.operators import sense
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.locally_low_rank import LocallyLowRank
from mrirecon.reconstructors.classical.low_rank_plus_sparse import LowRankPlusSparse
from mrirecon.reconstructors.classical.temporal_tv import TemporalTv
from mrirecon.reconstructors.classical.view_sharing import ViewSharing
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.sensitivity import Espirit, GivenMaps
from mrirecon.sensitivity.series import series_maps, time_average
from mrirecon.types import Sample
from tests import scenes

GIVEN = GivenMaps()
JOINT = {
    "view_sharing": ViewSharing(GIVEN),
    "temporal_tv": TemporalTv(GIVEN, 1e-2),
    "low_rank_plus_sparse": LowRankPlusSparse(GIVEN),
    "locally_low_rank": LocallyLowRank(GIVEN, 5e-3),
}


def randn(*shape, seed=0):
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def random_series(frames=5, coils=3, grid=(10, 8), part=0.5) -> Sample:
    """Lines of any images, seen through any maps."""
    maps = randn(coils, *grid, seed=1)
    maps = (maps / torch.linalg.vector_norm(maps, dim=0)).expand(frames, -1, -1, -1)
    drawn = torch.rand(frames, 1, grid[1], generator=torch.Generator().manual_seed(2))
    mask = drawn < part
    images = randn(1, *grid, seed=3) + 0.5 * randn(frames, *grid, seed=4)
    keys = tuple(("film", frame) for frame in range(frames))
    return Sample(kspace=sense(maps, mask)(images), mask=mask, maps=maps, key=keys)


def moving_disc(frames=12, n=28, acceleration=5, noise=0.01) -> tuple[Sample, torch.Tensor]:
    """A disc that moves before a resting head; other lines in every frame, without a centre."""
    head = scenes.scan(matrix=(n, n), slices=1, with_maps=True, snr=1e6)[0]
    rest = CgSense(GIVEN, 0.0)(collate([head]))[0]
    brightness = rest.abs().max()
    y, x = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    places = [n / 2 + 5 * torch.sin(torch.tensor(2 * torch.pi * t / frames)) for t in range(frames)]
    discs = [((y - n / 2) ** 2 + (x - place) ** 2 < 16).float() for place in places]
    truth = torch.stack([rest + 0.5 * brightness * disc for disc in discs])
    maps = head.maps.expand(frames, -1, -1, -1)
    lines = torch.arange(n)
    mask = torch.stack([(lines - 3 * t) % acceleration == 0 for t in range(frames)]).unsqueeze(1)
    kspace = fft(maps * truth.unsqueeze(1))
    kspace = kspace + noise * kspace.abs().mean() * randn(*kspace.shape, seed=7)
    keys = tuple(("disc", frame) for frame in range(frames))
    sample = Sample(kspace=kspace * mask.unsqueeze(1), mask=mask, maps=maps, key=keys)
    return sample, truth


def error(image, truth):
    return float((image.detach() - truth).norm() / truth.norm())


def dense_gradient(sample, image):
    """The gradient of the data term of frames, in double precision, by the plain operators."""
    A = sense(sample.maps.to(torch.complex128), sample.mask)
    return A.adjoint(A(image) - sample.kspace.to(torch.complex128))


def test_temporal_tv_meets_the_conditions_of_the_optimum():
    """The dual is the running sum of the gradient: bounded, and aligned with every jump."""
    sample, weight = random_series(5, part=0.7), 0.05
    method = TemporalTv(GIVEN, weight, iterations=1000, tolerance=0)
    image = method(sample).to(torch.complex128)
    dual = dense_gradient(sample, image).cumsum(0)
    scale = float(data_scale(sample, joint=True)[0])
    bound, jumps = weight * scale, image.diff(dim=0)
    assert dual[-1].abs().max() < 2e-3 * bound
    assert dual[:-1].abs().max() < 1.002 * bound
    jumping = jumps.abs() > 0.02 * scale
    aligned = bound * jumps / jumps.abs().clamp_min(1e-9)
    torch.testing.assert_close(dual[:-1][jumping], aligned[jumping], rtol=0, atol=0.02 * bound)
    assert 0 < jumping.sum() < jumping.numel()


def single(frames=2, n=6):
    """Fully sampled frames of one coil, so that the encoding is unitary."""
    images = randn(frames, n, n, seed=5)
    keys = tuple(("one", frame) for frame in range(frames))
    sample = Sample(
        kspace=fft(images).unsqueeze(1), mask=torch.ones(frames, 1, n, dtype=torch.bool),
        maps=torch.ones(frames, 1, n, n, dtype=torch.complex64), key=keys,
    )  # fmt: skip
    return sample, images, float(data_scale(sample, joint=True)[0])


@pytest.mark.parametrize(("cyclic", "times"), [(False, 1), (True, 2)])
def test_temporal_tv_of_two_frames_has_a_closed_form(cyclic, times):
    """Both move towards each other by the weight, no farther than their mean; twice in a cycle."""
    sample, images, scale = single()
    step = 0.4 * scale * times
    found = TemporalTv(GIVEN, 0.4, cyclic=cyclic, iterations=1000, tolerance=1e-7)(sample)
    half = (images[1] - images[0]) / 2
    moved = half * (step / half.abs()).clamp(max=1)
    torch.testing.assert_close(found[0], images[0] + moved, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[1], images[1] - moved, rtol=1e-3, atol=1e-3)


def test_spatial_weights_are_those_of_total_variation_and_cycles_have_no_ends():
    from mrirecon.reconstructors.classical.total_variation import TotalVariation

    sample, _ = moving_disc(4, acceleration=2)
    options = {"iterations": 500, "tolerance": 1e-5}
    alone = replace(sample, kspace=sample.kspace[:1], mask=sample.mask[:1], maps=sample.maps[:1],
                    key=sample.key[:1])  # fmt: skip
    still = TemporalTv(GIVEN, 0.0, spatial=5e-3, **options)(alone)
    assert error(still, TotalVariation(GIVEN, 5e-3, **options)(alone)) < 2e-3
    method = TemporalTv(GIVEN, 2e-2, spatial=1e-3, cyclic=True)
    order = [2, 3, 0, 1]
    turned = method(sample.map(lambda t: t[order]))
    assert error(turned, method(sample)[order]) < 1e-4
    assert method.windows.size is None and JOINT["temporal_tv"].windows.size == 64


def test_low_rank_and_sparse_have_closed_forms_when_the_other_weighs_too_much():
    sample, images, scale = single(4)
    n = images[0].numel()
    options = {"iterations": 500, "tolerance": 1e-7}
    matrix = images.flatten(1).to(torch.complex128)
    U, values, V = torch.linalg.svd(matrix, full_matrices=False)
    threshold = 1.5 * scale * n**0.5
    expected = (U * (values - threshold).clamp_min(0)) @ V
    assert 0 < (values > threshold).sum() < 4
    L, S = LowRankPlusSparse(GIVEN, 1.5, 100.0, **options).parts(sample)
    torch.testing.assert_close(L.flatten(1), expected.to(L.dtype), rtol=1e-3, atol=1e-3)
    assert S.abs().max() < 1e-4
    L, S = LowRankPlusSparse(GIVEN, 100.0, 0.5, **options).parts(sample)
    spectrum = torch.fft.fft(images, dim=0, norm="ortho")
    shrunk = spectrum * (1 - 0.5 * scale / spectrum.abs()).clamp_min(0)
    torch.testing.assert_close(plain_fft(S, (0,)), shrunk, rtol=1e-3, atol=1e-3)
    assert L.abs().max() < 1e-4 and (shrunk != 0).any()


def test_low_rank_plus_sparse_meets_the_conditions_of_the_optimum():
    sample = random_series(5, part=0.7)
    method = LowRankPlusSparse(GIVEN, 0.05, 0.05, iterations=5000, tolerance=1e-7)
    solution = method.solve(sample, trace=True)
    L, S = (part.to(torch.complex128) for part in method.parts(sample))
    assert solution.converged.all() and (solution.objective[-1] < solution.objective[0]).all()
    gradient = -dense_gradient(sample, L + S)
    scale = float(data_scale(sample, joint=True)[0])
    # -gradient is a subgradient of both penalties: norms bounded, inner products attained
    rank, sparse = 0.05 * scale * 80**0.5, 0.05 * scale
    values = torch.linalg.svdvals(L.flatten(1))
    assert torch.linalg.matrix_norm(gradient.flatten(1), 2) < 1.002 * rank
    product = (gradient.conj() * L).sum().real
    torch.testing.assert_close(product, rank * values.sum(), rtol=2e-3, atol=0)
    spectra = [torch.fft.fft(one, dim=0, norm="ortho") for one in (gradient, S)]
    assert spectra[0].abs().max() < 1.002 * sparse
    product = (gradient.conj() * S).sum().real
    torch.testing.assert_close(product, sparse * spectra[1].abs().sum(), rtol=2e-3, atol=0)
    assert values[0] > 0 and S.abs().max() > 0


@pytest.mark.parametrize("cyclic", [False, True])
@pytest.mark.parametrize("reach", [None, 1])
@pytest.mark.parametrize("full", [False, True], ids=["lines", "points"])
@pytest.mark.parametrize("weighted", [False, True])
def test_missing_samples_come_from_the_nearest_frames(cyclic, reach, full, weighted):
    sample = random_series(6, 2, (4, 8), 0.4)
    if full:
        drop = torch.rand(6, 4, 8, generator=torch.Generator().manual_seed(9)) < 0.7
        mask = sample.mask & drop
        sample = sample.replace(mask=mask, kspace=sample.kspace * mask.unsqueeze(1))
    if weighted:
        weights = torch.rand(sample.mask.shape, generator=torch.Generator().manual_seed(8))
        sample = sample.replace(weights=weights)
    shared = ViewSharing(GIVEN, reach, cyclic).shared(sample)
    missed = 0
    mask = sample.mask.expand(6, 4, 8)
    for t in range(6):
        for i, j in [(i, j) for i in range(4) for j in range(8)]:
            distances = {
                s: min(abs(t - s), 6 - abs(t - s)) if cyclic else abs(t - s)
                for s in range(6) if mask[s, i, j]
            }  # fmt: skip
            near = min(distances.values(), default=99)
            lenders = [s for s, d in distances.items() if d == near]
            lent = near <= (5 if reach is None else reach)
            missed += not lent
            assert bool(shared.mask.expand(6, 4, 8)[t, i, j]) == lent
            expected = sample.kspace[lenders, :, i, j].mean(0) if lent else torch.zeros(2)
            torch.testing.assert_close(shared.kspace[t, :, i, j], expected.to(torch.complex64))
            if weighted and lent:
                part = sample.weights.expand(6, 4, 8)[lenders, i, j].mean()
                torch.testing.assert_close(shared.weights.expand(6, 4, 8)[t, i, j], part)
    assert (missed > 0) == (reach == 1 or not (mask.any(0).all()))
    assert shared.mask.shape == sample.mask.shape and shared.acs is None


@pytest.mark.parametrize("cyclic", [False, True])
def test_frames_of_spokes_get_those_of_the_frames_around(cyclic):
    frames, coils, h, w = 6, 2, 16, 3
    sample = Sample(
        kspace=randn(frames, coils, h, w), mask=torch.ones(frames, 1, 1, dtype=torch.bool),
        trajectory=torch.rand(frames, h, w, 2), image_grid=(8, 8),
        weights=torch.rand(frames, 1, w), key=tuple(("radial", t) for t in range(frames)),
    )  # fmt: skip
    shared = ViewSharing(GIVEN, cyclic=cyclic).shared(sample)  # 2 * 64 samples are 3 frames of 48
    around = {0: [5, 0, 1], 3: [2, 3, 4], 5: [4, 5, 0]}
    if not cyclic:
        around |= {0: [0, 1, 2], 5: [3, 4, 5]}
    for t, lenders in around.items():
        for name, axis in (("kspace", -1), ("trajectory", -2), ("weights", -1)):
            expected = torch.cat([getattr(sample, name)[s] for s in lenders], axis)
            torch.testing.assert_close(getattr(shared, name)[t], expected)
    assert shared.mask.shape == (6, 1, 9) and shared.mask.all()
    wide = ViewSharing(GIVEN, reach=9).shared(sample)
    assert wide.kspace.shape == (6, 2, 16, 18)
    average = time_average(sample)
    assert average.kspace.shape == (1, 2, 16, 18) and average.mask.shape == (1, 1, 18)
    torch.testing.assert_close(average.kspace, wide.kspace[2:3])
    torch.testing.assert_close(average.trajectory, wide.trajectory[2:3])


def test_every_method_uses_what_other_frames_have_measured():
    sample, truth = moving_disc()
    alone = error(CgSense(GIVEN, 1e-2)(sample), truth)
    errors = {name: error(method(sample), truth) for name, method in JOINT.items()}
    assert max(errors.values()) < 0.7 * alone
    assert errors["temporal_tv"] < errors["view_sharing"]  # which blurs what moves
    moved = JOINT["view_sharing"].shared(sample)
    assert moved.mask.all()


@pytest.mark.parametrize("name", JOINT)
def test_an_empty_frame_stays_empty_and_leaves_the_others_alone(name):
    sample, truth = moving_disc(10)
    kspace, mask = sample.kspace.clone(), sample.mask.clone()
    kspace[2], kspace[4], mask[4] = 0, 0, False
    image = JOINT[name](sample.replace(kspace=kspace, mask=mask))
    rest = [0, 1, 3, 5, 6, 7, 8, 9]
    assert image[[2, 4]].abs().max() < 1e-3 * image.abs().max()
    assert error(image[rest], truth[rest]) < 0.6 * error(CgSense(GIVEN)(sample), truth)
    one = sample.map(lambda t: t[:1])
    assert JOINT[name](one).shape == (1, 28, 28)


def test_maps_of_a_series_are_estimated_once_from_its_time_average():
    sample, truth = moving_disc(10, 40, noise=0.0)
    counted = []

    class Counted(Espirit):
        def forward(self, one):
            counted.append(len(one.kspace))
            return super().forward(one)

    maps = series_maps(Counted(), sample)
    assert counted == [1] and maps.shape == sample.kspace.shape
    assert (maps == maps[:1]).all()
    inside = truth.abs().mean(0) > 0.1 * truth.abs().max()
    fit = (maps[0].conj() * sample.maps[0]).sum(0).abs()[inside]
    assert fit.mean() > 0.99
    average = time_average(sample)
    by_hand = sum(sample.kspace[[0, 5]]) / 2
    measured = sample.mask[0].expand(40, 40)
    torch.testing.assert_close(average.kspace[0][:, measured], by_hand[:, measured])
    noisy = time_average(sample.replace(noise=torch.full((10,), 2.0)))
    torch.testing.assert_close(noisy.noise, torch.tensor([2.0 / 2**0.5]))
    for method in (LocallyLowRank, ViewSharing):
        found = method(Espirit())(sample.replace(maps=None))
        given = method(GIVEN)(sample)
        assert error(found.abs()[:, inside], given.abs()[:, inside]) < 0.1
