"""Masks and normalisation of whole batches, where the network is, change nothing but the place."""

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from mrirecon.data.batches import Batch, Batches
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.sampling import Curriculum, MixedPatterns, RandomLines
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]
MIXED = Compose(
    [
        Undersample(MixedPatterns([RandomLines(2, acs=8), RandomLines(5, acs=4)]), seed="random"),
        Normalize(),
    ]
)


@pytest.mark.parametrize("workers", [0, 1])
def test_training_is_the_same_on_either_side(workers, tmp_path):
    def fit(on_device):
        loaders = runs.data(on_device=on_device, workers=workers)
        trainer, module = runs.fit(tmp_path, runs.varnet(), 2, loaders=loaders)
        return trainer.callback_metrics, runs.weights(module.reconstructor)

    (metrics, expected), (found_metrics, found) = fit(False), fit(True)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert not found.allclose(runs.weights(runs.varnet()), atol=1e-3)  # something was learned
    for name, value in metrics.items():
        torch.testing.assert_close(found_metrics[name], value, rtol=1e-4, atol=1e-5)


def test_batches_on_either_side_have_the_same_mixed_masks(monkeypatch):
    monkeypatch.setattr(runs, "RANDOM", MIXED)
    host, device = (runs.data(on_device=where).sets["train"] for where in (False, True))
    order = Batch((0, 3, 5), seed=4, epoch=2)
    expected, torch_state = Batches(host)[order], torch.get_rng_state()
    found = device.finish(Batches(device)[order])
    assert found.mask.equal(expected.mask) and found.acs.equal(expected.acs)
    assert len(set(found.acs[:, 1].tolist())) == 2  # both accelerations are in this batch
    for name, value in expected.tensors().items():
        torch.testing.assert_close(getattr(found, name), value, equal_nan=True)
    assert torch.get_rng_state().equal(torch_state)
    other = device.finish(Batches(device)[Batch((0, 3, 5), seed=4, epoch=3)])
    assert not other.mask.equal(found.mask)


def test_a_curriculum_has_the_same_stage_on_either_side(monkeypatch):
    stages = Curriculum([RandomLines(2, acs=4), RandomLines(8, acs=4)], [0, 1])
    transform = Compose([Undersample(stages, seed="random"), Normalize()])
    monkeypatch.setattr(runs, "RANDOM", transform)
    for epoch in (0, 1):
        host = Batches(runs.data().sets["train"])[Batch((0, 1), seed=4, epoch=epoch)]
        data = runs.data(on_device=True)
        data.trainer = SimpleNamespace(training=True, testing=False, current_epoch=epoch)
        batch = Batches(data.sets["train"])[Batch((0, 1), seed=4, epoch=epoch)]
        assert data.on_after_batch_transfer(batch, 0).mask.equal(host.mask)


def test_a_resumed_run_draws_the_same_mixed_masks(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "RANDOM", MIXED)

    def fit(epochs, resume=None, seed=3):
        saved = ModelCheckpoint(tmp_path / ("resumed" if resume else str(epochs)))
        loaders = runs.data(on_device=True, seed=seed)
        options = {"callbacks": [saved], "enable_checkpointing": True, "resume": resume}
        _, module = runs.fit(tmp_path, runs.varnet(), epochs, loaders=loaders, **options)
        return runs.weights(module.reconstructor), saved.best_model_path

    whole, _ = fit(2)
    _, checkpoint = fit(1)
    torch.rand(5)
    resumed, _ = fit(2, checkpoint, seed=99)
    assert resumed.equal(whole)
