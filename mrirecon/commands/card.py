"""Write the model card of weights: what they are, learned from, how good they are, where they fail.

    mrirecon card run/checkpoints/best.ckpt description.yaml card.md --results scores/scores.json
    mrirecon card best.ckpt description.yaml card.md --results scores.json table.json --check

Results are scores.json of `mrirecon evaluate` and table.json of benchmarks/measured.py, as they
were written: no number of a card is typed by hand. The description holds the prose of the recipe:
title, about, licence, method (its name in the results), training (data, share, licence, source),
purpose, limits, experiments (names in conf/experiment), failures (what, picture). With --bank, the
table of training data is that of a file of data_scripts/anatomy_bank.py instead, beside the shapes
that the last recipe draws. --check writes nothing and fails when the card is not what these sources
make, for instance after the recipe has changed.
"""

import argparse
import hashlib
import os
from dataclasses import asdict, replace
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir

from mrirecon import __version__
from mrirecon.commands.plain import plain_parser, told
from mrirecon.defaults import default_of
from mrirecon.errors import ConfigError, OutputError
from mrirecon.evaluation.model_card import (
    Description,
    Facts,
    TrainingData,
    model_card,
    read_description,
)
from mrirecon.evaluation.stored.results import read_results
from mrirecon.files import (
    Kind,
    Untouchable,
    atomic,
    conf_folder,
    output_folder,
    real_path,
    refuse_existing,
    stamped,
)
from mrirecon.simulation.anatomy_bank import sources_of
from mrirecon.training.checkpoint import read_checkpoint
from mrirecon.weights import weights_file


def main() -> None:
    """Read the sources, write the card or compare it."""
    parser = plain_parser("card", __doc__)
    parser.add_argument("weights", help="a checkpoint, or zoo:NAME")
    parser.add_argument("description", type=Path, help="YAML with the prose of the recipe")
    parser.add_argument("output", type=Path, help="the card to write, for instance NAME.md")
    parser.add_argument("--results", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--bank", type=Path, help="anatomical images that the training drew from")
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    with told("card"):
        _card(options)


def _card(options: argparse.Namespace) -> None:
    weights = Path(weights_file(options.weights))
    read = [weights, options.description, *options.results]
    Untouchable([*read, *([options.bank] if options.bank else [])]).refuse([options.output])
    if not options.check:
        output_folder(options.output.parent)
        refuse_existing(options.output, options.overwrite, Kind.CARD, choice="give --overwrite")
    description = with_training(read_description(options.description), options.bank)
    facts = weights_facts(weights, description, options.description)
    results = [read_results(path, description.method) for path in options.results]
    folders = (options.description.parent, options.output.parent)
    between = Path(os.path.relpath(*map(real_path, folders)))
    card = stamped(model_card(description, facts, results, between).encode(), Kind.CARD)
    if not options.check:
        with atomic(options.output, Kind.CARD, overwrite=options.overwrite) as temporary:
            temporary.write_bytes(card)
        print(f"wrote {options.output}")
    elif not options.output.is_file():
        raise OutputError(f"{options.output} is not there; write it without --check")
    elif (found := options.output.read_bytes()) != card:
        changed = _changed(found.decode(errors="replace"), card.decode())
        raise OutputError(
            f"{options.output} is not the card of these weights, description and results{changed}; "
            "write it again with --overwrite"
        )
    else:
        print(f"{options.output} is up to date")


def with_training(description: Description, bank: Path | None) -> Description:
    """Return a description with the training data of a file of anatomical images.

    Raises:
        ConfigError: When training data are told twice or not at all.
        RawDataError: When the file is no such file.
    """
    if (bank is None) is (not description.training):
        raise ConfigError(
            "training data are told by the description or by --bank; give one of them"
        )
    if bank is None:
        return description
    sources = sources_of(str(bank))
    images, shapes = sum(one.images for one in sources), _drawn_shapes(description)
    rows = [
        TrainingData(one.name, 100 * (1 - shapes) * one.images / images, one.licence, one.origin)
        for one in sources
    ]
    if shapes:
        rows.append(
            TrainingData("random smooth shapes", 100 * shapes, "Apache-2.0", "this package")
        )
    return replace(description, training=tuple(rows))


def _drawn_shapes(description: Description) -> float:
    """Return which part of the scans of the last recipe shows shapes instead of anatomy."""
    if not description.experiments:
        raise ConfigError("experiments: with --bank, name the recipe that draws from it")
    name = description.experiments[-1]
    _recipe_file(name)
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        config = compose("train", [f"experiment={name}"])
    ranges = config.data.train.get("scans", {}).get("ranges", {})
    if "bank" not in ranges:
        raise ConfigError(f"experiments: {name} draws from no file of anatomical images")
    return float(ranges.get("shapes", default_of("mrirecon.simulation.RandomScans", "shapes")))


def _recipe_file(name: str) -> Path:
    path = conf_folder() / "experiment" / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"experiments: there is no {path.name} in {path.parent}")
    return path


def weights_facts(path: Path, description: Description, described: Path) -> Facts:
    """Gather what a program knows of weights, of their description and of their recipes.

    Raises:
        ConfigError: When the file holds no weights, or there is no such recipe.
    """
    checkpoint = read_checkpoint(path)
    experiments = []
    for name in description.experiments:
        recipe = _recipe_file(name)
        experiments.append((name, _digest(recipe), recipe.read_text(encoding="utf-8")))
    tree = asdict(checkpoint.recipe) if checkpoint.recipe else {}
    return Facts(
        path.name,
        _digest(path),
        path.stat().st_size,
        sum(tensor.numel() for tensor in checkpoint.weights.values()),
        yaml.safe_dump(tree, sort_keys=False) if tree else "",
        tuple(experiments),
        _digest(described),
        __version__,
    )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _changed(old: str, new: str) -> str:
    """Name the sources whose checksums differ."""
    before = {line.rpartition(" ")[0]: line for line in old.splitlines() if _is_source(line)}
    names = [
        line.rpartition(" ")[0]
        for line in new.splitlines()
        if _is_source(line) and before.get(line.rpartition(" ")[0]) != line
    ]
    return f" (changed: {', '.join(names)})" if names else ""


def _is_source(line: str) -> bool:
    return line.startswith(("weights ", "description ", "recipe ", "results "))
