"""Predictions from small problems, against what the problem itself takes."""

import pytest
import torch

from mrirecon.footprint import predicted
from mrirecon.footprint.accounting import Accounting
from mrirecon.footprint.extrapolation import Sizes, extrapolated
from mrirecon.footprint.heap import MAPPED, beside
from mrirecon.footprint.need import Need
from mrirecon.footprint.predicted import of_imaging, of_training
from mrirecon.footprint.small_sample import shrunk, with_coils
from mrirecon.reconstructors import CgSense, Grappa, VarNet
from mrirecon.sensitivity import CachedMaps, GivenMaps, Walsh
from mrirecon.training.callbacks.recompute_activations import recompute
from mrirecon.training.objectives.base import Supervised
from mrirecon.types import Sample
from tests import scenes
from tests.training.runs import adam, varnet

GRID = (80, 72)


@pytest.fixture(scope="module")
def sample():
    made = scenes.batch(scenes.scan(matrix=GRID, slices=1, with_maps=True))
    near = made.map(lambda t: t[:, None]).replace(seed=None)
    return made.replace(target=torch.rand(1, 40, 36), neighbors=near)


@pytest.fixture(autouse=True)
def smaller(monkeypatch):
    for name in ("CLASSICAL", "LEARNED", "TRAINING"):
        monkeypatch.setattr(predicted, name, Sizes(48, 64, readout=name == "CLASSICAL"))


def taken(run, *held):
    with Accounting([t for x in held for t in x]) as accounting:
        before = accounting.live
        run()
    return accounting.peak - before


def test_the_centre_of_everything_remains(sample):
    small = shrunk(sample, (32, 20))
    assert small.kspace.shape[-2:] == small.maps.shape[-2:] == (32, 20) and small.grid == (32, 20)
    assert torch.equal(small.kspace, sample.kspace[..., 24:56, 26:46])
    assert torch.equal(small.mask, sample.mask[..., 26:46])
    assert small.target.shape == (1, 16, 10) and small.acs.tolist() == [[32, 12]]
    assert small.neighbors.kspace.shape[-2:] == (32, 20)
    assert shrunk(sample, GRID) is sample
    assert with_coils(sample, 2).neighbors.kspace.shape[-3] == 2


def test_readouts_along_a_trajectory_become_fewer():
    places = torch.rand(1, 60, 30, 2) * 40 - 20
    kspace = torch.randn(1, 3, 60, 30, dtype=torch.complex64)
    mask = torch.ones(1, 1, 30, dtype=torch.bool)
    made = Sample(kspace, mask, trajectory=places, image_grid=(40, 40))
    small = shrunk(made, (20, 10))
    assert small.grid == (20, 10) and small.kspace.shape == (1, 3, 30, 8)
    assert small.mask.shape == (1, 1, 8) and small.trajectory.shape == (1, 30, 8, 2)
    assert torch.equal(small.kspace[..., 0, 0], kspace[..., 0, 0])
    share = torch.tensor([0.5, 0.25])
    torch.testing.assert_close(small.trajectory[0, -1, -1], places[0, -1, -1] * share)


def test_the_place_with_the_peak_may_change_with_the_size():
    def peaks(grid):
        h, w = grid
        return {"weights": 10**6, "readout": 5000 * h, "image": 90 * h * w + 7}

    sizes = Sizes(32, 48, readout=True)
    assert max(peaks((32, 32)), key=peaks((32, 32)).get) == "weights"
    assert extrapolated(peaks, (300, 250), sizes) == pytest.approx(90 * 75000 + 7, abs=2)
    assert extrapolated(peaks, (300, 40), sizes) == pytest.approx(5000 * 300, abs=2)
    assert extrapolated(peaks, (40, 40), sizes) == 10**6


@pytest.mark.parametrize("model", [CgSense(GivenMaps(), iterations=3), Grappa()])
def test_images_take_what_is_told(sample, model):
    found = of_imaging(model, sample, GRID)
    run = taken(lambda: model(sample), sample.tensors().values())
    assert found.weights == found.training == 0
    assert found.member == pytest.approx(
        run + sum(t.nbytes for t in _read(model, sample)), rel=0.15
    )


def _read(model, sample):
    """The tensors of a Sample that a method looks at; the trial has them for itself."""
    with Accounting() as accounting, torch.inference_mode():
        model(sample)
    return [t for t in sample.tensors().values() if t.untyped_storage()._cdata in accounting._known]


@pytest.mark.parametrize("low", [False, True])
def test_steps_take_what_is_told(sample, low):
    model, objective = varnet(cascades=2), Supervised()
    found = of_training(model, objective, adam, sample, prepare=recompute if low else None)
    weights = sum(p.nbytes for p in model.parameters())
    assert found.weights >= weights  # and the window of the objective
    assert found.training == pytest.approx(3 * weights, rel=0.01)  # gradients and two moments
    if low:
        recompute(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def step():
        loss = objective(model, sample)
        model.zero_grad()
        loss.backward()

    held = ([*model.parameters(), *(p.grad for p in model.parameters())], [sample.kspace])
    run = taken(step, *held)
    assert found.member == pytest.approx(run, rel=0.15)


def test_a_prediction_leaves_everything_as_it_was(sample, tmp_path):
    model = varnet(cascades=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    of_training(model, Supervised(), adam, sample)
    of_imaging(model, sample, GRID)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    cached = CgSense(CachedMaps(Walsh(), str(tmp_path / "cache")), iterations=1)
    of_imaging(cached, sample, GRID)
    assert not (tmp_path / "cache").exists()


def test_optimizers_tell_of_their_state(sample):
    sample = shrunk(sample, (24, 24))

    def need(optimizer, **options):
        return of_training(varnet(cascades=1), Supervised(), optimizer, sample, **options)

    plain = need(lambda p: torch.optim.SGD(p, lr=1.0))
    weights = sum(p.nbytes for p in varnet(cascades=1).parameters())
    assert plain.training == weights  # the gradients
    heavy = need(lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9), copies=2)
    assert heavy.training == 4 * weights
    half = need(adam, precision=torch.bfloat16)
    assert half.member < need(adam).member


def test_the_whole_is_the_sum():
    need = Need(weights=10, member=100, batch=3, training=30, update=50, heap=7)
    assert need.total == 10 + 30 + 300 + 7 and need.beyond == 337
    assert Need(weights=10, member=1, batch=3, training=30, update=50).total == 90
    gb = 2**30
    assert Need(gb, 3 * gb, 2, training=3 * gb).told() == (
        "10.0 GB (4.0 GB weights, gradients and optimizer, 6.0 GB for 2 slices)"
    )
    assert Need(0, 20 * 2**20, 1).told() == "20 MB"
    largest = beside(1000, [5e6, 2e7, MAPPED], learned=True) - beside(1000, [5e6], learned=True)
    assert largest == pytest.approx(4 * 1.5e7)
    assert not of_imaging_on_gpu().heap


def of_imaging_on_gpu():
    made = scenes.batch(scenes.scan(matrix=(40, 36), slices=1, with_maps=True))
    return of_imaging(CgSense(GivenMaps()), made, (40, 36), device=torch.device("cuda"))


def test_pieces_are_those_of_the_large_problem(monkeypatch):
    from mrirecon.sensitivity import coilwise

    monkeypatch.setattr(coilwise, "PIXELS", 80 * 72)  # one coil at a time
    made = scenes.batch(scenes.scan(matrix=GRID, slices=1, coils=8))
    model = VarNet(cascades=1, channels=2, pools=1)
    run = taken(lambda: _image(model, made), list(model.parameters()))
    assert of_imaging(model, made, GRID).member == pytest.approx(run, rel=0.15)


def _image(model, sample):
    with torch.inference_mode():
        model.eval()(sample)
