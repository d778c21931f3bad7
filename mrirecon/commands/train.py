"""``mrirecon train``: fit a learned method to a data set."""

import itertools
import json
import logging
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mrirecon.commands.adoption import StartingWeights
from mrirecon.commands.base import command, command_line, refuse_idle, refuse_taken_away
from mrirecon.commands.fitting import fit
from mrirecon.commands.outcome import best_score, report
from mrirecon.commands.resume import check_resume, run_facts
from mrirecon.commands.resume_auto import AUTO, checkpoint_to_resume, refuse_unchecked
from mrirecon.commands.trainer import build_trainer, refuse_unknown_parts
from mrirecon.commands.trainer_flags import check_flags, check_trainer
from mrirecon.commands.training_footprints import announce_training
from mrirecon.config import build, build_function, plain
from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.gaps import has_gaps
from mrirecon.data.transforms import draws_anew
from mrirecon.errors import ConfigError
from mrirecon.files import atomic, from_here, output_folder
from mrirecon.loading import packaged_weights
from mrirecon.pseudonyms import patients
from mrirecon.recipes import portable
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.threads import processors
from mrirecon.training.checkpoint import Recipe
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Objective, no_reference
from mrirecon.training.tuned_domain import tuned_domain
from mrirecon.versions import versions
from mrirecon.weights import weights_file

# Remarks of Lightning that no user can act on: its own deprecated calls, advertisements, devices
# that there are not.
warnings.filterwarnings("ignore", message=".*LeafSpec.*")
logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
GROUPS = (
    "data", "simulation", "sampling", "sensitivity", "preprocessing", "model", "objective",
    "optimizer", "scheduler", "trainer", "callbacks", "logger",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """mrirecon train [experiment=NAME] [model=NAME] [data=NAME] [output=FOLDER]."""

    seed: int
    output: str
    resume: str | None
    checkpoint: str | None
    trust: list[str] | tuple[str, ...] | str

    def __post_init__(self) -> None:
        if self.resume not in (None, AUTO) and self.checkpoint:
            raise ValueError(
                "checkpoint starts another run from weights, resume goes on with an interrupted "
                "one; give one of them"
            )


@command(Settings, GROUPS)
def train(config: DictConfig, settings: Settings) -> float | None:
    """Build everything, fit, and say where the checkpoints lie; returns the best score."""
    folder = output_folder(HydraConfig.get().runtime.output_dir)
    refuse_taken_away(config, "trainer", "preprocessing")
    check_flags(plain(config.trainer, "trainer"))
    refuse_unknown_parts(config, "callbacks", "logger")
    start = StartingWeights.read(settings.checkpoint and str(weights_file(settings.checkpoint)))
    if start:
        start.adopt(config, settings.trust)
    refuse_idle(config, "sensitivity", "model", "preprocessing", "data")
    for key in ("sampling", "simulation"):
        refuse_idle(config, key, "data", "objective")
    resume = checkpoint_to_resume(config, settings.resume, folder)
    pl.seed_everything(settings.seed, workers=True, verbose=False)
    # Everything is built before anything is written: a wrong key costs a second, not a night.
    module = _module(config)
    if start:
        start.load(module.reconstructor)
    data = build(config.data, DataModule, "data")
    data.provide(module.reconstructor)
    _check_data(data, module.objective, module.reconstructor)
    learned = patients(data.sets["train"].subjects).keys()
    module.patients = module.reconstructor.patients | learned
    if not resume:
        path, domain = packaged_weights(module.reconstructor)
        if start:
            path, domain = start.path, start.checkpoint.domain
        module.domain = tuned_domain(domain, module.reconstructor, data.sets["train"], path)
    trainer = build_trainer(config, folder, bool(start or module.reconstructor.weights))
    check_trainer(trainer, data, module.objective)
    refuse_unchecked(trainer, resume)
    module.run = run_facts(config, module, data, trainer)
    if resume:
        check_resume(resume, module.run, data, trainer)
    if trainer.is_global_zero:
        _write_record(config, folder)
        parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
        print(
            f"training {type(module.reconstructor).__name__} ({parameters:,} parameters) on "
            f"{_devices(trainer)}, everything goes to {from_here(folder)}"
        )
        _note_workers(data, trainer)
        announce_training(module, data, trainer)
    fit(trainer, module, data, folder, resume)
    if trainer.is_global_zero:
        report(trainer)
    return best_score(trainer)


def _devices(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device.type
    kind = "GPU" if device == "cuda" else device.upper()
    return f"{trainer.world_size} x {kind}" if trainer.world_size > 1 else f"the {kind}"


def _note_workers(data: DataModule, trainer: pl.Trainer) -> None:
    """Tell that there are fewer processes than asked for: others would only wait for these."""
    count = data.usable_workers(trainer.num_devices)
    if count < data.workers:
        print(
            f"note: data.workers: {count} instead of {data.workers}, for {processors().usable} "
            "CPUs can be used",
            file=sys.stderr,
        )


def _module(config: DictConfig) -> ReconstructionModule:
    recipe = Recipe(
        portable(plain(config.model, "model")),
        portable(plain(config.preprocessing, "preprocessing")),
    )
    schedule = plain(config.scheduler, "scheduler")
    return ReconstructionModule(
        build(config.model, Reconstructor, "model"),
        build(config.objective, Objective, "objective"),
        build_function(config.optimizer, "optimizer"),
        recipe,
        build_function(config.scheduler, "scheduler") if schedule else None,
        schedule,
        plain(config.optimizer, "optimizer"),
    )


def _check_data(data: DataModule, objective: Objective, reconstructor: Reconstructor) -> None:
    """What is wrong with the data is told now, not by a worker process or after an epoch."""
    for name, slices in data.sets.items():
        try:
            _check_references(slices, objective)
        except ConfigError as error:
            raise ConfigError(f"data.{name}: {error}") from error
    if objective.needs_some_targets:
        _check_some_reference(data.sets["train"], type(objective).__name__)
    if not (objective.needs_target or objective.needs_some_targets):
        _note_new_masks(data.sets["train"])
    objective.check(reconstructor, data.sets["train"].prepared(0))


def _check_references(slices: SliceDataset, objective: Objective) -> None:
    """Prepare one slice of each file format, for formats bring a reference or do not.

    Raises:
        ConfigError: When it cannot be prepared, or needs a reference and has none.
    """
    for index in slices.first_of_each_format():
        sample = slices.prepared(index)
        if objective.needs_target and sample.target is None:
            raise no_reference(sample)


def _note_new_masks(train: SliceDataset) -> None:
    """Tell what makes self-supervision look better than it would be without complete scans."""
    redrawn = any(map(draws_anew, (train.transform, train.batch_transform)))
    if redrawn and not has_gaps(train.scans[0][0]):
        print(
            "note: data.train draws another mask of the same, fully sampled scans in every epoch, "
            "so that self-supervision sees all of their k-space in the end, which undersampled "
            "scans would not show it; data/transforms@data.train.transform=evaluate keeps one mask "
            "per scan",
            file=sys.stderr,
        )


def _check_some_reference(train: SliceDataset, objective: str) -> None:
    volumes = train.volumes()
    if not any(train.has_target(volume.start) for volume in volumes):
        raise ConfigError(
            f"data.train: {objective} is semi-supervised with this objective, but none of "
            f"{len(volumes)} scans has a reference, so nothing would tell the network what an "
            "image looks like; add scans that are fully sampled or bring a reconstruction, or "
            "choose a self-supervised objective, such as objective=noise2recon_ssdu"
        )


def _write_record(config: DictConfig, folder: Path) -> None:
    """Keep what is needed to repeat the run beside its results; a resumed run adds its own."""
    # nothing is replaced, neither an older record nor a user's file
    for number in itertools.count():
        suffix = f"_{number}" if number else ""
        run, settings = folder / f"run{suffix}.json", folder / f"config{suffix}.yaml"
        if not (os.path.lexists(run) or os.path.lexists(settings)):
            break
    facts = {"command": command_line(), "versions": versions()}
    with atomic(run) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    with atomic(settings) as temporary:
        temporary.write_text(OmegaConf.to_yaml(config, resolve=True), "utf-8")


main = train
