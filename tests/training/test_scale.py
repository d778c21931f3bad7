"""Mixed data sets, determinism, sharding and clusters, as far as a CPU can tell."""

import importlib.util

import pytest
import pytorch_lightning as pl
import torch
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher
from torch import nn

from mrirecon.commands.train import _check_data
from mrirecon.commands.trainer import build_trainer
from mrirecon.commands.trainer_flags import RunLength, check_monitors
from mrirecon.config import build
from mrirecon.data.batches import VolumeBatches
from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.errors import ConfigError
from mrirecon.training.callbacks.sample_pictures import SamplePictures
from mrirecon.training.callbacks.weight_average import WeightAverage
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from mrirecon.training.objectives.ssdu import Ssdu
from mrirecon.training.sharding import ShardedSteps, wrap_policy
from tests import scenes
from tests.test_config import CONF, composed
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]


def mixed(**options):
    sizes = {10: ((20, 18), 3), 11: ((24, 18), 3), 12: ((20, 18), 2)}
    scans = [scenes.scan(s, matrix=m, coils=c) for s, (m, c) in sizes.items()]
    val = SliceDataset([scenes.scan(1, matrix=(20, 18)), scenes.scan(2)], runs.FIXED)
    return DataModule(SliceDataset(scans, runs.RANDOM), val, **{"batch_size": 2, **options})


class Seen(pl.Callback):
    def __init__(self):
        self.keys, self.shapes = [], set()

    def on_train_batch_end(self, _trainer, _module, _outputs, batch, _index):
        self.keys += batch.key
        self.shapes.add(tuple(batch.kspace.shape))


def test_batches_of_a_mixed_data_set_train(tmp_path):
    seen = Seen()
    trainer, _ = runs.fit(tmp_path, runs.varnet(), 2, loaders=mixed(seed=1), callbacks=[seen],
                          accumulate_grad_batches=2)  # fmt: skip
    assert seen.shapes == {(2, 3, 20, 18), (2, 3, 24, 18), (2, 2, 20, 18)}
    assert sorted(seen.keys[:6]) == sorted(seen.keys[6:]) and len(set(seen.keys)) == 6
    assert trainer.callback_metrics["val/ssim"].isfinite()


def test_spare_batches_are_not_scored(tmp_path):
    loaders = runs.data()
    module = ReconstructionModule(runs.varnet(), Supervised(), runs.adam, runs.RECIPE)
    slices = loaders.sets["val"]
    idle = VolumeBatches(slices, 2, rank=1, processes=2)
    assert idle.scored == 0 and len(list(idle)) == 1  # the only scan is elsewhere
    loaders.val_dataloader = lambda: loaders._loader(slices, idle)
    (scores,) = runs.trainer(tmp_path).validate(module, loaders, verbose=False)
    assert scores == {}


@pytest.mark.parametrize("workers", [0, 1])
def test_deterministic_runs_are_equal_bit_by_bit(workers, tmp_path):
    options = composed("train", "trainer=deterministic").trainer
    found = []
    try:
        for _ in range(2):
            model = runs.varnet()
            trainer, _ = runs.fit(
                tmp_path, model, loaders=mixed(seed=1, workers=workers),
                deterministic=options.deterministic, benchmark=options.benchmark,
            )  # fmt: skip
            assert torch.are_deterministic_algorithms_enabled()
            found.append((runs.weights(model), trainer.callback_metrics["val/ssim"]))
            torch.rand(3)
    finally:
        torch.use_deterministic_algorithms(False)
    assert found[0][0].equal(found[1][0]) and found[0][1].equal(found[1][1])


def test_sharding_takes_each_cascade_as_a_unit():
    model = runs.varnet(cascades=3)
    root = nn.ModuleDict({"reconstructor": model})
    units = wrap_policy(model)._run_policy(root, set(), {})
    assert {id(unit) for unit in units} == {id(cascade) for cascade in model.cascades}
    strategy = build(composed("train", "trainer=fsdp").trainer.strategy, ShardedSteps, "strategy")
    assert strategy._state_dict_type == "full"
    with pytest.raises(ConfigError, match=r"trainer.strategy: .* no list of steps"):
        wrap_policy(nn.Linear(2, 2))


@pytest.mark.parametrize("callback", [WeightAverage(), SamplePictures("x")])
def test_sharded_weights_cannot_be_averaged_or_drawn(callback):
    strategy, trainer = ShardedSteps(), pl.Trainer(accelerator="cpu", logger=False)
    trainer.callbacks.append(callback)
    module = ReconstructionModule(runs.varnet(), Supervised(), runs.adam, runs.RECIPE)
    strategy.connect(module)
    with pytest.raises(ConfigError, match="needs the whole weights"):
        strategy.setup(trainer)


def test_slurm_tells_the_processes_of_several_nodes(monkeypatch, tmp_path):
    for name, value in {
        "JOB_ID": 7, "JOB_NAME": "train", "NTASKS": 4, "NTASKS_PER_NODE": 2, "NNODES": 2,
        "PROCID": 3, "LOCALID": 1, "NODEID": 1, "NODELIST": "a[1-2]",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    config = OmegaConf.create({
        "trainer": {"_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "devices": 2,
                    "num_nodes": 2, "enable_checkpointing": False},
        "callbacks": None, "logger": None,
    })  # fmt: skip
    trainer = build_trainer(config, tmp_path)
    assert isinstance(trainer.strategy.cluster_environment, SLURMEnvironment)
    assert (trainer.world_size, trainer.global_rank, trainer.local_rank) == (4, 3, 1)
    assert type(trainer.strategy) is DDPStrategy  # srun has started the processes
    assert trainer.strategy.cluster_environment.creates_processes_externally
    assert not isinstance(trainer.strategy.launcher, _MultiProcessingLauncher)


@pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None
    or importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher") is None,
    reason="needs the extra [slurm]",
)
def test_the_slurm_launcher_asks_for_a_process_per_device():
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(
            "train", ["hydra/launcher=slurm", "trainer.devices=4", "+trainer.num_nodes=2",
                      "hydra.launcher.partition=gpu"], return_hydra_config=True,
        )  # fmt: skip
        launcher = config.hydra.launcher
        assert (launcher.nodes, launcher.tasks_per_node, launcher.gpus_per_node) == (2, 4, 4)
        assert launcher._target_.endswith("SlurmLauncher") and launcher.partition == "gpu"
    assert not GlobalHydra.instance().is_initialized()


VARNET = runs.varnet()


def test_data_without_references_is_refused():
    with_target = runs.data()
    _check_data(with_target, Supervised(), VARNET)

    def without(stage):
        data = runs.data()
        data.sets[stage].transform = lambda sample: runs.FIXED(sample).replace(target=None)
        return data

    _check_data(without("train"), Ssdu(), VARNET)
    _check_data(without("val"), Ssdu(), VARNET)
    with pytest.raises(
        ConfigError, match=r"data\.train: supervised training, like its validation, needs"
    ):
        _check_data(without("train"), Supervised(), VARNET)
    with pytest.raises(
        ConfigError, match=r"data\.val: supervised training, like its validation, needs"
    ):
        _check_data(without("val"), Supervised(), VARNET)
    quiet = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False}
    by_ssim, by_loss = (
        pl.Trainer(callbacks=[pl.callbacks.EarlyStopping(name)], **quiet)
        for name in ("val/ssim", "val/loss")
    )
    length = RunLength(batches=4, together=1, updates=40, by_steps=False)
    check_monitors(by_ssim, runs.data(), Supervised(), length)
    check_monitors(by_loss, without("val"), Ssdu(), length)
    with pytest.raises(ConfigError, match=r"EarlyStopping looks at val/ssim, but .* no reference"):
        check_monitors(by_ssim, without("val"), Ssdu(), length)
