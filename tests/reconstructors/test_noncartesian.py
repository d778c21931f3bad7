"""Methods on samples along trajectories: one data term for them and for Cartesian k-space."""

import math

import numpy as np
import pytest
import torch

from mrirecon.assessment.assess import _mask
from mrirecon.data.coil_compression import CompressCoils, CompressCoilsGeometrically
from mrirecon.data.collate import collate
from mrirecon.data.gaps import has_gaps
from mrirecon.data.packing import cropped
from mrirecon.data.transforms import Compose, Normalize, RssTarget
from mrirecon.errors import ConfigError, ShapeError
from mrirecon.image import root_sum_of_squares
from mrirecon.networks import FusionUnet, ResidualCnn
from mrirecon.operators import coil_images, data_weights
from mrirecon.reconstructors import (
    AdaptiveCombine,
    AdaptiveCsNet,
    CascadeNet,
    CgSense,
    Grappa,
    HqsNet,
    IstaNet,
    L1Wavelet,
    LocallyLowRank,
    LpdNet,
    MoDL,
    PlugAndPlay,
    Rim,
    SoftSense,
    Spirit,
    Tgv,
    TotalVariation,
    UNet,
    VarNet,
    VSharp,
    XpdNet,
    ZeroFilled,
)
from mrirecon.reconstructors.parts.estimated_noise import estimated_noise
from mrirecon.reconstructors.parts.kspace_consistency import KspaceStep
from mrirecon.sampling import cells
from mrirecon.sampling.sampled_readouts import sampled_plane_of
from mrirecon.sensitivity import Espirit, GivenMaps, LowResolutionMaps, Nlinv, Walsh
from mrirecon.training.objectives.perturbations import FlipAndShift, RigidMotion
from mrirecon.training.objectives.ssdu import Ssdu
from mrirecon.types import Sample
from tests import scenes, trajectories

GIVEN = GivenMaps()
SOLVED = {
    "cg": lambda: CgSense(GIVEN, 1e-3),
    "wavelet": lambda: L1Wavelet(GIVEN, 1e-3),
    "tv": lambda: TotalVariation(GIVEN, 1e-3, iterations=100),
    "tgv": lambda: Tgv(GIVEN, 1e-3, iterations=100),
    "llr": lambda: LocallyLowRank(GIVEN, 1e-3),
}
RUNNING = {
    "zero-filled": ZeroFilled,
    "adaptive": AdaptiveCombine,
    "unet": lambda: UNet(channels=4, pools=2),
    "modl": lambda: MoDL(GIVEN, ResidualCnn(4, 2), iterations=2),
    "ista": lambda: IstaNet(GIVEN, iterations=2, channels=4),
    "rim": lambda: Rim(GIVEN, iterations=2, channels=4),
    "vsharp": lambda: VSharp(GIVEN, FusionUnet(3, 4, 2), iterations=2, steps=2),
    "adaptive cs": lambda: AdaptiveCsNet(GIVEN, scales=(2, 2), channels=4),
    "pnp": lambda: PlugAndPlay(GIVEN, iterations=2, combination="kept"),
    "hqs": lambda: HqsNet(GIVEN, iterations=2),
}
REFUSED = {
    "its state is a k-space": lambda: VarNet(cascades=1),
    "fills in the missing": Grappa,
    "it fills in": Spirit,
    "dual state": lambda: XpdNet(GIVEN, iterations=1),
    "dual network": lambda: LpdNet(GIVEN, iterations=1),
    "state is a k-space": lambda: CascadeNet(GIVEN, iterations=1),
    "lines and points": lambda: SoftSense(GIVEN),
    "puts samples back": lambda: MoDL(GIVEN, ResidualCnn(4, 2), KspaceStep(), iterations=1),
}


def nrmse(image, reference):
    image, reference = image.abs(), reference.abs()
    return float(torch.linalg.vector_norm(image - reference) / torch.linalg.vector_norm(reference))


@pytest.fixture(scope="module")
def spokes():
    return collate([trajectories.sampled(trajectories.spokes(16))])


@pytest.mark.parametrize("method", SOLVED)
def test_solved_methods_find_the_image(method, spokes):
    image = SOLVED[method]()(spokes)
    assert nrmse(image, spokes.target) < 0.6 * nrmse(ZeroFilled()(spokes), spokes.target)


@pytest.mark.parametrize("method", RUNNING)
def test_other_methods_return_finite_images_of_the_grid(method, spokes):
    with torch.no_grad():
        image = RUNNING[method]().eval()(spokes)
    assert image.shape == (1, 32, 32) and image.isfinite().all() and image.abs().max() > 0


@pytest.mark.parametrize("reason", REFUSED)
def test_methods_that_need_the_grid_say_why(reason, spokes):
    method = REFUSED[reason]()
    with pytest.raises(ConfigError, match=f"needs Cartesian k-space, for .*{reason}"):
        method(spokes)
    with pytest.raises(ConfigError, match="16 readouts"):
        method.on_canvas(spokes, (32, 40))


@pytest.mark.parametrize("regularization", [1e-2, 0.3])
def test_cg_sense_is_the_solution_in_double_precision(regularization):
    h, w = 12, 13
    sample = trajectories.sampled(trajectories.spokes(9, 12), (h, w), coils=3)
    rows, columns = (np.arange(n) - n // 2 for n in (h, w))
    places = sample.trajectory.double().numpy().reshape(-1, 2)
    phase = places[:, :1, None] * rows[:, None] / h + places[:, 1:, None] * columns / w
    F = (np.exp(-2j * np.pi * phase) / math.sqrt(h * w)).reshape(len(places), -1)
    weights = data_weights(sample).double().numpy().reshape(-1)
    gram, right = 0, 0
    for c, y in zip(sample.maps.numpy(), sample.kspace.numpy(), strict=True):
        A = F * c.reshape(-1)
        gram = gram + A.conj().T @ (weights[:, None] * A)
        right = right + A.conj().T @ (weights * y.reshape(-1))
    expected = np.linalg.solve(gram + 0.5 * regularization * np.eye(h * w), right).reshape(h, w)
    solution = CgSense(GIVEN, regularization, tolerance=1e-4, iterations=300).solve(sample)
    assert solution.converged
    error = np.linalg.norm(solution.x.numpy() - expected) / np.linalg.norm(expected)
    assert error < 1e-3


def test_the_places_of_the_grid_give_the_image_of_cartesian_kspace():
    h, w = 24, 20
    full = trajectories.sampled(trajectories.spokes(3, 24), (h, w))
    axes = [torch.arange(n).float() - n // 2 for n in (h, w)]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    mask = (torch.arange(w) % 2 == 0) | ((torch.arange(w) - w // 2).abs() < 4)
    along = trajectories.sampled(places, (h, w))
    kspace = along.kspace * mask
    acs = torch.tensor([7, 7])
    along = along.replace(kspace=kspace, mask=mask[None], acs=acs)
    plain = Sample(kspace, mask[None], maps=full.maps, acs=acs)
    converged = {"cycle_spinning": False, "tolerance": 0.0, "iterations": 300}
    for method in (CgSense(GIVEN, 0.01), L1Wavelet(GIVEN, 1e-3, **converged)):
        one, other = method(along), method(plain)
        error = torch.linalg.vector_norm(one - other) / torch.linalg.vector_norm(other)
        assert error < 1e-3


def test_members_with_trajectories_of_their_own_are_reconstructed_as_alone():
    one = trajectories.sampled(trajectories.spokes(16))
    other = trajectories.sampled(trajectories.spokes(16, golden=True))
    for method in (CgSense(Espirit(), "auto"), ZeroFilled()):
        together = method(collate([one, other]))
        for number, alone in enumerate((one, other)):
            torch.testing.assert_close(together[number], method(alone), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("estimator", [Espirit(), Nlinv(), Walsh(), LowResolutionMaps()], ids=repr)
def test_maps_are_estimated_from_the_gridded_centre(estimator):
    sample = trajectories.sampled(trajectories.spokes(40, 48), (48, 48))
    maps = estimator(sample)
    assert maps.shape == (4, 48, 48)
    object_ = sample.target > 0.1 * sample.target.max()
    overlap = (maps.conj() * sample.maps).sum(0).abs()[object_]
    assert float((1 - overlap.square()).clamp_min(0).mean().sqrt()) < 0.05


@pytest.mark.parametrize("snr", [5.0, 15.0])
def test_the_automatic_weight_is_near_the_best(snr):
    sample = trajectories.sampled(trajectories.spokes(24, 48), (48, 48))
    std = float(sample.target.quantile(0.9)) / snr
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(sample.kspace.shape, dtype=torch.complex64, generator=generator)
    sample = sample.replace(kspace=sample.kspace + 2**0.5 * std * noise)
    assert 0.8 < float(estimated_noise(sample)) / std < 1.5
    errors = [
        nrmse(CgSense(GIVEN, weight)(sample), sample.target)
        for weight in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    ]
    for known in (sample, sample.replace(noise=torch.tensor(std))):
        assert nrmse(CgSense(GIVEN, "auto")(known), sample.target) < 1.08 * min(errors)


def test_preparation_of_samples_along_trajectories():
    sample = trajectories.sampled(trajectories.spokes(60), coils=6)
    prepared = Compose([RssTarget(), CompressCoils(4), Normalize()])(sample.replace(target=None))
    assert prepared.kspace.shape[0] == 4 and prepared.areas is not None
    image = root_sum_of_squares(coil_images(prepared))
    ordered = image.flatten().sort().values
    assert float(ordered[int(0.99 * len(ordered))]) == pytest.approx(1, abs=0.02)
    whole = root_sum_of_squares(coil_images(sample)) / prepared.scale
    torch.testing.assert_close(prepared.target, whole)
    with pytest.raises(ConfigError, match="Cartesian readout"):
        CompressCoilsGeometrically(4)(sample)


@pytest.mark.parametrize("objective", ["supervised", "ssdu"])
def test_unrolled_methods_learn_from_samples_along_trajectories(objective):
    torch.manual_seed(0)
    batch = collate([Normalize()(trajectories.sampled(trajectories.spokes(12)))])
    method = MoDL(GIVEN, ResidualCnn(8, 3), iterations=2)
    optimizer, losses = torch.optim.Adam(method.parameters(), 3e-3), []
    for _ in range(20):
        if objective == "ssdu":
            torch.manual_seed(1)
            loss = Ssdu()(method, batch.replace(target=None))
        else:
            loss = (method(batch).abs() - batch.target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())
    assert losses[-1] < 0.97 * losses[0]


def test_few_spokes_are_no_reference():
    full = trajectories.sampled(trajectories.spokes(51)).replace(target=None)
    assert RssTarget()(full).target is not None
    few = trajectories.sampled(trajectories.spokes(20)).replace(target=None)
    with pytest.raises(ConfigError, match="undersampled"):
        RssTarget()(few)
    both = collate([few, few.replace(trajectory=few.trajectory / 3)])
    assert has_gaps(both).tolist() == [True, False]


def test_what_moves_places_of_the_grid_is_refused():
    batch = collate([trajectories.sampled(trajectories.spokes(20))])
    for perturbation in (RigidMotion(), FlipAndShift()):
        with pytest.raises(ConfigError, match="along a trajectory"):
            perturbation(batch, batch.maps[:, 0])
    one = trajectories.sampled(trajectories.spokes(20))
    with pytest.raises(ConfigError, match="without crop_readout"):
        cropped(one, 16)
    other = trajectories.sampled(trajectories.spokes(20), (30, 32))
    with pytest.raises(ShapeError, match="several sizes"):
        collate([one.replace(maps=None, target=None), other.replace(maps=None, target=None)])


def test_quality_pages_tell_what_inspect_tells():
    sample = trajectories.sampled(trajectories.spokes(16))
    told, judged = (
        sampled_plane_of(sample).description(),
        _mask(collate([sample]), scenes.scan().header, 0),
    )
    assert judged.acs == told.acs == (10, 10)
    assert judged.acceleration == told.acceleration == pytest.approx(math.pi / 2 * 32 / 16)
    assert judged.mask.sum() == cells(sample).sum()
