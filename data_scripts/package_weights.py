r"""Puts the weights of a training run into the package, in half precision, with their recipe.

    python data_scripts/package_weights.py outputs/pretrained/denoiser/checkpoints/best.ckpt \
        denoiser --model pnp
    python data_scripts/package_weights.py outputs/pretrained/whole/checkpoints/best.ckpt \
        pretrained --model pretrained --bank outputs/anatomy/train.h5

The recipe is that of the choice of `model=` that they are for.
"""

import argparse
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor
from tqdm import tqdm

from mrirecon.building import build_node
from mrirecon.config import build, plain
from mrirecon.data import Compose, Undersample
from mrirecon.data.collate import collate
from mrirecon.defaults import completed
from mrirecon.errors import ConfigError, MriReconError
from mrirecon.files.places import conf_folder
from mrirecon.files.writing import atomic
from mrirecon.loading import load_reconstructor, load_weights
from mrirecon.recipes import portable
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.denoising import DenoisingReconstructor
from mrirecon.reconstructors.parts.domain import Domain, InputStatistics
from mrirecon.sampling import SamplingPattern
from mrirecon.simulation import RandomScans, random_scans
from mrirecon.training.checkpoint import Checkpoint, Recipe, read_checkpoint, written_by
from mrirecon.weights import registry
from mrirecon.weights.places import digest
from mrirecon.weights.safetensors_file import SUFFIX, write_safetensors


@torch.no_grad()
def measured_domain(checkpoint: Path, bank: str, count: int) -> Domain:
    """Return the ranges of what the recipe `pretrained` draws, with the images of these weights."""
    method, prepare = load_reconstructor(checkpoint)
    if not isinstance(method, DenoisingReconstructor):
        raise ConfigError(
            f"{checkpoint} holds a {type(method).__name__}, whose domain cannot be measured; leave "
            "--bank out"
        )
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        pattern = build(compose("train", ["sampling=any"]).sampling, SamplingPattern, "sampling")
    prepare = Compose([Undersample(pattern), prepare])
    found: list[InputStatistics] = []
    for scan in tqdm(random_scans(2_000_000, count, RandomScans(bank=bank)), desc="domain"):
        sample, maps = method.prepared(collate([prepare(scan[0])]))
        found.append(InputStatistics.of(sample, maps, method.combined(sample, maps)))
    names = [field.name for field in fields(InputStatistics)]
    return Domain.around(
        InputStatistics(**{n: torch.cat([getattr(one, n) for one in found]) for n in names})
    )


def fitting(recipe: Recipe, checkpoint: Checkpoint, path: Path) -> dict[str, Tensor]:
    """Return those of the weights that belong to the model of a recipe, which must be all of its.

    Raises:
        ConfigError: When they do not fit.
    """
    model = build_node(recipe.model, Reconstructor, "model")
    names = model.state_dict().keys()
    kept = {name: value for name, value in checkpoint.weights.items() if name in names}
    load_weights(model, replace(checkpoint, weights=kept, recipe=recipe), str(path))
    return kept


def main() -> None:
    """Write the file and print what its entry has to say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("name")
    parser.add_argument("--model", required=True, help="choice of model= that they are for")
    parser.add_argument("--bank", help="anatomical images, to measure what was learned from")
    parser.add_argument("--scans", type=int, default=400, help="number of random scans for that")
    given = parser.parse_args()
    try:
        package(given)
    except MriReconError as error:
        sys.exit(f"package_weights.py: {error}")


def package(given: argparse.Namespace) -> None:
    """Write the file.

    Raises:
        MriReconError: When the checkpoint or the images cannot be used, or the file is there.
    """
    checkpoint = read_checkpoint(given.checkpoint)
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("reconstruct", [f"model={given.model}"])
    recipe = Recipe(
        *(portable(completed(plain(config[key], key))) for key in ("model", "preprocessing"))
    )
    weights = fitting(recipe, checkpoint, given.checkpoint)
    path = registry.PACKAGED / f"{given.name}{SUFFIX}"
    facts = {"mrirecon": written_by(), "recipe": asdict(recipe), "domain": None}
    facts |= {"patients": sorted(checkpoint.patients), "global_step": checkpoint.steps}
    if given.bank:
        facts["domain"] = asdict(measured_domain(given.checkpoint, given.bank, given.scans))
        print(facts["domain"])
    with atomic(path) as temporary:
        write_safetensors(temporary, weights, facts)
    numbers = sum(tensor.numel() for tensor in weights.values())
    print(f"{path}: {numbers:,} weights, {path.stat().st_size / 1e6:.1f} MB, {digest(path)}")


if __name__ == "__main__":
    main()
