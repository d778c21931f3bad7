"""A checkpoint: the weights and the recipe that rebuilds what they belong to."""

import re
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrirecon import __version__
from mrirecon.defaults import renamed
from mrirecon.errors import ConfigError
from mrirecon.recipes import plain_node, portable
from mrirecon.toolkits import direct, promptmr, sdum
from mrirecon.toolkits.direct_layout import is_direct
from mrirecon.toolkits.fastmri import public_model, strip_prefixes
from mrirecon.toolkits.promptmr import is_promptmr
from mrirecon.toolkits.public_weights import Adapted
from mrirecon.toolkits.sdum import is_sdum
from mrirecon.weights.safetensors_file import SUFFIX, read_safetensors

FORMAT = 2
"""Of the checkpoints that are written; 1 had no number, and recipes without defaults."""
TRAINED = "trained_weights"
"""Key of the weights that training goes on with, where the checkpoint's are an average of them."""
TOOLKITS = (
    (is_direct, direct.adapted),
    (is_promptmr, promptmr.adapted),
    (is_sdum, sdum.adapted),
)


def written_by() -> dict[str, Any]:
    """Return what a checkpoint tells about the program that wrote it, under ``mrirecon``."""
    return {"format": FORMAT, "version": __version__}


@dataclass(frozen=True)
class Recipe:
    """The resolved configuration of whatever turns a Sample into an image.

    Attributes:
        model: Node of the Reconstructor.
        preprocessing: Node of the Transform that its input went through after undersampling.
    """

    model: dict[str, Any]
    preprocessing: dict[str, Any]


def recipe_of(state: dict[str, Any], path: Path) -> Recipe | None:
    """Return the recipe in a checkpoint as plain containers, None when it has none.

    Whoever builds it must check what it names, with :func:`mrirecon.recipes.check_targets`.

    Raises:
        ConfigError: When it has another form.
    """
    recipe = state.get("recipe")
    if recipe is None:
        return None
    names = {field.name for field in fields(Recipe)}
    if (
        not isinstance(recipe, dict)
        or recipe.keys() != names
        or not all(isinstance(node, dict) and "_target_" in node for node in recipe.values())
    ):
        raise ConfigError(
            f"checkpoint: the recipe in {path} is not one of mrirecon; expected the nodes "
            f"{', '.join(sorted(names))}"
        )
    nodes = {name: renamed(portable(plain_node(recipe[name], f"{path}: {name}"))) for name in names}
    return Recipe(**nodes)


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        weights: Tensors by name.
        recipe: What they belong to; None for weights from elsewhere.
        domain: Plain data of what they have learned from; None where nobody has measured it.
        adapted: Model of ours for the weights, where they are another toolkit's; else None.
        patients: Pseudonyms of the patients that they have learned from; empty where it does not
            tell.
        steps: Steps of the optimizer in the run that wrote it; 0 where it does not tell.
    """

    weights: dict[str, Tensor]
    recipe: Recipe | None
    domain: Any = None
    adapted: Adapted | None = None
    patients: frozenset[str] = frozenset()
    steps: int = 0

    def named(self) -> dict[str, Tensor]:
        """Return the weights by the names of our models.

        Raises:
            ConfigError: When they come from elsewhere, and not from a toolkit that is known.
        """
        if self.recipe or self.adapted:
            return self.weights
        return strip_prefixes(self.weights)

    def public_model(self) -> dict[str, Any]:
        """Return the node of the model that public weights belong to.

        Raises:
            ConfigError: When they are not of a toolkit that is known, or not of a whole network.
        """
        return self.adapted.model if self.adapted else public_model(strip_prefixes(self.weights))

    @property
    def training(self) -> str:
        """How long the weights have learned, and from how many patients, as far as it is told."""
        people = f"{len(self.patients)} patients" if self.patients else ""
        steps = f"{self.steps} steps" if self.steps else ""
        return ", ".join(filter(None, [people, steps]))

    @property
    def note(self) -> str:
        """What a user should know about how the file was understood; mostly empty."""
        return self.adapted.note if self.adapted else ""


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of ``mrirecon train``, DIRECT, PromptMR or SDUM, or fastMRI's tensors.

    Reading executes nothing (``weights_only=True``).

    Raises:
        ConfigError: When the file is missing or holds no weights.
    """
    state, path = read_state(path, mapped=True), Path(path).expanduser()
    if "recipe" not in state:
        for recognized, adapted in TOOLKITS:
            if recognized(state):
                found = adapted(state, path)
                return Checkpoint(found.weights, None, adapted=found)
    state = read_state(path)  # a training may write such a file anew while its weights are in use
    recipe = recipe_of(state, path)
    weights = state.get("state_dict", state)
    weights = weights if isinstance(weights, dict) else {}
    weights = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    if recipe and path.suffix != SUFFIX:
        prefix = "reconstructor."
        weights = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    if not weights:
        raise ConfigError(f"checkpoint: {path} holds no weights")
    told = state.get("global_step")
    steps = told if type(told) is int and told > 0 else 0
    return Checkpoint(weights, recipe, state.get("domain"), None, patients_in(state), steps)


def patients_in(state: dict[str, Any]) -> frozenset[str]:
    """Return the pseudonyms of those whom weights have learned from; none where it tells none."""
    told = state.get("patients")
    listed = told if isinstance(told, list) else []
    return frozenset(one for one in listed if isinstance(one, str))


def read_state(path: str | Path, mapped: bool = False) -> dict[str, Any]:
    """Read all that a checkpoint file holds.

    Args:
        path: Path of the file.
        mapped: Whether tensors stay in the file until they are used, as far as its format allows:
            nothing may write to the file meanwhile.

    Raises:
        ConfigError: When the file is missing or no checkpoint.
    """
    try:
        path = Path(path).expanduser()
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, NUL, no such user's home
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"checkpoint: {str(path)[:200]!r} cannot be a file: {reason}") from error
    if not is_file:
        raise ConfigError(f"checkpoint: {path} is not a file (in {Path.cwd()})")
    _refuse_compressed(path)
    if path.suffix == SUFFIX:
        tensors, facts = read_safetensors(path)
        _refuse_newer(facts, path)
        return {**facts, "state_dict": tensors}
    try:
        mapped = mapped and zipfile.is_zipfile(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises a dozen unrelated types
        raise ConfigError(
            f"checkpoint: {path} is not a readable PyTorch checkpoint: {_unreadable(path, error)}"
        ) from error
    if not isinstance(state, dict):
        raise ConfigError(f"checkpoint: {path} holds a {type(state).__name__}, not weights")
    _refuse_newer(state, path)
    return state


def _refuse_newer(state: dict[str, Any], path: Path) -> None:
    writer = state.get("mrirecon", {"format": 1})
    number = writer.get("format") if isinstance(writer, dict) else None
    if type(number) is not int or number < 1:
        raise ConfigError(
            f"checkpoint: {path} does not tell the number of its format; found {str(writer)[:100]}"
        )
    if number > FORMAT:
        version = str(writer.get("version"))[:40]
        raise ConfigError(
            f"checkpoint: {path} has format {number}, written by mrirecon {version}; this is "
            f"mrirecon {__version__}, which reads formats up to {FORMAT}; update mrirecon"
        )


def _unreadable(path: Path, error: Exception) -> str:
    """Say what is there instead; PyTorch's own words advise to let the file run code."""
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError as unreadable:
        return f"{unreadable.strerror}; check its permissions"
    if not start:
        return "the file is empty; copy it again"
    if found := re.search(r"\bGLOBAL ([\w.]+)", str(error)):
        return (
            f"it holds a Python object ({found[1]}), and loading one may run code; expected "
            "weights only: where it was made, save torch.save(model.state_dict(), FILE)"
        )
    if start.startswith(b"PK"):
        return "the archive is damaged or no checkpoint; copy it again"
    return (
        f"it starts with {start!r}; expected a file of torch.save, such as checkpoints/best.ckpt "
        "of mrirecon train or public weights"
    )


def _refuse_compressed(path: Path) -> None:
    """Refuse an archive that torch did not write: it may expand to any size."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [one for one in archive.infolist() if one.compress_type != zipfile.ZIP_STORED]
    except (OSError, ValueError, zipfile.BadZipFile):
        return  # damaged: found out when it is loaded
    if packed:
        raise ConfigError(
            f"checkpoint: {path} is a compressed archive ({packed[0].filename} takes "
            f"{packed[0].file_size} bytes, of {packed[0].compress_size} in the file), expected one "
            "of torch.save, which compresses nothing; save the weights again"
        )
