"""A resumed run equals the uninterrupted one, to the last bit."""

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from mrirecon.reconstructors.learned.unet import UNet
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),  # a folder per run
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]


def unet():
    torch.manual_seed(0)
    return UNet(channels=4, pools=2, dropout=0.2)  # draws from the process's generator


@pytest.mark.parametrize(("model", "workers"), [(unet, 0), (unet, 1), (runs.varnet, 0)])
def test_two_epochs_are_one_epoch_and_a_resumed_one(model, workers, tmp_path):
    def fit(model, epochs, resume=None, seed=3):
        saved = ModelCheckpoint(tmp_path / ("resumed" if resume else str(epochs)))
        options = {"callbacks": [saved], "enable_checkpointing": True, "resume": resume}
        loaders = runs.data(workers=workers, seed=seed)
        trainer, _ = runs.fit(tmp_path, model, epochs, loaders=loaders, **options)
        return trainer, saved.best_model_path

    whole, resumed = model(), model()
    full, _ = fit(whole, 2)
    _, checkpoint = fit(model(), 1)
    torch.rand(5)  # the new process is in another state
    again, _ = fit(resumed, 2, checkpoint, seed=99)  # the seed of the first run counts
    assert again.global_step == full.global_step == 6
    assert runs.weights(resumed).equal(runs.weights(whole))
    for name, value in full.callback_metrics.items():
        assert torch.equal(again.callback_metrics[name], value), name
