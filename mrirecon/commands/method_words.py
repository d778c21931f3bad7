"""Methods that are chosen by words of ``mrirecon reconstruct``, several in one command."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mrirecon.choices import choices
from mrirecon.commands import hydra_errors
from mrirecon.commands.base import chosen_by
from mrirecon.commands.method import build_method
from mrirecon.config import composed_of
from mrirecon.defaults import completed
from mrirecon.errors import ConfigError
from mrirecon.files import conf_folder
from mrirecon.grammar import adapt
from mrirecon.pipeline import Method
from mrirecon.weights import weights_file

CHECKPOINT, MODEL, REFERENCE = "checkpoint", "model", "reference"
METHOD = (
    MODEL, CHECKPOINT, "preprocessing", "sensitivity", "partial_fourier", "fallback", "adaptation",
)  # fmt: skip
"""What makes a method; all else is the same for all of them."""
_NAME = re.compile(r"[\w][\w.+-]*")

Words = Mapping[str, tuple[str, ...]]


def build_by_words(
    words: Sequence[str], device: torch.device, trust: Sequence[str], learned: bool = True
) -> Method:
    """Build the method that some words stand for.

    Args:
        words: Words of ``mrirecon reconstruct``.
        device: Torch device that computes.
        trust: Packages whose classes a checkpoint may name.
        learned: Whether it has to have learned something, to be of use.

    Raises:
        ConfigError: When it cannot be built.
    """
    config, checkpoint = _composed(words)
    with chosen_by(words):
        return build_method(config, checkpoint, device, trust, learned)


def build_all(words: Words, device: torch.device, trust: Sequence[str]) -> dict[str, Method]:
    """Build every method.

    Args:
        words: Words of each method by its name.
        device: Torch device that computes.
        trust: Packages whose classes a checkpoint may name.

    Raises:
        ConfigError: Naming the method that cannot be built.
    """
    built = {}
    for name, own in words.items():
        try:
            built[name] = build_by_words(own, device, trust)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
    return built


def chosen_words(
    model: str | Sequence[str] | None,
    checkpoint: str | Sequence[str] | Mapping[str, str] | None,
    methods: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, tuple[str, ...]]:
    """Return the words of every method that was chosen, by its name.

    Args:
        model: Names of models.
        checkpoint: Files of weights, with a name each or without.
        methods: Other methods by name: choices of ``mrirecon reconstruct`` and their values.

    Raises:
        ConfigError: When there is none, or two have the same name.
    """
    found: list[tuple[str, tuple[str, ...]]] = [
        (name, (f"{MODEL}={name}",)) for name in _listed(model)
    ]
    if isinstance(checkpoint, Mapping):
        files = dict(checkpoint)
    else:
        paths = _listed(checkpoint)
        files = {_label(path): path for path in paths}
        if len(files) < len(paths):
            raise ConfigError(
                "checkpoint: two files have the same name; name the methods: "
                "checkpoint={first: FILE, second: FILE}"
            )
    found += [(name, (f"{CHECKPOINT}={path}",)) for name, path in files.items()]
    found += [
        (name, tuple(f"{key}={_value(value)}" for key, value in own.items()))
        for name, own in (methods or {}).items()
    ]
    names = [name for name, _ in found]
    for name in names:
        if not _NAME.fullmatch(name) or name == REFERENCE:
            raise ConfigError(f"{name!r} cannot be the name of a method and of its folder")
        if names.count(name) > 1:
            raise ConfigError(f"there are two methods of the name {name}; name one otherwise")
    if not found:
        known = ", ".join(choices(MODEL, [conf_folder()]))
        raise ConfigError(f"no method: model=[NAME,NAME] of {known}; or checkpoint={{name: FILE}}")
    return dict(found)


def _listed(value: str | Sequence[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(dict.fromkeys(value or ()))


def _value(value: Any) -> str:
    """Return a value as it is typed."""
    return value if isinstance(value, str) else json.dumps(value)


def _label(path: str) -> str:
    return Path(path).stem if Path(path).suffix else path.rpartition("/")[2].rpartition(":")[2]


def is_of_method(word: str) -> bool:
    """Tell whether a word chooses something of a method."""
    key, equals, _ = word.partition("=")
    return bool(equals) and key.lstrip("+~").rpartition("@")[2].split(".")[0] in METHOD


def _composed(words: Sequence[str]) -> tuple[DictConfig, str | None]:
    """Return the configuration that words of ``mrirecon reconstruct`` stand for, and weights."""
    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    checkpoint, others = None, []
    for word in words:
        key, _, value = word.partition("=")
        if not is_of_method(word):
            raise ConfigError(
                f"{word} is no choice of a method; expected words that begin with "
                f"{'=, '.join(METHOD)}= or one of these and a dot"
            )
        if key == CHECKPOINT:
            checkpoint = str(weights_file(value))
            continue
        others.append(adapt(word, groups))
    try:
        config = composed_of("reconstruct", others)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(hydra_errors.message(error)) from error
    except ValueError as error:  # Hydra's own, of a choice that is no word
        raise ConfigError(f"{' '.join(others)}: {error}") from error
    config = OmegaConf.create(completed(OmegaConf.to_container(config)))
    for group in METHOD:
        if group != CHECKPOINT:
            config.setdefault(group, None)
    config.setdefault("sampling", None)
    return config, checkpoint
