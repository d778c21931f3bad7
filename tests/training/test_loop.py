"""What surrounds the training step: averages, schedules, accumulation, precision, memory."""

import pytest
import torch

from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.unet import UNet
from mrirecon.training.callbacks.recompute_activations import RecomputeActivations, recompute
from mrirecon.training.callbacks.weight_average import TRAINED, WeightAverage
from mrirecon.training.checkpoint import read_checkpoint
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from mrirecon.training.schedules import warmup
from tests import scenes
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]


class Scaled(Reconstructor):
    """The first coil's image times a number."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(()))

    def forward(self, sample):
        return self.factor * sample.kspace[:, 0]


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=1.0)


class FactorPerSlice(torch.nn.Module):
    """A loss whose gradient is the mean of a number that belongs to each slice."""

    needs_target = True

    def forward(self, reconstructor, sample):
        values = torch.tensor([{"0": 1.0, "1": 10.0}[str(index)] for _, index in sample.key])
        return (reconstructor.factor * values).mean()


@pytest.mark.parametrize(("together", "batch_size"), [(1, 6), (3, 2), (2, 4), (5, 1), (4, 4)])
def test_every_slice_counts_alike_however_gradients_are_accumulated(together, batch_size, tmp_path):
    """Six slices: updates of six, of 2 + 2 + 2, of 4 + 2, of five and one, of 4 + 2 of 4 x 4."""
    torch.manual_seed(0)
    model = Scaled()
    module = ReconstructionModule(model, Supervised(), sgd, runs.RECIPE)
    module.objective = FactorPerSlice()
    seen = []
    trainer = runs.trainer(tmp_path, accumulate_grad_batches=together)
    data = runs.data(3, batch_size=batch_size)
    order = [i for b in data.train_dataloader().sampler for i in b.indices]
    trainer.fit(module, data)
    values = [1.0 if i % 2 == 0 else 10.0 for i in order]
    group = together * batch_size
    for start in range(0, 6, group):
        part = values[start : start + group]
        seen.append(sum(part) / len(part))
    assert trainer.global_step == len(seen)
    assert 1 - model.factor.item() == pytest.approx(sum(seen), rel=1e-5)


def test_the_average_validates_and_is_saved_and_training_goes_on_with_the_weights(tmp_path):
    history, validated = [], []

    class Watch(runs.pl.Callback):
        def on_train_batch_end(self, _trainer, module, *_):
            history.append(runs.weights(module.reconstructor))

        def on_validation_batch_end(self, _trainer, module, *_):
            validated.append(runs.weights(module.reconstructor))

    model = runs.varnet()
    average = runs.weights(model).double()
    trainer, _ = runs.fit(tmp_path, model, 2, callbacks=[WeightAverage(0.5), Watch()])
    for n, weights in enumerate(history, start=1):
        decay = min(0.5, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * weights
    assert runs.weights(model).equal(history[-1])
    assert torch.allclose(validated[-1], average.float(), atol=1e-5)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    other = runs.varnet()
    other.load_state_dict(read_checkpoint(tmp_path / "a.ckpt").weights)
    assert torch.allclose(runs.weights(other), average.float(), atol=1e-5)
    kept = torch.load(tmp_path / "a.ckpt", weights_only=True)[TRAINED]
    assert all(kept[f"reconstructor.{k}"].equal(v) for k, v in model.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint.*")
@pytest.mark.parametrize("together", [1, 2])
def test_a_resumed_run_goes_on_averaging(together, tmp_path):
    saved = runs.pl.callbacks.ModelCheckpoint(tmp_path / "c")
    options = {"callbacks": [WeightAverage(0.9), saved], "enable_checkpointing": True}
    accumulate = {"accumulate_grad_batches": together}
    whole, resumed = runs.varnet(), runs.varnet()
    full, _ = runs.fit(tmp_path, whole, 2, callbacks=[WeightAverage(0.9)], **accumulate)
    runs.fit(tmp_path, runs.varnet(), 1, **options, **accumulate)
    average = WeightAverage(0.9)
    again, _ = runs.fit(
        tmp_path, resumed, 2, callbacks=[average], resume=saved.best_model_path, **accumulate
    )
    (expected,) = (c for c in full.callbacks if isinstance(c, WeightAverage))
    assert all(average._average[name].equal(v) for name, v in expected._average.items())
    assert runs.weights(resumed).equal(runs.weights(whole))
    for name, value in full.callback_metrics.items():
        assert torch.equal(again.callback_metrics[name], value), name
    with pytest.raises(ConfigError, match="averaged its weights; resume with callbacks=averaged"):
        runs.fit(tmp_path, runs.varnet(), 2, resume=saved.best_model_path)
    saved = runs.pl.callbacks.ModelCheckpoint(tmp_path / "d")
    runs.fit(tmp_path, runs.varnet(), 1, callbacks=[saved], enable_checkpointing=True)
    with pytest.raises(ConfigError, match="did not average its weights"):
        runs.fit(tmp_path, resumed, 2, callbacks=[WeightAverage(0.9)], resume=saved.best_model_path)


def rates(steps, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup(optimizer, **options)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_schedules_rise_and_fall():
    cosine = rates(13, epochs=3, steps_per_epoch=4)
    assert cosine[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0]) and cosine[4] == 2.0
    assert cosine[8] == pytest.approx(1.0) and cosine[12] == pytest.approx(0.0, abs=1e-12)
    assert rates(8, epochs=2, steps_per_epoch=4, decay="constant")[3:] == [2.0] * 5
    line = rates(9, epochs=2, steps_per_epoch=4, warmup_epochs=0, decay="linear", final=0.5)
    assert line == pytest.approx([2 - n / 8 for n in range(9)])
    with pytest.raises(ValueError, match="is 3, that is 12 updates, expected less than the 12"):
        rates(1, epochs=3, steps_per_epoch=4, warmup_epochs=3)
    with pytest.raises(ValueError, match="final must lie between"):
        rates(1, epochs=3, steps_per_epoch=4, final=2.0)


def test_the_module_tells_the_schedule_its_steps(tmp_path):
    from functools import partial

    torch.manual_seed(0)
    module = ReconstructionModule(
        runs.varnet(), Supervised(), sgd, runs.RECIPE, partial(warmup, epochs=2)
    )
    trainer = runs.trainer(tmp_path, 2, accumulate_grad_batches=2)
    trainer.fit(module, runs.data(3))  # three batches, two updates per epoch
    (schedule,) = (c.scheduler for c in trainer.lr_scheduler_configs)
    assert schedule.last_epoch == trainer.global_step == 4
    assert schedule.get_last_lr() == [pytest.approx(0.0, abs=1e-12)]


@pytest.mark.parametrize("model", [runs.varnet, lambda: UNet(channels=4, pools=2)])
def test_half_precision_stays_inside_the_networks(model, tmp_path):
    torch.manual_seed(0)
    model, sample = model(), scenes.batch()
    exact = model(sample)
    with torch.autocast("cpu", torch.bfloat16):
        image = model(sample)
        loss = Supervised(1, 1, 1, 1)(model, sample)
        loss.backward()
    assert image.dtype == torch.complex64 and loss.dtype == torch.float32
    assert (image - exact).abs().max() < 0.1 * exact.abs().max()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    trainer, _ = runs.fit(tmp_path, model, precision="bf16-mixed")
    assert all(value.isfinite() for value in trainer.callback_metrics.values())


def test_recomputing_changes_memory_and_nothing_else(tmp_path):
    sample = scenes.batch()
    kept = []

    def size_and_gradient(model):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, id_):
            loss = Supervised()(model, sample)
        size = sum(kept)
        loss.backward()
        return size, torch.cat([p.grad.flatten() for p in model.parameters()])

    def id_(tensor):
        return tensor

    plain, saving = runs.varnet(cascades=4), runs.varnet(cascades=4)
    recompute(saving)
    assert saving.state_dict().keys() == plain.state_dict().keys()
    (much, expected), (little, gradient) = size_and_gradient(plain), size_and_gradient(saving)
    assert torch.allclose(gradient, expected, rtol=1e-4, atol=1e-6) and little < 0.5 * much
    model = runs.varnet()
    runs.fit(tmp_path, model, callbacks=[RecomputeActivations()])
    other = runs.varnet()
    runs.fit(tmp_path, other)
    assert torch.allclose(runs.weights(model), runs.weights(other), atol=1e-5)
    with pytest.raises(ConfigError, match="UNet has no list of steps of its own; its networks"):
        recompute(UNet(4, 2))
    with pytest.raises(ConfigError, match=r"VarNet has no list of steps called steps; .* cascades"):
        recompute(runs.varnet(), ["steps"])


def test_recomputing_shows_pytorch_the_device_whose_random_numbers_it_has_to_keep(monkeypatch):
    shown = []
    original = torch.utils.checkpoint.get_device_states
    monkeypatch.setattr(
        torch.utils.checkpoint,
        "get_device_states",
        lambda *inputs: (
            shown.extend(v.device for v in inputs if isinstance(v, torch.Tensor))
            or original(*inputs)
        ),
    )
    monkeypatch.setattr(torch.utils.checkpoint, "_infer_device_type", lambda *inputs: next(
        shown.append(v.device) or "cpu" for v in inputs if isinstance(v, torch.Tensor)
    ))  # fmt: skip
    model = runs.varnet()  # its steps get dataclasses, into which PyTorch does not look
    recompute(model)
    Supervised()(model, scenes.batch()).backward()
    assert len(shown) >= len(model.cascades)


def test_steps_that_share_their_weights_are_wrapped_once():
    step, x = torch.nn.Linear(3, 3), torch.ones(2, 3)
    model = torch.nn.Module()
    model.steps = torch.nn.ModuleList([step, step])
    recompute(model)
    for layer in model.steps:
        x = layer(x)
    x.sum().backward()
    assert step.weight.grad.isfinite().all() and step.forward.args[1].__self__ is step
