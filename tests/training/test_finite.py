"""What is not finite stays visible, stops a run and reaches no checkpoint."""

import math

import pytest
import torch

from mrirecon.config import build
from mrirecon.data.transforms import Normalize
from mrirecon.errors import MriReconError
from mrirecon.image import root_sum_of_squares
from mrirecon.metrics import METRICS
from mrirecon.solvers import conjugate_gradient, solve_cg
from mrirecon.training.callbacks.non_finite import SKIPPED, RefuseNonFinite
from mrirecon.training.checkpoint_files import AtomicCheckpoints
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Objective, Supervised
from mrirecon.training.shared_flag import SharedFlag
from mrirecon.training.validation_scores import VolumeScores
from tests import scenes
from tests.test_config import choices, composed
from tests.test_contract import SMALL, make
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]
LEARNED = [name for name in SMALL if name != "sdum"]


def with_an_empty_slice(peak=None):
    sample = scenes.batch()
    keep = torch.tensor([1.0, 0.0])
    return Normalize()(
        sample.replace(
            kspace=sample.kspace * keep[:, None, None, None],
            target=sample.target * keep[:, None, None],
            peak=peak,
        )
    )


@pytest.mark.parametrize("name", LEARNED)
def test_an_empty_slice_gives_every_model_a_finite_gradient(name):
    model, sample = make(name).train(), with_an_empty_slice()
    Supervised(1, 1, 1, 1, 1)(model, sample).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("name", choices("objective"))
def test_an_empty_slice_gives_every_objective_a_finite_gradient(name):
    torch.manual_seed(0)
    objective = build(
        composed("train", f"objective={name}", "sampling=random").objective, Objective, "objective"
    )
    other = {"ista_net": "ista_net", "iterates": "rim", "denoising": "hqs_net"}.get(name, "modl")
    model = make(other, "sensitivity=given").train()
    objective(model, with_an_empty_slice()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("weights", [(1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0),
                                     (0, 0, 0, 1, 0), (0, 0, 0, 0, 1)])  # fmt: skip
def test_a_slice_of_nothing_adds_nothing_and_units_do_not_matter(weights):
    torch.manual_seed(0)
    target = torch.rand(2, 20, 18)
    target[1] = 0
    image = torch.complex(target + 0.1 * torch.rand_like(target), torch.zeros_like(target))
    image.requires_grad_()
    sample = scenes.batch().replace(target=target, peak=None)
    objective = Supervised(*weights)
    loss = objective.compare(image, sample)
    (gradient,) = torch.autograd.grad(loss, image)
    first = sample.map(lambda t: t[:1]).replace(key=sample.key[:1])
    alone = objective.compare(image[:1], first).detach()
    assert float(loss.detach()) == pytest.approx(float(alone) / 2, rel=1e-5)
    assert not gradient[1].any() and gradient[0].isfinite().all() and gradient[0].any()
    for unit in (1e-12, 1e9):  # raw units; the constants of SSIM must not underflow
        same = objective.compare(unit * image, sample.replace(target=unit * target))
        assert float(same.detach()) == pytest.approx(float(loss.detach()), rel=1e-4)


def test_nan_stays_nan():
    coils = torch.ones(2, 3, 4, 4, dtype=torch.complex64)
    coils[1, 0, 2, 2] = math.nan
    image = root_sum_of_squares(coils)
    assert image[1, 2, 2].isnan() and image.isnan().sum() == 1
    b = coils[:, 0]
    for solved in (
        conjugate_gradient(lambda x: 2 * x, b, iterations=3),
        conjugate_gradient(lambda x: 2 * x, b, iterations=3, tolerance=1e-3),
        conjugate_gradient(lambda x: x * math.nan, b[:1].expand(2, 4, 4), iterations=3),
    ):
        assert solved[-1].isnan().any()
    assert not solve_cg(lambda x: 2 * x, b, iterations=3, tolerance=1e-3).converged[1]
    volume = torch.rand(2, 9, 9)
    for metric in METRICS.values():
        broken = volume.clone()
        broken[1, 4, 4] = math.nan
        assert math.isnan(metric(broken, volume)) and math.isnan(metric(volume, broken))


@pytest.mark.parametrize("name", ["zero_filled", "unet", "varnet", "modl", "cg_sense"])
def test_nan_in_gives_nan_out(name):
    sample = scenes.batch()
    kspace = sample.kspace.clone()
    measured = int(sample.mask[1].reshape(-1, kspace.shape[-1])[0].nonzero()[0])
    kspace[1, 0, 3, measured] = math.nan  # outside the centre that coil maps are made of
    image = make(name)(sample.replace(kspace=kspace))
    assert image[0].isfinite().all() and image[1].isnan().any()


class Breaks(Supervised):
    """The loss of one slice, or its gradient, is not finite."""

    def __init__(self, what, after=0):
        super().__init__()
        self.what, self.after = what, after

    def forward(self, reconstructor, sample):
        loss = super().forward(reconstructor, sample)
        self.after -= 1
        if self.after >= 0 or not reconstructor.training:
            return loss
        if self.what == "loss":
            return loss * math.nan
        parameter = next(p for p in reconstructor.parameters() if p.requires_grad)
        return loss + 0 * (parameter - parameter.detach()).sqrt().sum()  # 0 times infinity


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_run_that_is_not_finite_is_stopped_before_the_update(what, tmp_path):
    model = runs.varnet()
    saved = runs.pl.callbacks.ModelCheckpoint(tmp_path, filename="last")
    with pytest.raises(MriReconError) as error:
        runs.fit(
            tmp_path, model, 3, Breaks(what, 3 + 1), callbacks=[RefuseNonFinite(), saved],
            enable_checkpointing=True, loaders=runs.data(),
        )  # fmt: skip
    assert f"the {what} is not finite, after subject00" in str(error.value)
    assert "(epoch 2, update " in str(error.value) and "optimizer.lr" in str(error.value)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["epoch"] == 0 and all(p.isfinite().all() for p in model.parameters())


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    trainer, module = runs.fit(
        tmp_path, runs.varnet(), callbacks=[RefuseNonFinite()], plugins=[AtomicCheckpoints()]
    )
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    good = (tmp_path / "last.ckpt").read_bytes()
    with torch.no_grad():
        next(module.parameters()).view(-1)[0] = math.inf
    with pytest.raises(MriReconError, match="the network's weights"):
        trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == good


def test_half_precision_skips_updates_by_design(tmp_path, monkeypatch):
    guard, sample, trainer = RefuseNonFinite(), scenes.batch(), runs.trainer(tmp_path)
    module = ReconstructionModule(runs.varnet(), Supervised(), runs.adam, runs.RECIPE)
    monkeypatch.setattr(type(trainer), "precision", "16-mixed")  # which needs a GPU
    guard.on_train_batch_start(trainer, module, sample, 0)
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, math.inf)
    guard.on_before_optimizer_step(trainer, module, runs.adam(module.parameters()))
    for _ in range(3):
        for _ in range(SKIPPED - 1):
            guard.on_before_backward(trainer, module, torch.tensor(math.inf))
        guard.on_before_backward(trainer, module, torch.tensor(1.0))
    for _ in range(SKIPPED - 1):
        guard.on_before_backward(trainer, module, torch.tensor(math.nan))
    with pytest.raises(MriReconError, match="the loss is not finite, after subject"):
        guard.on_before_backward(trainer, module, torch.tensor(math.nan))


def test_validation_names_the_volume_that_has_no_scores():
    sample = scenes.batch()
    images = torch.complex(sample.target, torch.zeros_like(sample.target))
    scores = VolumeScores()
    scores.add(sample, images * math.nan)
    with pytest.raises(MriReconError, match=r"the reconstruction of subject0000.* not finite"):
        scores.mean()
    scores = VolumeScores()
    scores.add(sample.replace(target=0 * sample.target), images)
    with pytest.raises(MriReconError, match="the references of all 1 volumes are zero everywhere"):
        scores.mean()


def test_on_a_gpu_a_flag_is_read_one_batch_later_and_names_its_own_batch(monkeypatch):
    order = []

    class Event:
        def record(self):
            order.append("record")

        def synchronize(self):
            order.append("wait")

    empty = torch.empty
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch, "empty", lambda *a, pin_memory, **k: empty(*a, **k))  # noqa: ARG005
    flag = SharedFlag()
    up, down = torch.tensor([1, 1]), torch.tensor([0, 0])
    answers = [flag._delayed(x, n) for n, x in enumerate((down, up, down, down))]
    assert answers == [[], [], [1], []]
    assert order == ["record", *["record", "wait"] * 3]  # never for the batch just sent
    assert flag.exchange(True, torch.device("cpu"), 7) == [7]
