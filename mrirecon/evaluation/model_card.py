"""Model cards: what weights are, what they learned from, how good they are and where they fail.

Mitchell et al., Model Cards for Model Reporting, FAT* 2019. Prose and training data come from the
description of a recipe, numbers from files that evaluations have written.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from mrirecon.errors import ConfigError
from mrirecon.evaluation.stored.results import Results
from mrirecon.files import Kind, mark
from mrirecon.plain_yaml import plain_yaml
from mrirecon.records import record

NOT_CLINICAL = (
    "**Not for clinical use.** These weights are for research. They are no medical device, no "
    "authority has approved them, and their images may lack structures or show some that are not "
    "there."
)
ROUNDING = 0.5
"""Percent by which shares may miss 100."""


@dataclass(frozen=True)
class TrainingData:
    """A row of the table of training data; ``share`` is its part of the training in percent."""

    data: str
    share: float
    licence: str
    source: str

    def __post_init__(self) -> None:
        if not self.share > 0:
            raise ValueError(f"share: expected percent above 0, got {self.share:g}")


@dataclass(frozen=True)
class Failure:
    """A known failure, with a picture beside the description where there is one."""

    what: str
    picture: str = ""


@dataclass(frozen=True)
class Description:
    """What the author of a recipe says: all prose of a card.

    Attributes:
        title: Name of the weights.
        about: What they are, in a few sentences.
        licence: Licence of the weights.
        method: Name that they have in the results.
        purpose: What they are for, a sentence each.
        limits: What they are not for, a sentence each.
        training: Data that they learned from, whose shares sum to 100 percent; empty where a file
            tells them.
        experiments: Names of the recipes in ``conf/experiment``, in the order of the training.
        failures: Failures that are known, with pictures where there are some.
    """

    title: str
    about: str
    licence: str
    method: str
    purpose: tuple[str, ...]
    limits: tuple[str, ...]
    training: tuple[TrainingData, ...] = ()
    experiments: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()

    def __post_init__(self) -> None:
        total = sum(one.share for one in self.training)
        if self.training and not math.isclose(total, 100, abs_tol=ROUNDING):
            raise ValueError(f"training: the shares sum to {total:g} percent, not to 100")
        if not (self.purpose and self.limits):
            raise ValueError("purpose and limits need a sentence each")


@dataclass(frozen=True)
class Facts:
    """What a program knows of weights.

    Attributes:
        file: Name of the file.
        sha256: Checksum of the file.
        size: Size of the file in bytes.
        numbers: Number of weights.
        recipe: Model and preprocessing as YAML; empty when the file holds none.
        experiments: Name, checksum and text of the recipes of the training.
        described: Checksum of the description.
        version: Version of mrirecon.
    """

    file: str
    sha256: str
    size: int
    numbers: int
    recipe: str
    experiments: tuple[tuple[str, str, str], ...]
    described: str
    version: str


def read_description(path: Path) -> Description:
    """Read the description of a recipe from a YAML file.

    Raises:
        ConfigError: When keys are missing, unknown or of another kind, shares do not sum to 100
            percent, or a picture is not there.
    """
    try:
        found = record(Description, plain_yaml(path.read_text(encoding="utf-8")))
        for failure in found.failures:
            if failure.picture and not (path.parent / failure.picture).is_file():
                raise ValueError(f"failures: {path.parent / failure.picture} is not there")
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is no description of weights: {error}") from error
    return found


def model_card(
    description: Description, facts: Facts, results: Sequence[Results], pictures: Path
) -> str:
    """Return a card as Markdown, with a mark to be stamped.

    Args:
        description: Prose and training data.
        facts: Facts of the weights.
        results: Results of evaluations; a card without any says so.
        pictures: Path from the card's folder to that of the description.
    """
    parts = [_origin(facts, results), f"# {description.title}", f"> {NOT_CLINICAL}"]
    parts.append(description.about)
    parts += [_section("The weights", _facts(description, facts))]
    rows = [
        (one.data, f"{one.share:.3g} %", one.licence, one.source) for one in description.training
    ]
    parts += [_section("Training data", _table(("data", "share", "licence", "source"), rows))]
    parts += [_section("What they are for", _points(description.purpose))]
    parts += [_section("What they are not for", _points(description.limits))]
    parts += [_section("Results", *(_result(one) for one in results) if results else
                       ["No evaluation has been given to this card."])]  # fmt: skip
    parts += [_section("Known failures", *_failures(description, results, pictures))]
    if facts.experiments or facts.recipe:
        parts.append(_section("Recipe", *_recipe(facts)))
    return "\n\n".join(parts) + "\n"


def _facts(description: Description, facts: Facts) -> str:
    rows = [
        ("file", f"`{facts.file}`"),
        ("SHA-256", f"`{facts.sha256}`"),
        ("size", f"{facts.size / 1e6:.2f} MB, {facts.numbers:,} weights"),
        ("licence", description.licence),
        ("mrirecon", facts.version),
        *(("recipe", f"`conf/experiment/{name}.yaml`, SHA-256 `{sha256[:16]}`")
          for name, sha256, _ in facts.experiments),
    ]  # fmt: skip
    return _table(("", ""), rows)


def _result(result: Results) -> str:
    """Write the table of one file and what is to be said of it."""
    title = f"### {result.title}\n\n"
    return title + _table(result.head, result.rows) + "\n\n" + _points(result.remarks)


def _failures(description: Description, results: Sequence[Results], pictures: Path) -> list[str]:
    found = []
    for failure in description.failures:
        found.append(failure.what)
        if failure.picture:
            path = Path(os.path.normpath(pictures / failure.picture)).as_posix()
            found.append(f"![{failure.what}]({path.replace(' ', '%20')})")
    for result in results:
        if result.worst:
            found.append(f"Worst in {result.source}:\n\n{_points(result.worst)}")
    return found or ["None is known, which is not to say that there is none."]


def _recipe(facts: Facts) -> list[str]:
    parts = []
    for name, _, text in facts.experiments:
        parts.append(f"`mrirecon train experiment={name}`:\n\n```yaml\n{text.rstrip()}\n```")
    if facts.recipe:
        parts.append(f"The model:\n\n```yaml\n{facts.recipe.rstrip()}\n```")
    return parts


def _origin(facts: Facts, results: Sequence[Results]) -> str:
    """Tell, to those who look at the source, what the card was made of."""
    lines = [
        "<!-- made by `mrirecon card`; change its sources, not this file",
        mark(Kind.CARD),
        f"weights {facts.sha256}",
        f"description {facts.described}",
        *(f"recipe {name} {sha256}" for name, sha256, _ in facts.experiments),
        *(f"results {one.source} {one.sha256}" for one in results),
        "-->",
    ]
    return "\n".join(lines)


def _section(title: str, *paragraphs: str) -> str:
    return "\n\n".join((f"## {title}", *paragraphs))


def _points(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)
